"""The console's addresses on the door: who may ask at all, and what every answer carries."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.http.console.core.headers import CSP
from gateway.http.server import Door
from tests.fakes.console import console_door
from tests.fakes.kernel import small_kernel


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with console_door() as made:
        yield made


@pytest.fixture
async def client(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{door.port}", cookie_jar=jar) as made:
        yield made


async def status(client: aiohttp.ClientSession, path: str, method: str = "GET", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, path, headers=named, allow_redirects=False) as answer:
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["server"] == "aios"
        assert "access-control-allow-origin" not in answer.headers
        return answer.status


async def test_views_are_the_page_and_its_files_are_found_through_it(client: aiohttp.ClientSession) -> None:
    async with client.get("/console/agents/a-1") as answer:
        text = await answer.text()
        assert answer.content_type == "text/html"
        assert answer.headers["cache-control"] == "no-cache"
    script = text.split('type="module" src="')[1].split('"')[0]
    async with client.get(script) as answer:
        assert answer.content_type == "text/javascript"
        assert "immutable" in answer.headers["cache-control"]
        etag = answer.headers["etag"]
    assert await status(client, script, if_none_match=f'"x", {etag}') == 304
    assert await status(client, "/console/", "HEAD") == 200
    assert await status(client, "/console") == 308


@pytest.mark.parametrize(
    "path", ["/console/", "/console/static/app.js", "/console/session", "/console/nowhere.js"]
)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:7090", "10.1.2.3", ""])
async def test_a_name_that_was_pointed_here_gets_nothing(
    client: aiohttp.ClientSession, path: str, host: str
) -> None:
    assert await status(client, path, host=host) == 421


async def test_two_hosts_are_none(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"GET /console/ HTTP/1.1\r\nhost: localhost\r\nhost: localhost:1\r\n\r\n")
    assert b"200" not in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_pages_of_others_are_refused_and_links_open_views_only(client: aiohttp.ClientSession) -> None:
    opened = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert await status(client, "/console/agents", **opened) == 200
    assert await status(client, "/console/agents", **{**opened, "sec_fetch_dest": "iframe"}) == 403
    assert await status(client, "/console/static/app.js", **opened) == 403
    assert await status(client, "/console/session", **opened) == 403
    assert await status(client, "/console/", sec_fetch_site="same-site", sec_fetch_mode="no-cors") == 403
    assert await status(client, "/console/", origin="http://localhost:1") == 403


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "OPTIONS", "TRACE"])
async def test_what_changes_something_says_that_it_is_the_consoles(
    client: aiohttp.ClientSession, method: str
) -> None:
    assert await status(client, "/console/session", method) == 403
    assert await status(client, "/console/session", method, x_aios_console="0") == 403
    assert await status(client, "/console/", method, x_aios_console="1") in {404, 405}


@pytest.mark.parametrize(
    "path",
    [
        "/console/nowhere.js",
        "/console/static/",
        "/console/static/..%2findex.py",
        "/console/api",
        "/console/api/x",
    ],
)
async def test_what_is_not_there_is_told(client: aiohttp.ClientSession, path: str) -> None:
    assert await status(client, path) in {404, 405}


@pytest.mark.parametrize(("setting", "found"), [("auto", 200), ("off", 404)])
async def test_a_gateway_on_loopback_has_a_console_unless_it_is_off(setting: str, found: int) -> None:
    async with (
        small_kernel(console=setting) as kernel,
        aiohttp.ClientSession(kernel.door) as client,
        client.get("/console/") as answer,
    ):
        assert answer.status == found
