"""Several streams merged into one: nothing is lost, and all end when one fails or the reader leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from gateway.http.choices import merged


class Streams:
    """Streams that count how many of them were closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def telling(self, *events: int) -> AsyncGenerator[int, None]:
        try:
            for event in events:
                await asyncio.sleep(0)
                yield event
        finally:
            self.closed += 1

    async def silent(self) -> AsyncGenerator[int, None]:
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            self.closed += 1

    async def failing(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
            raise LookupError
        finally:
            self.closed += 1


async def read(events: AsyncGenerator[tuple[int, int], None]) -> list[tuple[int, int]]:
    """Read a stream to its end, within bounds."""
    async with asyncio.timeout(10):
        return [pair async for pair in events]


async def test_every_event_comes_with_the_number_of_its_stream_and_in_its_order() -> None:
    streams = Streams()

    found = await read(merged([streams.telling(1, 2, 3), streams.telling(), streams.telling(4, 5)]))

    assert [event for index, event in found if index == 0] == [1, 2, 3]
    assert [event for index, event in found if index == 2] == [4, 5]
    assert streams.closed == 3


async def test_a_failure_ends_streams_that_are_silent_too() -> None:
    streams = Streams()

    with pytest.raises(LookupError):
        await read(merged([streams.silent(), streams.failing(), streams.silent()]))

    assert streams.closed == 3


async def test_a_reader_that_leaves_ends_them_all_the_one_it_was_just_told_of_too() -> None:
    streams = Streams()

    async with asyncio.timeout(10), aclosing(merged([streams.telling(1, 2), streams.silent()])) as events:
        await anext(events)

    assert streams.closed == 2
