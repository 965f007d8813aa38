"""Whoever watches files hears of this process's changes without looking for them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import ServiceUnavailable
from services.storage.model import Change
from services.storage.service.files import NewFile
from services.storage.service.watching import WatchService
from tests.fakes.storage import PLANNER, Kernel, call
from tests.fakes.waiting import until

NEVER = 3600.0
"""Seconds between looks: no test waits for one."""


async def test_a_change_of_a_file_wakes_who_watches_it() -> None:
    kernel = Kernel()
    await kernel.service.files.write(call(), NewFile("a", b"old"))
    watching = WatchService(kernel.engine, poll_seconds=NEVER, heartbeat_seconds=NEVER)
    async with aclosing(watching.watch(PLANNER, "a", 0)) as events:
        await anext(events)
        change = asyncio.ensure_future(anext(events))
        for _ in range(20):
            await asyncio.sleep(0)
        await kernel.service.files.write(call(), NewFile("a", b"new"))
        seen = await change

    assert isinstance(seen, Change)
    assert seen.node.path == "a"


async def looks_while_idle(watches: int, *, scopes: int = 1) -> float:
    """Return how many looks at the index were made for each poll while so many watches were idle."""
    kernel, polls = Kernel(), 0
    watching = WatchService(kernel.engine, poll_seconds=0.01, heartbeat_seconds=NEVER)
    index: Any = kernel.index
    whole = index.last_sequences

    async def counted(wanted: Any) -> Any:
        nonlocal polls
        polls += 1
        return await whole(wanted)

    index.last_sequences = counted
    async with AsyncExitStack() as stack:
        waits = []
        for number in range(watches):
            scope = Scope(PLANNER.tenant, f"agent{number % scopes}")
            events: AsyncGenerator[Any, None] = watching.watch(scope, "", 0)
            await stack.enter_async_context(aclosing(events))
            await anext(events)
            waits.append(asyncio.ensure_future(anext(events)))
        begun = polls
        await until(lambda: polls >= begun + 4)  # each watch has looked once for itself by now
        before, first = index.looks, polls
        await until(lambda: polls >= first + 5)
        looks, during = index.looks - before, polls - first
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return float(looks / during)


@pytest.mark.parametrize(("watches", "scopes"), [(1, 1), (300, 1), (300, 100)])
async def test_idle_watches_cost_one_look_however_many_there_are(watches: int, scopes: int) -> None:
    assert await looks_while_idle(watches, scopes=scopes) == 1.0


async def test_a_change_by_another_process_is_found_by_the_one_look() -> None:
    kernel = Kernel()
    await kernel.service.files.write(call(), NewFile("a", b"old"))
    watching = WatchService(kernel.engine, poll_seconds=0.01, heartbeat_seconds=NEVER)
    async with aclosing(watching.watch(PLANNER, "a", 0)) as events:
        await anext(events)
        change = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)
        silent: Any = kernel.engine
        silent.notifier.notify = lambda _topic=None: None  # as if the change were made elsewhere
        await kernel.service.files.write(call(), NewFile("a", b"new"))
        del silent.notifier.notify
        seen = await asyncio.wait_for(change, 10)

    assert isinstance(seen, Change)


async def test_many_watches_of_one_place_read_a_change_once() -> None:
    kernel = Kernel()
    await kernel.service.files.write(call(), NewFile("a", b"old"))
    watching = WatchService(kernel.engine, poll_seconds=NEVER, heartbeat_seconds=NEVER)
    async with AsyncExitStack() as stack:
        waits = []
        for _ in range(50):
            events = await stack.enter_async_context(aclosing(watching.watch(PLANNER, "a", 0)))
            await anext(events)
            waits.append(asyncio.ensure_future(anext(events)))
        for _ in range(20):
            await asyncio.sleep(0)
        index: Any = kernel.index
        before = index.looks
        await kernel.service.files.write(call(), NewFile("a", b"new"))
        await asyncio.gather(*waits)

        assert index.looks - before < 5


async def test_watches_end_with_the_error_when_the_index_cannot_be_looked_at() -> None:
    kernel = Kernel()
    watching = WatchService(kernel.engine, poll_seconds=0.01, heartbeat_seconds=NEVER)
    async with aclosing(watching.watch(PLANNER, "", 0)) as events:
        await anext(events)
        change = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.03)

        async def gone(_scopes: Any) -> Any:
            raise ServiceUnavailable("the database is away")

        index: Any = kernel.index
        index.last_sequences = gone
        with pytest.raises(ServiceUnavailable):
            await asyncio.wait_for(change, 10)
