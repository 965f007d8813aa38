"""Watches come in by turns: a burst that is refused costs nobody but who opened it.

The pace of refusals is a fake that tells none until the test says so.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from typing import Any

import grpc
import pytest

from aios.api.storage.v1 import storage_pb2
from services.chassis.pace import RefusalPace
from services.chassis.rpc.codes import Code
from services.chassis.rpc.watch_turns import AT_ONCE, DOUBT_SECONDS
from tests.fakes.access import AllowOwner
from tests.fakes.manager import RawManager, front
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

WATCH = "/aios.api.storage.v1.StorageService/WatchFiles"
LET_IN = (("aios-open", "1"),)


class Silence(RefusalPace):
    """Tells refusals only once `told` is set."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.told = asyncio.Event()

    async def refused(self, _party: Hashable, _code: Code, _size: int = 0, *, watch: bool = False) -> None:
        """Wait for the test."""
        assert watch
        await self.told.wait()


def burst(channel: grpc.aio.Channel, agent: str, count: int = 40, *, of: str = "") -> list[Any]:
    watch: Any = channel.unary_stream(WATCH)
    request = storage_pb2.WatchFilesRequest(parent=f"agents/{of or agent}/files").SerializeToString()
    return [watch(request, metadata=metadata(agent)) for _ in range(count)]


@pytest.mark.parametrize("when", ["at once", "after it was let in"])
async def test_a_manager_that_refuses_a_burst_is_asked_for_no_more_of_it_than_are_told(when: str) -> None:
    asked: list[str] = []
    pace = Silence()

    async def answer(request: bytes, context: Any) -> AsyncIterator[bytes]:
        parent = storage_pb2.WatchFilesRequest.FromString(request).parent
        asked.append(parent)
        if when != "at once" or parent == "agents/amy/files":
            await context.send_initial_metadata(LET_IN)
        if parent == "agents/mal/files":
            await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        yield b"open"
        await asyncio.sleep(60)

    async with RawManager(answer).running() as address, front(address, pace=pace) as channel:
        hostile = burst(channel, "mal")
        await until(lambda: asked.count("agents/mal/files") >= AT_ONCE)
        mine = burst(channel, "amy", 3 * AT_ONCE)
        assert [await call.read() for call in mine] == [b"open"] * len(mine)
        await asyncio.sleep(3 * DOUBT_SECONDS)
        assert asked.count("agents/mal/files") == AT_ONCE
        pace.told.set()
        assert {await call.code() for call in hostile} == {grpc.StatusCode.NOT_FOUND}
        for call in mine:
            call.cancel()


async def test_access_is_asked_about_no_more_of_a_refused_burst_than_are_told() -> None:
    pace, rules = Silence(), AllowOwner()
    async with (
        RawManager().running() as address,
        front(address, pace=pace, authorizer=rules) as channel,
    ):
        hostile = burst(channel, "mal", of="amy")
        await until(lambda: len(rules.asked) >= AT_ONCE)
        assert [await call.read() for call in burst(channel, "amy", 1)] != [grpc.aio.EOF]
        assert [each.principal.agent for each in rules.asked].count("mal") == AT_ONCE
        for call in hostile[: len(hostile) // 2]:
            call.cancel()
        pace.told.set()
        codes = [await call.code() for call in hostile]
        assert set(codes) == {grpc.StatusCode.CANCELLED, grpc.StatusCode.PERMISSION_DENIED}


async def test_watches_that_are_let_in_and_stay_silent_keep_no_turn() -> None:
    asked = 0

    async def answer(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        await context.send_initial_metadata(LET_IN)
        await asyncio.sleep(60)
        yield b""

    async with RawManager(answer).running() as address, front(address) as channel:
        calls = burst(channel, "amy")
        await until(lambda: asked == len(calls))
        for call in calls:
            call.cancel()
