"""Attached servers are asked what they serve, and what is wrong with one is said in its own words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from launcher import probe
from launcher.backends import (
    AnswersSomethingElse,
    BackendProblem,
    Backends,
    DoesNotAnswer,
    LacksModel,
    NeedsKey,
    Serving,
)
from launcher.ports import free_base_port
from launcher.probe import look
from tests.fakes.fake_openai import Behaviour, fake_openai
from tests.fakes.fake_tgi import FakeTgi

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """Answer every GET in one way."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def problem(backends: Backends) -> BackendProblem:
    (found,) = await look(backends)
    assert isinstance(found, BackendProblem)
    return found


async def test_an_openai_server_tells_model_window_and_name() -> None:
    async with fake_openai(Behaviour(window=32_768)) as fake:
        base = fake.url.removesuffix("/v1")

        assert await look(Backends(openai=(fake.url,))) == [Serving(base, "fake-chat", 32_768, "vllm")]
        assert await look(Backends(openai=(base,), window=9000)) == [Serving(base, "fake-chat", 9000, "vllm")]


async def test_the_model_is_the_one_of_the_endpoint_else_the_one_for_all_else_the_first() -> None:
    async with fake_openai() as fake:
        found = await look(Backends(openai=(f"{fake.url}#another", fake.url), model="fake-chat"))

    assert [each.model for each in found if isinstance(each, Serving)] == ["another", "fake-chat"]


async def test_a_tgi_tells_model_and_window_and_must_serve_the_wanted_one() -> None:
    tgi = FakeTgi()
    await tgi.start()
    try:
        (found,) = await look(Backends(tgi=(tgi.url,)))
        lacking = await problem(Backends(tgi=(tgi.url,), model="large"))
    finally:
        await tgi.stop()

    assert isinstance(found, Serving)
    assert found.model == "fake"
    assert found.window > 0
    assert isinstance(lacking, LacksModel)


async def test_a_server_that_is_not_there_does_not_answer() -> None:
    found = await problem(Backends(openai=(f"http://127.0.0.1:{free_base_port(usual=False)}",)))

    assert isinstance(found, DoesNotAnswer)
    assert "nothing accepts connections" in str(found)


async def test_a_server_that_never_ends_its_answer_does_not_hold_the_start_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.2)
    async with server(drip) as url:
        assert isinstance(await problem(Backends(openai=(url,))), DoesNotAnswer)


async def test_a_server_that_wants_a_key_is_told_apart_and_no_key_is_ever_repeated() -> None:
    async with fake_openai(Behaviour(api_key="right-key")) as fake:
        missing = await problem(Backends(openai=(fake.url,)))
        wrong = await problem(Backends(openai=(fake.url,), openai_key="hunter2"))
        right = await look(Backends(openai=(fake.url,), openai_key="right-key"))

    assert isinstance(missing, NeedsKey)
    assert "needs a key" in str(missing)
    assert isinstance(wrong, NeedsKey)
    assert "refuses the key" in str(wrong)
    assert isinstance(right[0], Serving)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 200])
async def test_what_a_server_writes_about_a_key_is_not_repeated(status: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=status, text=f"wrong key {request.headers.get('Authorization')}")

    async with server(echo) as url:
        assert "hunter2" not in str(await problem(Backends(openai=(url,), openai_key="hunter2")))


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "5",
        '{"data": 5}',
        '{"data": [{"id": "m", "max_model_len": 1e400}]}',
        "[" * 5000,
    ],
)
async def test_another_page_is_told_as_something_else(body: str) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    async with server(page) as url:
        assert isinstance(await problem(Backends(openai=(url,))), AnswersSomethingElse)
        assert isinstance(await problem(Backends(tgi=(url,))), AnswersSomethingElse)


async def test_a_server_without_a_model_is_told() -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text='{"data": []}')

    async with server(page) as url:
        found = await problem(Backends(openai=(url,)))

    assert isinstance(found, LacksModel)
    assert "lists no model" in str(found)


async def test_an_endless_list_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def much(_request: web.Request) -> web.Response:
        return web.Response(body=b" " * 2000)

    monkeypatch.setattr(probe, "MOST_BYTES", 1000)
    async with server(much) as url:
        assert "more than" in str(await problem(Backends(openai=(url,))))


async def test_a_model_that_is_not_listed_is_named_with_some_of_those_that_are() -> None:
    async with fake_openai() as fake:
        found = await problem(Backends(openai=(fake.url,), model="gpt-9"))

    assert isinstance(found, LacksModel)
    assert "gpt-9" in str(found)
    assert "fake-chat, another" in str(found)
