"""The fair gate of the DATA lane, and the bound of the TOOL lane."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from gateway.metrics import GateMetrics
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.gate import FairGate, GateConfig
from services.chassis.gate import Visitor as Visit
from services.chassis.rpc.errors import DeadlineExceeded, KernelError
from services.chassis.rpc.methods import Lane

A, B = ("t", "a"), ("t", "b")
AGENTS = (A, B, ("t", "c"))


def _running(gate: FairGate, agent: tuple[str, str]) -> int:
    node = gate.turns.root.children.get(agent[0])
    for key in (agent, agent):
        node = node.children.get(key) if node is not None else None
    return node.running if node is not None else 0


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Visitor:
    """A call that passes the gate and stays until it is told to leave."""

    def __init__(
        self, gate: FairGate, agent: tuple[str, str], log: list[tuple[str, str]], **how: Any
    ) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, agent, log, **how))

    async def _visit(
        self, gate: FairGate, agent: tuple[str, str], log: list[tuple[str, str]], **how: Any
    ) -> None:
        async with gate.admit(Visit(agent=agent, **how)):
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
            await stack.enter_async_context(gate.admit(Visit(agent=A)))
        other = Visitor(gate, B, log)
        await settle()
        with pytest.raises(QueueFull):
            await stack.enter_async_context(gate.admit(Visit(agent=("t", "c"))))

    assert refusal.value.retry_after
    for visitor in [*visitors, other]:
        visitor.leave.set()
    await asyncio.gather(other.task, *(visitor.task for visitor in visitors))


async def test_agents_get_turns_by_their_weight() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    first = Visitor(gate, ("t", "first"), log)
    await settle()
    visitors = [Visitor(gate, A, log, tree_weight=3.0) for _ in range(9)]
    visitors += [Visitor(gate, B, log) for _ in range(3)]
    await settle()
    for visitor in [first, *visitors]:
        visitor.leave.set()
    await asyncio.gather(first.task, *(visitor.task for visitor in visitors))

    assert log[1:9].count(A) == 6
    assert log[1:9].count(B) == 2


async def test_to_leave_the_line_and_come_back_earns_no_turn() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    first = Visitor(gate, ("t", "first"), log)
    await settle()
    greedy = Visitor(gate, A, log, tree_weight=0.1)
    patient = [Visitor(gate, B, log) for _ in range(3)]
    await settle()
    first.leave.set()
    greedy.leave.set()
    await greedy.task
    again = Visitor(gate, A, log, tree_weight=0.1)
    for visitor in [again, *patient]:
        visitor.leave.set()
    await asyncio.gather(first.task, again.task, *(visitor.task for visitor in patient))

    assert log == [("t", "first"), A, B, B, B, A]


async def test_a_waiting_call_ends_with_its_deadline() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    first = Visitor(gate, A, log)
    await settle()
    late = Visitor(gate, B, log, deadline=asyncio.get_running_loop().time() + 0.01)
    with pytest.raises(DeadlineExceeded):
        await late.task
    waiting = gate.waiting
    first.leave.set()
    await first.task

    assert waiting == 0
    assert gate.running == 0


async def test_a_gate_without_a_line_refuses_what_it_has_no_place_for() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running_per_agent=2, waiting_per_agent=0))
    inside = [Visitor(gate, A, log) for _ in range(2)]
    await settle()
    refused, other = Visitor(gate, A, log), Visitor(gate, B, log)
    with pytest.raises(TooManyCalls):
        await refused.task
    for visitor in [*inside, other]:
        visitor.leave.set()
    await asyncio.gather(other.task, *(visitor.task for visitor in inside))

    assert log == [A, A, B]


async def test_the_oldest_wait_is_that_of_the_first_in_any_line() -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=1))
    nobody = gate.oldest_wait()
    first = Visitor(gate, A, log)
    await settle()
    second = Visitor(gate, B, log)
    await asyncio.sleep(0.02)
    third = Visitor(gate, A, log)
    await settle()
    oldest = gate.oldest_wait()
    for visitor in (first, second, third):
        visitor.leave.set()
    await asyncio.gather(first.task, second.task, third.task)

    assert nobody == 0.0
    assert oldest >= 0.02


@pytest.mark.parametrize(
    ("error", "seconds_left", "outcome"),
    [
        (None, 60.0, "dispatched"),
        (TooManyCalls("x"), 60.0, "rejected_full"),
        (QueueFull("x"), 60.0, "rejected_full"),
        (DeadlineExceeded("x"), -1.0, "evicted_deadline"),
        (asyncio.CancelledError(), -1.0, "evicted_deadline"),
        (asyncio.CancelledError(), 60.0, "evicted_cancelled"),
    ],
)
def test_every_wait_is_measured_by_how_it_ended(
    error: BaseException | None, seconds_left: float, outcome: str
) -> None:
    registry = CollectorRegistry()
    metrics = GateMetrics(registry, {Lane.DATA: FairGate(GateConfig())})
    with (
        suppress(KernelError, asyncio.CancelledError),
        metrics.waiting(Lane.DATA, time.monotonic() + seconds_left),
    ):
        if error is not None:
            raise error

    labels = {"lane": "data", "outcome": outcome}
    assert registry.get_sample_value("aios_gate_wait_seconds_count", labels) == 1
    assert registry.get_sample_value("aios_gate_oldest_wait_seconds", {"lane": "data"}) == 0


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["enter", "enter", "leave", "give up"]), st.integers(0, 9)), max_size=40
    )
)
async def test_no_step_loses_a_place_or_lets_too_many_in(steps: list[tuple[str, int]]) -> None:
    log: list[tuple[str, str]] = []
    gate = FairGate(GateConfig(running=3, running_per_agent=2))
    visitors: list[tuple[tuple[str, str], Visitor]] = []
    for action, number in steps:
        if action == "enter":
            agent = AGENTS[number % 3]
            visitors.append((agent, Visitor(gate, agent, log, tree_weight=1.0 + number % 2)))
        elif visitors and action == "leave":
            visitors[number % len(visitors)][1].leave.set()
        elif visitors:
            visitors[number % len(visitors)][1].task.cancel()
        await settle()
        there = [agent for agent, visitor in visitors if not visitor.task.done()]
        assert gate.running + gate.waiting == len(there)
        inside = Counter({agent: _running(gate, agent) for agent in AGENTS})
        assert gate.running == sum(inside.values()) <= 3
        assert max(inside.values(), default=0) <= 2
        room = [agent for agent in there if there.count(agent) > inside[agent] and inside[agent] < 2]
        assert gate.running == 3 or not room
    for _, visitor in visitors:
        visitor.task.cancel()
    await asyncio.gather(*(visitor.task for _, visitor in visitors), return_exceptions=True)

    assert (gate.running, gate.waiting, gate.turns.root.children) == (0, 0, {})


async def test_calls_that_come_and_go_while_nothing_is_admitted_leave_nothing_behind() -> None:
    gate, log = FairGate(GateConfig(running=1)), []  # type: ignore[var-annotated]
    stay = [Visitor(gate, A, log), Visitor(gate, A, log)]
    await settle()
    for _ in range(6_000):
        visitor = Visitor(gate, B, log)
        await asyncio.sleep(0)
        visitor.task.cancel()
        await asyncio.gather(visitor.task, return_exceptions=True)
    held = len(gate.turns.root.children["t"].heap)
    for each in stay:
        each.leave.set()
    await asyncio.gather(*(each.task for each in stay))

    assert held < 4_200
    assert log == [A, A]
