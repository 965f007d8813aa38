"""An open-loop flood of one tree of agents, over real connections: what others wait, counted in turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from services.chassis.gate import FairGate, GateConfig, Visitor
from services.chassis.rpc.methods import Lane
from tests.fakes.manager import RawManager, front
from tests.fakes.tokens import metadata

GET = "/aios.api.memory.v1.MemoryService/GetNote"


class Noted(FairGate):
    """A gate that counts how many calls of other trees it admits before each call that comes."""

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self.order: list[str] = []
        self.waits: dict[str, list[int]] = {}

    @asynccontextmanager
    async def admit(self, visitor: Visitor) -> AsyncIterator[None]:
        tree, before = visitor.tree[1], len(self.order)
        async with super().admit(visitor):
            self.waits.setdefault(tree, []).append(len(self.order) - before)
            self.order.append(tree)
            yield


@pytest.mark.torture
async def test_a_flood_of_one_tree_costs_a_quiet_agent_a_bounded_number_of_turns() -> None:
    parents = {f"child{n}": "flood" for n in range(40)}
    data = Noted(GateConfig(running=8, running_per_tenant=8, running_per_tree=8, running_per_agent=8))

    async def answer(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        await asyncio.sleep(0.02)
        yield request

    refused = 0
    async with RawManager(answer).running() as address, front(address, {Lane.DATA: data}, parents) as channel:
        get: Any = channel.unary_unary(GET)
        calls = []
        for step in range(6000):
            agent = f"child{step % 40}" if step % 10 else f"quiet{step // 10 % 9}"
            calls.append(asyncio.ensure_future(get(b"", metadata=metadata(agent), timeout=120)))
            await asyncio.sleep(0.0005)
        for error in await asyncio.gather(*calls, return_exceptions=True):
            refused += isinstance(error, grpc.aio.AioRpcError)

    quiet = [wait for tree, waits in data.waits.items() if tree != "flood" for wait in waits]
    assert len(quiet) == 600
    assert max(quiet) <= 20  # a call of each of ten trees, and those admitted in the same breath
    assert max(data.waits["flood"]) > 100
    assert refused > 0
