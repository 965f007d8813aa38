"""What a backend sends without measure: others have their turns meanwhile, and it comes to an end."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest

from gateway.inference.backends.openai import wire as openai
from gateway.inference.backends.reading import MOST_OBJECTS, MOST_SILENT, objects
from gateway.inference.backends.tgi import wire as tgi
from gateway.inference.backends.transport import LONG_BYTES, PIECE_BYTES, follow, read_aside
from gateway.inference.backends.watchdog import Patience
from gateway.inference.errors import BackendBroken

SAID = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
READERS: dict[str, Any] = {"openai": openai.EventReader, "tgi": tgi.EventReader}


class Response:
    """Stands for a server's answer, all of which is there already."""

    def __init__(self, body: bytes, content_type: str = "text/event-stream") -> None:
        self.status, self.content_type, self.content = 200, content_type, self
        self._left = body

    async def read(self, size: int) -> bytes:
        """Take some of it, without a wait."""
        found, self._left = self._left[:size], self._left[size:]
        return found

    async def iter_any(self) -> AsyncGenerator[bytes, None]:
        """Take all of it."""
        yield self._left

    def close(self) -> None:
        """Leave the rest."""
        self._left = b""


class WhereRead(openai.EventReader):
    """Notes in which threads it reads what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def _read(self, events: Iterable[bytes]) -> Any:
        for chunk in super()._read(events):
            self.threads.add(threading.get_ident())
            yield chunk


async def followed(response: Response, reader: Any) -> tuple[list[Any], int]:
    """Follow an answer to its end; returns the events, and how many turns somebody else had meanwhile."""
    turns = 0

    async def opened() -> Any:
        return response

    async def bystander() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(bystander())
    try:
        events = follow(opened, reader, lambda *_: None, Patience(10.0, 10.0), lambda _: None)
        return [each async for each in events], turns
    finally:
        other.cancel()


@pytest.mark.parametrize("line", [b"data: {}\n", b": there\n", b"\r", b"data: x\n\n"])
async def test_a_flood_is_read_in_short_turns(line: bytes) -> None:
    pieces = 40
    flood = line * (pieces * PIECE_BYTES // len(line))
    found, turns = await followed(
        Response(flood + b"\n\n" + SAID + b"data: [DONE]\n\n"), openai.EventReader()
    )

    assert [chunk.text for chunk in found] == ["hi"]
    assert turns >= pieces - 1


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
async def test_a_long_event_is_read_in_a_thread(content_type: str) -> None:
    long = {"choices": [{"delta": {"content": "a" * (LONG_BYTES + PIECE_BYTES)}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(long).encode() + b"\n\n" + b": the end\n" * PIECE_BYTES
    reader = WhereRead()
    [chunk], _turns = await followed(Response(body, content_type), reader)

    assert len(chunk.text) == LONG_BYTES + PIECE_BYTES
    assert reader.threads
    assert threading.get_ident() not in reader.threads


async def test_a_long_answer_to_a_question_is_read_in_a_thread_and_a_short_one_at_once() -> None:
    here = threading.get_ident()

    assert await read_aside(LONG_BYTES, threading.get_ident) == here
    assert await read_aside(LONG_BYTES + 1, threading.get_ident) != here


@pytest.mark.parametrize("framing", ["in a row", "list"])
def test_one_event_holds_few_objects(framing: str) -> None:
    def event(count: int) -> bytes:
        return b"{}" * count if framing == "in a row" else b"[" + b",".join([b"{}"] * count) + b"]"

    assert len(objects(event(MOST_OBJECTS))) == MOST_OBJECTS
    with pytest.raises(BackendBroken):
        objects(event(MOST_OBJECTS + 1))


@pytest.mark.parametrize("of", ["choices", "tool_calls"])
def test_one_event_holds_few_choices_and_parts_of_calls(of: str) -> None:
    def told(count: int) -> dict[str, Any]:
        if of == "choices":
            return {"choices": [{"index": 1}] * count}
        return {"choices": [{"delta": {"tool_calls": [{"index": 0}] * count}}]}

    openai.read_chunk(told(MOST_OBJECTS))
    with pytest.raises(BackendBroken):
        openai.read_chunk(told(MOST_OBJECTS + 1))


@pytest.mark.parametrize("driver", list(READERS))
def test_events_that_tell_nothing_come_to_an_end(driver: str) -> None:
    reader, silent = READERS[driver](), b'data: {"a":1}\n\n'

    assert list(reader.feed(silent * MOST_SILENT)) == []
    with pytest.raises(BackendBroken):
        list(reader.feed(silent))


def test_only_events_in_a_row_that_tell_nothing_are_too_many() -> None:
    reader, silent = openai.EventReader(), b"data: {}\n\n"
    for _ in range(2):
        assert len(list(reader.feed(silent * MOST_SILENT + SAID))) == 1


@pytest.mark.parametrize("entry", [1, {}, {"id": "m"}])
def test_a_server_tells_of_few_models(entry: Any) -> None:
    openai.parse_models([entry] * MOST_OBJECTS)
    with pytest.raises(BackendBroken):
        openai.parse_models([entry] * (MOST_OBJECTS + 1))
