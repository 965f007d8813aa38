"""Caps: what agents may ask for, and how it only shrinks on the way down a tree."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.core import agent_tree, caps
from services.access.model.agents import Agent, AgentState
from services.chassis.dispatch.scheduling import Caps, Excess, Hints, SchedulingClass, excess
from tests.fakes.clock import FakeClock

POLICIES = ("edf", "fifo", "sjf")
SPANS = st.integers(0, 5).map(float)
HINTS = st.builds(
    Hints,
    scheduling_class=st.sampled_from(SchedulingClass),
    weight=st.integers(1, 5),
    priority=st.integers(-3, 3),
    deadline=st.none() | SPANS,
    policy=st.sampled_from(("", *POLICIES)),
)
CAPS = st.builds(
    Caps,
    highest_class=st.sampled_from(SchedulingClass),
    highest_weight=st.integers(1, 5),
    lowest_priority=st.integers(-3, 3),
    policies=st.none() | st.frozensets(st.sampled_from(POLICIES)),
    shortest_deadline=SPANS,
)


def agent(name: str, ancestors: tuple[str, ...], cap: Caps, hints: Hints) -> Agent:
    """Build an agent."""
    now = FakeClock().now()
    return Agent(
        tenant="acme",
        id=name,
        parent=ancestors[-1] if ancestors else "",
        ancestors=ancestors,
        display_name=name,
        kind="",
        hints=hints,
        labels={},
        suspended=False,
        state=AgentState.ACTIVE,
        revision=1,
        create_time=now,
        update_time=now,
        caps=cap,
    )


@pytest.mark.parametrize(
    ("hints", "found"),
    [
        (Hints(), None),
        (Hints(scheduling_class=SchedulingClass.IDLE, priority=19), None),
        (
            Hints(scheduling_class=SchedulingClass.REALTIME),
            Excess("scheduling_class", "realtime", "interactive"),
        ),
        (Hints(weight=2), Excess("weight", "2", "1")),
        (Hints(priority=-1), Excess("priority", "-1", "0")),
    ],
)
def test_a_root_may_ask_for_what_takes_from_nobody(hints: Hints, found: Excess | None) -> None:
    assert excess(hints, Caps()) == found


def test_policies_and_deadlines_are_capped() -> None:
    cap = Caps(policies=frozenset({"fifo"}), shortest_deadline=2)

    assert excess(Hints(policy="edf"), cap) == Excess("policy", "edf", "fifo")
    assert excess(Hints(deadline=1), cap) == Excess("deadline", "1 s", "2 s")
    assert excess(Hints(policy="fifo", deadline=2), cap) is None
    assert excess(Hints(policy="fifo"), Caps(policies=frozenset())) == Excess("policy", "fifo", "none")


@given(hints=HINTS, cap=CAPS)
def test_lowered_hints_lie_within_the_caps_and_good_ones_stay(hints: Hints, cap: Caps) -> None:
    assert excess(caps.lowered(hints, cap), cap) is None
    if excess(hints, cap) is None:
        assert caps.lowered(hints, cap) == hints


@given(hints=HINTS, cap=CAPS)
def test_widened_caps_hold_the_hints_and_what_they_held_before(hints: Hints, cap: Caps) -> None:
    widened = caps.covering(cap, hints)

    assert excess(hints, widened) is None
    assert caps.wider(cap, widened) is None


@given(one=CAPS, other=CAPS, hints=HINTS)
def test_caps_within_a_limit_let_through_what_both_do(one: Caps, other: Caps, hints: Hints) -> None:
    both = caps.within(one, other)

    assert caps.wider(both, one) is None
    assert caps.wider(both, other) is None
    allowed = excess(hints, one) is None and excess(hints, other) is None
    assert (excess(hints, both) is None) == allowed


@given(root=CAPS, lines=st.lists(st.tuples(st.integers(0, 5), CAPS, HINTS), max_size=6))
def test_no_agent_of_a_tree_is_above_its_parent(root: Caps, lines: list[tuple[int, Caps, Hints]]) -> None:
    agents = [agent("root", (), root, caps.lowered(Hints(), root))]
    for number, (pick, cap, hints) in enumerate(lines):
        parent = agents[pick % len(agents)]
        agents.append(agent(f"a{number}", (*parent.ancestors, parent.id), cap, hints))
    world = {one.id: one for one in agents}
    world |= {one.id: one for one in agent_tree.cap(agents[0], reversed(agents[1:]))}

    for one in world.values():
        assert excess(one.hints, one.caps) is None or one.id == "root"
        if one.parent:
            assert caps.wider(one.caps, world[one.parent].caps) is None
    again = agent_tree.cap(world["root"], [one for one in world.values() if one.parent])
    assert again == [world["root"]], "nothing is left to lower"
    assert replace(world["root"]) == agents[0]
