"""The gate of the CONTROL lane: turns by tree, places for those who watch over agents, a bound on streams."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from gateway.control_gate import ControlGate
from gateway.metrics import GateMetrics
from services.chassis.auth.identity import Kind
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.gate import FairGate, Gate, GateConfig, Visitor
from services.chassis.rpc.errors import DeadlineExceeded
from services.chassis.rpc.methods import Lane


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def who(agent: str, root: str = "", **fields: Any) -> Visitor:
    """Describe a call of an agent of the tree of `root`."""
    return Visitor(agent=("t", agent), tree=("t", root or agent), **fields)


class Call:
    """A call that passes the gate and stays until it is told to leave."""

    def __init__(self, gate: Gate, visitor: Visitor, log: list[str] | None = None) -> None:
        self.leave = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._visit(gate, visitor, log if log is not None else []))

    async def _visit(self, gate: Gate, visitor: Visitor, log: list[str]) -> None:
        async with gate.admit(visitor):
            log.append(visitor.agent[1])
            self.inside = True
            try:
                await self.leave.wait()
            finally:
                self.inside = False


async def end(*calls: Call) -> None:
    """Let calls go."""
    for each in calls:
        each.leave.set()
    await asyncio.gather(*(each.task for each in calls))


async def test_an_agent_a_tree_and_the_lane_run_no_more_calls_than_they_may() -> None:
    gate = FairGate(GateConfig(running=5, running_per_tree=3, running_per_agent=2))
    one = [Call(gate, who("child1", "root")) for _ in range(4)]
    two = [Call(gate, who("child2", "root")) for _ in range(4)]
    others = [Call(gate, who("other")) for _ in range(4)]
    await settle()
    running = [sum(each.inside for each in calls) for calls in (one, two, others)]
    waiting = gate.waiting
    await end(*one, *two, *others)

    assert running == [2, 1, 2]
    assert waiting == 7
    assert (gate.running, gate.waiting, gate.oldest_wait()) == (0, 0, 0.0)


@pytest.mark.parametrize("running_per_tree", [1, 64])
async def test_a_crowd_of_children_gets_no_more_turns_than_one_agent(running_per_tree: int) -> None:
    log: list[str] = []
    gate = FairGate(GateConfig(running=1, running_per_tree=running_per_tree))
    first = Call(gate, who("first"), log)
    await settle()
    crowd = [Call(gate, who(f"child{n}", "root"), log) for n in range(50)]
    await settle()
    alone = [Call(gate, who("alone"), log) for _ in range(3)]
    await settle()
    await end(first, *crowd, *alone)

    assert [at for at, name in enumerate(log) if name == "alone"][-1] <= 8


async def test_the_agents_of_a_tree_take_turns() -> None:
    log: list[str] = []
    gate = FairGate(GateConfig(running=1, running_per_tree=1))
    greedy = [Call(gate, who("greedy", "root"), log) for _ in range(20)]
    await settle()
    modest = Call(gate, who("modest", "root"), log)
    await settle()
    await end(*greedy, modest)

    assert log.index("modest") <= 2


async def test_trees_get_turns_by_the_weight_of_their_roots() -> None:
    log: list[str] = []
    gate = FairGate(GateConfig(running=1))
    first = Call(gate, who("first"), log)
    await settle()
    calls = [Call(gate, who("heavy", tree_weight=3.0), log) for _ in range(9)]
    calls += [Call(gate, who("light"), log) for _ in range(9)]
    await settle()
    await end(first, *calls)

    assert Counter(log[1:9])["heavy"] == 6


async def test_too_many_waiting_calls_are_refused_by_agent_by_tree_and_by_lane() -> None:
    config = GateConfig(running=1, running_per_tree=1, waiting_per_agent=2, waiting_per_tree=3, waiting=5)
    gate = FairGate(config)
    calls = [Call(gate, who("a", "root")) for _ in range(3)]
    await settle()
    with pytest.raises(TooManyCalls) as of_agent:
        async with gate.admit(who("a", "root")):
            pass
    calls.append(Call(gate, who("b", "root")))
    await settle()
    with pytest.raises(TooManyCalls) as of_tree:
        async with gate.admit(who("c", "root")):
            pass
    calls += [Call(gate, who(name)) for name in ("x", "y")]
    await settle()
    with pytest.raises(QueueFull) as of_lane:
        async with gate.admit(who("z")):
            pass
    await end(*calls)

    assert all(each.value.retry_after for each in (of_agent, of_tree, of_lane))
    assert [each.value.metadata["level"] for each in (of_agent, of_tree)] == ["agent", "tree"]
    subjects = [each.value.quota and each.value.quota.subject for each in (of_agent, of_tree)]
    assert subjects == ["agents/a", "agents/root"]
    assert (gate.running, gate.waiting, gate.turns.root.children) == (0, 0, {})


async def test_a_waiting_call_ends_with_its_deadline_and_leaves_no_trace() -> None:
    gate = FairGate(GateConfig(running=1))
    first = Call(gate, who("a"))
    await settle()
    with pytest.raises(DeadlineExceeded):
        async with gate.admit(who("b", deadline=asyncio.get_running_loop().time() + 0.01)):
            pass
    waiting, oldest = gate.waiting, gate.oldest_wait()
    await end(first)

    assert (waiting, oldest, gate.running, gate.turns.root.children) == (0, 0.0, 0, {})


async def test_however_many_agents_flood_an_administrator_and_a_newcomer_get_through() -> None:
    gate = ControlGate(GateConfig(running=1))
    flood = [Call(gate, who(f"a{n}")) for n in range(30)]
    await settle()
    admin = Call(gate, who("ops", kind=Kind.ADMIN))
    service = Call(gate, who("tool", kind=Kind.SERVICE))
    newcomer = Call(gate, Visitor(agent=("", "10.0.0.1"), kind=Kind.ANONYMOUS))
    await settle()
    through = [admin.inside, service.inside, newcomer.inside]
    shown = (gate.running, gate.waiting)
    await end(*flood, admin, service, newcomer)

    assert through == [True, True, True]
    assert shown == (4, 29)
    assert (gate.running, gate.waiting, gate.oldest_wait()) == (0, 0, 0.0)


async def test_those_who_watch_over_agents_are_bounded_too_and_apart_from_newcomers() -> None:
    tight = GateConfig(running=2, running_per_agent=1, waiting_per_agent=0)
    gate = ControlGate(GateConfig(), tight, tight)
    inside = Call(gate, who("ops", kind=Kind.ADMIN))
    other = Call(gate, who("ops2", kind=Kind.ADMIN))
    await settle()
    with pytest.raises(TooManyCalls):
        async with gate.admit(who("ops", kind=Kind.ADMIN)):
            pass
    newcomer = Call(gate, Visitor(agent=("", "10.0.0.1"), kind=Kind.ANONYMOUS))
    await settle()
    through = newcomer.inside
    await end(inside, other, newcomer)

    assert through


async def test_an_administrators_kill_waits_for_none_of_its_own_lists() -> None:
    tight = GateConfig(running=1, waiting_per_agent=1)
    gate = ControlGate(guardians=tight)
    lists = [Call(gate, who("ops", kind=Kind.ADMIN)) for _ in range(2)]
    await settle()
    with pytest.raises(TooManyCalls):
        async with gate.admit(who("ops", kind=Kind.ADMIN)):
            pass
    kill = Call(gate, who("ops", kind=Kind.ADMIN, urgent=True))
    await settle()
    through = kill.inside
    await end(*lists, kill)

    assert through


async def test_an_agents_own_kills_have_no_places_of_their_own() -> None:
    gate = ControlGate(GateConfig(running=1, waiting_per_agent=0))
    inside = Call(gate, who("a"))
    await settle()
    with pytest.raises(TooManyCalls):
        async with gate.admit(who("a", urgent=True)):
            pass
    await end(inside)


async def test_waits_are_measured_as_those_of_other_lanes() -> None:
    registry = CollectorRegistry()
    gate = ControlGate(GateConfig(running=1))
    metrics = GateMetrics(registry, {Lane.CONTROL: gate})
    calls = [Call(gate, who("a")), Call(gate, who("b"))]
    await settle()
    shown = {
        name: registry.get_sample_value(f"aios_gate_{name}", {"lane": "control"})
        for name in ("running", "waiting")
    }
    with suppress(TooManyCalls), metrics.waiting(Lane.CONTROL, 0.0):
        raise TooManyCalls("full")
    labels = {"lane": "control", "outcome": "rejected_full"}
    await end(*calls)

    assert shown == {"running": 1, "waiting": 1}
    assert registry.get_sample_value("aios_gate_wait_seconds_count", labels) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "come", "leave", "give up"]), st.integers(0, 11)), max_size=60
    )
)
async def test_no_step_loses_a_place_or_lets_too_many_in(steps: list[tuple[str, int]]) -> None:
    gate = FairGate(GateConfig(running=3, running_per_tree=2, running_per_agent=1))
    calls: list[tuple[str, str, Call]] = []
    for what, number in steps:
        there = [each for each in calls if not each[2].task.done()]
        if what == "come":
            agent, root = f"a{number % 6}", f"r{number % 2}"
            calls.append((agent, root, Call(gate, who(agent, root))))
        elif there:
            _, _, chosen = there[number % len(there)]
            if what == "leave":
                chosen.leave.set()
            else:
                chosen.task.cancel()
        await settle()
        there = [each for each in calls if not each[2].task.done()]
        inside = [each for each in there if each[2].inside]
        assert (gate.running, gate.waiting) == (len(inside), len(there) - len(inside))
        assert len(inside) <= 3
        assert all(count <= 2 for count in Counter(root for _, root, _ in inside).values())
        assert all(count <= 1 for count in Counter(agent for agent, _, _ in inside).values())
    for _, _, each in calls:
        each.task.cancel()
    await asyncio.gather(*(each.task for _, _, each in calls), return_exceptions=True)

    assert (gate.running, gate.waiting, gate.turns.root.children) == (0, 0, {})
