"""The gate of the DATA lane: the short does not wait behind the long, and no tree has more than its share."""

import asyncio
from contextlib import AsyncExitStack

from gateway.data_gate import DataGate
from services.chassis.gate import GateConfig, Visitor

BRISK = GateConfig(running=4, running_per_tenant=4, running_per_tree=2, running_per_agent=2)
LONG = GateConfig(running=3, running_per_tenant=3, running_per_tree=3, running_per_agent=3)


def visitor(agent: str, *, tree: str = "", brisk: bool = True) -> Visitor:
    return Visitor(agent=("acme", agent), tree=("acme", tree), brisk=brisk)


async def test_a_gate_full_of_streams_lets_brisk_calls_through() -> None:
    gate = DataGate(BRISK, LONG)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(gate.admit(visitor("mal", brisk=False)))

        async with asyncio.timeout(1), gate.admit(visitor("mal")):
            assert gate.running == 4


async def test_a_tree_has_few_brisk_calls_under_way_and_others_pass_it() -> None:
    gate = DataGate(BRISK, LONG)
    async with AsyncExitStack() as stack:
        for n in range(2):
            await stack.enter_async_context(gate.admit(visitor(f"child{n}", tree="mal")))
        third = asyncio.create_task(gate.admit(visitor("child2", tree="mal")).__aenter__())
        await asyncio.sleep(0)

        async with asyncio.timeout(1), gate.admit(visitor("amy")):
            assert gate.waiting == 1
            assert not third.done()
    await third
