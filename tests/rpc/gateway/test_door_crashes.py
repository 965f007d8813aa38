"""What dies behind the door is a pause to its clients; what dies with it is found again by its key."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.fakes.waiting import until

HEADERS = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}
TURN = [{"role": "user", "content": "tell me"}]
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": TURN, "max_tokens": 40}),
    "responses": ("/v1/responses", {"input": "tell me", "max_output_tokens": 40, "store": False}),
    "messages": ("/v1/messages", {"messages": TURN, "max_tokens": 40}),
}


def text_of(dialect: str, event: dict[str, Any]) -> str:
    """Return the text that an event adds."""
    if dialect == "chat":
        return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    if dialect == "responses":
        return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""
    return str(event["delta"].get("text", "")) if event["type"] == "content_block_delta" else ""


def ended(dialect: str, event: dict[str, Any]) -> bool:
    """Whether an event tells a good end."""
    if dialect == "chat":
        return any(choice["finish_reason"] for choice in event.get("choices", ()))
    return event["type"] in ("response.completed", "response.incomplete", "message_stop")


async def stream(kernel: SmallKernel, dialect: str, **headers: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of one streamed answer, greedy."""
    path, body = BODIES[dialect]
    asked = {"model": "any", "stream": True, "temperature": 0, **body}
    async with (
        aiohttp.ClientSession(headers={**HEADERS, **headers}) as client,
        client.post(kernel.door + path, json=asked) as answer,
    ):
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


async def whole(kernel: SmallKernel, dialect: str, **headers: str) -> str:
    """Return the text of an answer that came to its end."""
    events = [event async for event in stream(kernel, dialect, **headers)]
    assert any(ended(dialect, event) for event in events), events[-1]
    return "".join(text_of(dialect, event) for event in events)


@pytest.mark.parametrize("dialect", BODIES)
async def test_a_backend_and_a_scheduler_that_die_in_mid_stream_are_a_pause_and_nothing_is_repeated(
    dialect: str,
) -> None:
    async with small_kernel(Behaviour(tokens=40)) as kernel:
        undisturbed = await whole(kernel, dialect)

        kernel.tgi.behaviour.die_after = 7
        assert await whole(kernel, dialect) == undisturbed

        kernel.tgi.behaviour.die_after = None
        kernel.tgi.behaviour.token_delay = 0.02
        got: list[str] = []
        stopped = False
        async for event in stream(kernel, dialect):
            got.append(text_of(dialect, event))
            if len("".join(got)) > 20 and not stopped:
                stopped = True
                await kernel.stop("scheduler")
                await kernel.start_scheduler()
        assert stopped
        assert "".join(got) == undisturbed


@pytest.mark.parametrize("dialect", BODIES)
async def test_after_a_gateways_crash_a_retry_with_the_same_key_gets_the_same_generation(
    dialect: str,
) -> None:
    async with small_kernel(
        Behaviour(tokens=40), checkpoint_tokens="4", checkpoint_pause_seconds="0"
    ) as kernel:
        undisturbed = await whole(kernel, dialect)
        kernel.tgi.behaviour.token_delay = 0.02
        before = kernel.snapshots.saves
        key = {"idempotency-key": "the same"}
        got = await _until_saved(kernel, dialect, before, key)
        assert undisturbed.startswith(got)
        assert got != undisturbed
        kernel.tgi.behaviour.token_delay = 0.0
        dropped, finished = kernel.tgi.seen.dropped, kernel.tgi.seen.finished
        assert dropped
        await kernel.start_gateway()
        await kernel.ready()

        assert await whole(kernel, dialect, **key) == undisturbed
        assert await whole(kernel, dialect, **key) == undisturbed
        assert kernel.tgi.seen.finished == finished + 1
        await until(lambda: kernel.tgi.seen.running == 0)


async def _until_saved(kernel: SmallKernel, dialect: str, before: int, key: dict[str, str]) -> str:
    """Stream until the generation was saved, end the gateway, and return the text that came."""
    got: list[str] = []
    with suppress(aiohttp.ClientError, ConnectionError):  # or the dialect's error event, as it comes
        async for event in stream(kernel, dialect, **key):
            assert not ended(dialect, event)
            got.append("" if "error" in event or event.get("type") == "error" else text_of(dialect, event))
            if kernel.snapshots.saves > before and "gateway" in kernel.stacks:
                await kernel.stop("gateway")
    return "".join(got)
