"""Caps on what agents may ask for: at registration, when they change, down the tree."""

from dataclasses import replace
from typing import Any

import pytest

from services.access.errors import PolicyUnknown
from services.access.service.agents import Changes, NewAgent
from services.chassis.dispatch.scheduling import Caps, Hints, SchedulingClass
from services.chassis.rpc.errors import PermissionDenied
from tests.fakes.access_manager import ADMIN, NEW, Desk, agent

PLANNER = agent("planner")
GENEROUS = Caps(SchedulingClass.REALTIME, 10, -5, frozenset({"edf", "fifo"}), shortest_deadline=1)
WIDER: dict[str, dict[str, Any]] = {
    "weight": {"highest_weight": 11},
    "priority": {"lowest_priority": -6},
    "deadline": {"shortest_deadline": 0.5},
    "policies": {"policies": frozenset({"edf", "sjf"})},
}
"""What lets through more than GENEROUS, each by one cap alone."""


async def register(desk: Desk, new: NewAgent, *, by_planner: bool = False) -> None:
    """Register an agent, by the administrator unless told otherwise."""
    await desk.manager.agents.register(PLANNER if by_planner else ADMIN, new, NEW)


async def test_caps_and_hints_survive_the_store(desk: Desk) -> None:
    hints = Hints(SchedulingClass.REALTIME, 7, -3, None, 2.5, "edf")
    await register(desk, NewAgent(id="planner", hints=hints, caps=GENEROUS))
    found = await desk.manager.agents.get(ADMIN, "planner")

    assert (found.hints, found.caps) == (hints, GENEROUS)


async def test_a_roots_caps_hold_what_it_is_registered_with(desk: Desk) -> None:
    await register(desk, NewAgent(id="planner", hints=Hints(SchedulingClass.REALTIME, 4)))
    found = await desk.manager.agents.get(ADMIN, "planner")

    assert found.caps == Caps(SchedulingClass.REALTIME, 4)


async def test_a_child_has_its_parents_caps_and_no_more(desk: Desk) -> None:
    await register(desk, NewAgent(id="planner", caps=GENEROUS))
    await register(desk, NewAgent(id="child", hints=Hints(weight=10, priority=-5)), by_planner=True)
    assert (await desk.manager.agents.get(ADMIN, "child")).caps == GENEROUS

    hasty = Hints(deadline=0.5)
    for hints in (Hints(weight=11), Hints(priority=-6), Hints(policy="sjf"), hasty):
        with pytest.raises(PermissionDenied) as refused:
            await register(desk, NewAgent(id="greedy", hints=hints), by_planner=True)
        assert {"hint", "asked", "cap"} <= refused.value.metadata.keys()
    for cap, wide in WIDER.items():
        for by_planner in (True, False):
            parent = "" if by_planner else "agents/planner"
            new = NewAgent(id="wide", parent=parent, caps=replace(GENEROUS, **wide))
            with pytest.raises(PermissionDenied) as refused:
                await register(desk, new, by_planner=by_planner)
            assert refused.value.metadata["hint"] == f"caps.{cap}"


async def test_a_child_may_be_given_less(desk: Desk) -> None:
    await register(desk, NewAgent(id="planner", caps=GENEROUS))
    less = Caps(SchedulingClass.BATCH, policies=frozenset({"fifo"}), shortest_deadline=9)
    await register(desk, NewAgent(id="child", hints=Hints(SchedulingClass.BATCH), caps=less), by_planner=True)

    with pytest.raises(PermissionDenied) as refused:
        await desk.manager.agents.update(agent("child"), "child", Changes(hints=Hints()), "")
    assert refused.value.metadata["cap"] == "batch"


async def test_lowering_caps_lowers_the_tree_and_raising_them_raises_nobody(desk: Desk) -> None:
    await register(desk, NewAgent(id="planner", caps=GENEROUS))
    await register(desk, NewAgent(id="child", hints=Hints(weight=8, policy="edf")), by_planner=True)
    low = Caps(policies=frozenset({"fifo"}), highest_weight=2, shortest_deadline=1)
    await desk.manager.agents.update(ADMIN, "planner", Changes(caps=low), "")
    lowered = await desk.manager.agents.get(ADMIN, "child")
    assert (lowered.caps, lowered.hints) == (low, Hints(weight=2))

    await desk.manager.agents.update(ADMIN, "planner", Changes(caps=GENEROUS), "")
    assert (await desk.manager.agents.get(ADMIN, "child")).caps == low
    await desk.manager.agents.update(PLANNER, "child", Changes(hints=Hints(weight=9)), "")
    raised = await desk.manager.agents.get(ADMIN, "child")
    assert (raised.caps.highest_weight, raised.hints.weight) == (9, 9)


async def test_an_agent_lowers_its_own_caps_and_cannot_raise_them_again(desk: Desk) -> None:
    await register(desk, NewAgent(id="planner", caps=GENEROUS))
    low = Caps(policies=frozenset(), shortest_deadline=1)
    await desk.manager.agents.update(PLANNER, "planner", Changes(caps=low), "")

    with pytest.raises(PermissionDenied) as refused:
        await desk.manager.agents.update(PLANNER, "planner", Changes(caps=GENEROUS), "")
    assert refused.value.metadata["hint"] == "caps.scheduling_class"


async def test_a_policy_that_nobody_has_is_unknown(desk: Desk) -> None:
    with pytest.raises(PolicyUnknown):
        await register(desk, NewAgent(id="planner", hints=Hints(policy="astrology")))
    await register(desk, NewAgent(id="planner"))
    with pytest.raises(PolicyUnknown):
        await desk.manager.agents.update(PLANNER, "planner", Changes(hints=Hints(policy="astrology")), "")
