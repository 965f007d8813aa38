"""The demo's address of the web console."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from launcher.demo import console
from launcher.ports import free_base_port


@asynccontextmanager
async def door(status: int, body: str) -> AsyncIterator[str]:
    """Serve `/console/codes` to who shows the token."""

    async def codes(request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization"), request.headers.get("x-aios-console")
        known = shown == ("Bearer admin-token", "1")
        return web.Response(status=status if known else 401, text=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/console/codes", codes)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_the_address_signs_a_browser_in_with_a_code_and_holds_no_token() -> None:
    async with door(200, '{"code": "abc", "seconds": 60.0}') as base:
        told = await console.told(base, "admin-token")

    assert told.startswith(f"{base}/console/#code=abc (")
    assert "admin-token" not in told


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, "{}", "status 404"),
        (401, "{}", "status 401"),
        (200, "[]", "something else"),
        (200, "{", "something else"),
        (200, '{"code": "abc"}', "something else"),
    ],
)
async def test_without_a_console_it_is_said_why_and_the_demo_goes_on(
    status: int, body: str, why: str
) -> None:
    async with door(status, body) as base:
        told = await console.told(base, "admin-token")

    assert told.startswith(f"none at {base}/console/")
    assert why in told


async def test_a_door_that_is_closed_is_said_to_be() -> None:
    told = await console.told(f"http://127.0.0.1:{free_base_port(usual=False)}", "admin-token")

    assert told.startswith("none at ")
