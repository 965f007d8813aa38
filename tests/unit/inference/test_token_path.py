"""The short ways of the token path end where the long ones do."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.openai.wire import Chunk, _plain, read_chunk
from gateway.inference.backends.watchdog import Patience, Watchdog
from gateway.inference.errors import BackendError

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.text(max_size=3), st.just([]), st.just({}), st.just([{}])
)
ELSE = ("index", "finish_reason", "logprobs", "stop_reason", "matched_stop", "text", "message")
DELTA = st.one_of(
    ODD,
    st.dictionaries(
        st.sampled_from(["content", "role", "refusal", "reasoning", "tool_calls"]), ODD, max_size=3
    ),
    st.fixed_dictionaries({"content": st.text(max_size=4)}),
)
CHOICE = st.one_of(
    ODD,
    st.fixed_dictionaries(
        {"delta": DELTA},
        optional=dict.fromkeys(
            ("index", "finish_reason", "logprobs", "stop_reason", "matched_stop", "text", "message"), ODD
        ),
    ),
)
EVENT = st.fixed_dictionaries(
    {"choices": st.one_of(ODD, st.lists(CHOICE, max_size=2))},
    optional={"usage": ODD, "error": ODD, "object": st.sampled_from(["x", "error"]), "type": ODD, "id": ODD},
)


@given(EVENT)
def test_what_is_read_on_the_short_way_is_what_the_long_way_reads(raw: dict[str, Any]) -> None:
    text = _plain(raw)
    if text:
        assert read_chunk(raw) == Chunk(text)


def test_the_usual_event_takes_the_short_way() -> None:
    choice = {"index": 0, "delta": {"content": " a"}, "logprobs": None, "finish_reason": None}
    assert _plain({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}) == " a"
    assert _plain({"choices": [choice | {"finish_reason": "stop"}]}) == ""
    assert _plain({"choices": [choice], "usage": {"prompt_tokens": 1}}) == ""


def stream() -> aiohttp.StreamReader:
    """Return a body that a test feeds."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    return aiohttp.StreamReader(protocol, 2**16, loop=loop)


async def read_all(watchdog: Watchdog) -> None:
    """Read to the end."""
    while await watchdog.read(10):
        pass


@pytest.mark.parametrize("patience", [Patience(0.02, 3600.0), Patience(3600.0, 0.02)])
async def test_a_stream_that_stands_still_is_given_up(patience: Patience) -> None:
    watchdog = Watchdog(stream(), patience)
    try:
        with pytest.raises(TimeoutError):
            await read_all(watchdog)
    finally:
        watchdog.close()


async def test_comments_without_events_do_not_keep_a_stream_alive() -> None:
    body = stream()
    watchdog = Watchdog(body, Patience(3600.0, 0.05))

    async def comments() -> None:
        while True:
            body.feed_data(b":\n")
            await asyncio.sleep(0.001)

    feeding = asyncio.create_task(comments())
    try:
        with pytest.raises(TimeoutError):
            await read_all(watchdog)
    finally:
        feeding.cancel()
        watchdog.close()


async def test_the_time_that_the_reader_takes_is_no_fault_of_the_stream() -> None:
    body = stream()
    watchdog = Watchdog(body, Patience(0.02, 0.02))
    try:
        await asyncio.sleep(0.1)
        body.feed_data(b"late")

        assert await watchdog.read(10) == b"late"
        watchdog.told()
        body.feed_eof()
        assert await watchdog.read(10) == b""
        await asyncio.sleep(0.1)
        assert body.exception() is None
    finally:
        watchdog.close()


async def test_an_error_event_is_never_taken_for_text() -> None:
    choice = {"index": 0, "delta": {"content": "a"}}
    with pytest.raises(BackendError):
        read_chunk({"object": "error", "choices": [choice]})

    assert _plain({"object": "error", "choices": [choice]}) == ""
