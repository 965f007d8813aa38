"""The fair gate of the DATA and TOOL lanes."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.gate import FairGate, GateConfig
from services.chassis.refusals import QueueFull, TooManyCalls

A, B = ("t", "a"), ("t", "b")


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Visitor:
    """A call that passes the gate and stays until it is told to leave."""

    def __init__(self, gate: FairGate, agent: tuple[str, str], log: list[tuple[str, str]]) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, agent, log))

    async def _visit(self, gate: FairGate, agent: tuple[str, str], log: list[tuple[str, str]]) -> None:
        async with gate.pass_through(agent):
            log.append(agent)
            await self.leave.wait()


async def test_no_more_calls_are_inside_than_allowed() -> None:
    gate, log = FairGate(GateConfig(running=2)), []  # type: ignore[var-annotated]
    visitors = [Visitor(gate, A, log) for _ in range(5)]
    await settle()

    assert (gate.running, gate.waiting) == (2, 3)
    for visitor in visitors:
        visitor.leave.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))
    assert (gate.running, gate.waiting) == (0, 0)


async def test_a_flood_of_one_agent_delays_another_by_one_call() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    flood = [Visitor(gate, A, log) for _ in range(10)]
    await settle()
    quiet = Visitor(gate, B, log)
    await settle()
    for visitor in [*flood, quiet]:
        visitor.leave.set()
    await asyncio.gather(quiet.task, *(visitor.task for visitor in flood))

    assert log.index(B) <= 2


async def test_one_agent_cannot_hold_every_place() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=10, running_per_agent=3))
    flood = [Visitor(gate, A, log) for _ in range(10)]
    quiet = Visitor(gate, B, log)
    await settle()

    assert log.count(A) == 3
    assert log.count(B) == 1
    for visitor in [*flood, quiet]:
        visitor.leave.set()
    await asyncio.gather(quiet.task, *(visitor.task for visitor in flood))


async def test_a_call_that_gives_up_leaves_no_trace() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    first, second, third = (Visitor(gate, A, log) for _ in range(3))
    await settle()
    second.task.cancel()
    await settle()

    assert gate.waiting == 1
    first.leave.set()
    third.leave.set()
    await asyncio.gather(first.task, third.task)
    assert gate.running == 0


async def test_a_call_cancelled_at_the_moment_it_is_admitted_gives_its_place_back() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    first, second = Visitor(gate, A, log), Visitor(gate, B, log)
    await settle()
    first.leave.set()
    await asyncio.sleep(0)
    second.task.cancel()
    await asyncio.gather(first.task, second.task, return_exceptions=True)

    assert (gate.running, gate.waiting) == (0, 0)


async def test_a_call_that_gives_up_while_a_place_becomes_free_does_not_take_it() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    first, second, third = Visitor(gate, A, log), Visitor(gate, B, log), Visitor(gate, ("t", "c"), log)
    await settle()
    second.task.cancel()
    first.leave.set()
    third.leave.set()
    await asyncio.gather(first.task, second.task, third.task, return_exceptions=True)

    assert log == [A, ("t", "c")]
    assert (gate.running, gate.waiting) == (0, 0)


async def test_too_many_waiting_calls_are_refused_with_a_time_to_come_back() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1, waiting_per_agent=2, waiting=3))
    visitors = [Visitor(gate, A, log) for _ in range(3)]
    await settle()
    async with AsyncExitStack() as stack:
        with pytest.raises(TooManyCalls) as refusal:
            await stack.enter_async_context(gate.pass_through(A))
        other = Visitor(gate, B, log)
        await settle()
        with pytest.raises(QueueFull):
            await stack.enter_async_context(gate.pass_through(("t", "c")))

    assert refusal.value.retry_after
    for visitor in [*visitors, other]:
        visitor.leave.set()
    await asyncio.gather(other.task, *(visitor.task for visitor in visitors))
