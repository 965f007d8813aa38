"""Whoever watches files hears of this process's changes without looking for them."""

import asyncio
from contextlib import aclosing

from services.storage.model import Change
from services.storage.service.files import NewFile
from services.storage.service.watching import WatchService
from tests.fakes.storage import PLANNER, Kernel, call

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
