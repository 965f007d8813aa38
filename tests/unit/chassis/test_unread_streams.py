"""How a server tells who reads a stream from who does not, and what it does about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.chassis.auth.authz_client import Permission
from services.chassis.auth.identity import Kind, Principal
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import SlowReader
from services.chassis.rpc.live_streams import LiveStream, LiveStreams
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock


@dataclass
class Open:
    """Streams of agents, opened by hand."""

    clock: FakeClock = field(default_factory=FakeClock)
    streams: Any = None

    def of(self, **limits: Any) -> "Open":
        self.streams = LiveStreams(AllowOwner(), self.clock, reader_seconds=5.0, **limits)
        return self

    @asynccontextmanager
    async def one(
        self, agent: str, tree: str = "", *, endless: bool = False, holds_place: bool = True
    ) -> AsyncIterator[LiveStream]:
        with suppress(TimeoutError):  # by which a stream is interrupted
            async with asyncio.timeout(None) as timer:
                stream = LiveStream(timer, endless=endless, holds_place=holds_place)
                self.streams.open(stream)
                try:
                    self.streams.identified(stream, Principal(agent, "t", Kind.AGENT))
                    self.streams.admitted(stream, None, Permission(tree=tree))
                    yield stream
                finally:
                    self.streams.close(stream)

    async def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.streams.sweep()


async def test_a_reader_that_takes_a_message_now_and_then_is_none_that_takes_nothing() -> None:
    made = Open().of()
    async with made.one("a") as stream:
        stream.sending = True
        for _ in range(20):
            await made.after(4.0)
            stream.sent += 1
        steady = stream.error
        for _ in range(3):
            await made.after(4.0)

    assert steady is None
    assert isinstance(stream.error, SlowReader)


async def test_a_stream_that_has_nothing_to_say_is_not_ended_for_its_silence() -> None:
    made = Open().of()
    async with made.one("a") as stream:
        for _ in range(20):
            await made.after(60.0)

    assert stream.error is None


async def test_a_stream_that_holds_no_place_may_rest_longer() -> None:
    made = Open().of()
    async with made.one("a", holds_place=False) as stream:
        stream.sending = True
        for _ in range(7):
            await made.after(4.0)
        resting = stream.error
        for _ in range(2):
            await made.after(4.0)

    assert resting is None
    assert isinstance(stream.error, SlowReader)


async def test_who_leaves_too_many_ended_streams_unread_opens_no_more_until_told_or_gone() -> None:
    made = Open().of(unread=Cap(1, 2, 9))
    async with made.one("a", "root") as first:
        first.sending = True
    with pytest.raises(TooManyCalls) as refused:
        async with made.one("a", "root"):
            pass
    async with made.one("b", "root") as second:
        second.sending = True
    with pytest.raises(TooManyCalls) as of_tree:
        async with made.one("c", "root"):
            pass
    async with made.one("other"):
        pass
    made.streams.told(first)
    async with made.one("c", "root") as again:
        assert again.error is None

    assert [each.value.metadata["level"] for each in (refused, of_tree)] == ["agent", "tree"]


async def test_watches_are_bounded_by_agent_by_tree_and_by_tenant() -> None:
    made = Open().of(watches=Cap(1, 2, 3))
    levels = []
    async with made.one("a", "root", endless=True), made.one("b", "root", endless=True):
        for agent, tree in (("a", "root"), ("c", "root")):
            with pytest.raises(TooManyCalls) as refused:
                async with made.one(agent, tree, endless=True):
                    pass
            levels.append(refused.value.metadata["level"])
        async with made.one("x", endless=True):
            with pytest.raises(TooManyCalls) as refused:
                async with made.one("y", endless=True):
                    pass
            levels.append(refused.value.metadata["level"])
        async with made.one("y", endless=True):
            pass

    assert levels == ["agent", "tree", "tenant"]
    assert made.streams._watches.held == 0
