"""The tree of agents: limits, states that run down, hints that need a privilege."""

import dataclasses
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.core import agent_tree
from services.access.core.agent_tree import TreeLimits
from services.access.errors import AgentTreeLimit
from services.access.model.agents import Agent, AgentState
from services.chassis.dispatch.scheduling import Hints

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVE, SUSPENDED, KILLED = AgentState


def agent(
    name: str, parent: Agent | None = None, *, state: AgentState = ACTIVE, suspended: bool = False
) -> Agent:
    """Make an agent below `parent`."""
    return Agent(
        tenant="acme",
        id=name,
        parent=parent.id if parent else "",
        ancestors=(*parent.ancestors, parent.id) if parent else (),
        display_name=name,
        kind="",
        hints=Hints(),
        labels={},
        suspended=suspended,
        state=state,
        revision=1,
        create_time=NOW,
        update_time=NOW,
    )


ROOT = agent("root")
CHILD = agent("child", ROOT)
LEAF = agent("leaf", CHILD)


def test_a_child_hangs_below_its_parent() -> None:
    assert agent_tree.ancestors_of_child(CHILD, 0, TreeLimits()) == ("root", "child")


def test_a_tree_grows_only_so_deep() -> None:
    with pytest.raises(AgentTreeLimit, match="deep"):
        agent_tree.ancestors_of_child(LEAF, 0, TreeLimits(max_depth=3))


def test_an_agent_has_only_so_many_children() -> None:
    with pytest.raises(AgentTreeLimit, match="children"):
        agent_tree.ancestors_of_child(ROOT, 2, TreeLimits(max_children=2))


def test_a_suspension_runs_down_the_tree() -> None:
    root = dataclasses.replace(ROOT, suspended=True)
    changed = agent_tree.propagate(root, ACTIVE, [LEAF, CHILD])

    assert {one.id: one.state for one in changed} == dict.fromkeys(("root", "child", "leaf"), SUSPENDED)
    assert [one.suspended for one in changed] == [True, False, False]


def test_resuming_a_parent_leaves_a_child_that_was_suspended_on_its_own() -> None:
    child = agent("child", ROOT, state=SUSPENDED, suspended=True)
    leaf = agent("leaf", child, state=SUSPENDED)
    other = agent("other", ROOT, state=SUSPENDED)
    root = dataclasses.replace(ROOT, state=SUSPENDED)

    assert {one.id: one.state for one in agent_tree.propagate(root, ACTIVE, [leaf, child, other])} == {
        "root": ACTIVE,
        "other": ACTIVE,
    }


def test_an_agent_below_a_suspended_one_is_not_resumed() -> None:
    child = agent("child", ROOT, state=SUSPENDED)

    assert agent_tree.propagate(child, SUSPENDED, [])[0].state is SUSPENDED


def test_a_kill_runs_down_and_is_for_good() -> None:
    root = dataclasses.replace(ROOT, state=KILLED)
    changed = agent_tree.propagate(root, ACTIVE, [CHILD, LEAF])

    assert {one.state for one in changed} == {KILLED}
    assert (
        agent_tree.propagate(dataclasses.replace(changed[1], suspended=False), ACTIVE, [])[0].state is KILLED
    )


@given(st.integers(0, 2**32))
def test_states_agree_with_the_definition_after_any_changes(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable worlds, no secret
    rows = [agent("a0")]
    for number in range(1, 8):
        rows.append(agent(f"a{number}", dice.choice(rows)))
    world = {row.id: row for row in rows}
    for _ in range(6):
        target = world[dice.choice(sorted(world))]
        if target.state is not KILLED:
            kind = dice.choice(("suspend", "resume", "kill"))
            root = dataclasses.replace(
                target,
                suspended={"suspend": True, "resume": False, "kill": target.suspended}[kind],
                state=KILLED if kind == "kill" else target.state,
            )
            above = world[target.parent].state if target.parent else ACTIVE
            below = [row for row in world.values() if target.id in row.ancestors]
            dice.shuffle(below)
            world |= {row.id: row for row in agent_tree.propagate(root, above, below)}
    for row in world.values():
        line = [world[name] for name in (*row.ancestors, row.id)]
        dead = any(one.state is KILLED for one in line)
        held = any(one.suspended for one in line)

        assert row.state is (KILLED if dead else SUSPENDED if held else ACTIVE)
