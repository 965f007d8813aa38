"""`aios ps` shows agents as trees, with what people call them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.cli.agents import _processes, as_trees
from aios.types.agents import AgentInfo
from aios.types.queue import Syscall


def agent(agent_id: str, parent: str = "", **fields: str) -> AgentInfo:
    return AgentInfo(name=f"agents/{agent_id}", parent=parent and f"agents/{parent}", **fields)  # type: ignore[arg-type]


def test_children_stand_below_their_parents_and_what_has_no_listed_parent_is_a_root(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    agents = [
        agent("z", "gone"),
        agent("d-2", "planner", display_name="opencode", kind="door"),
        agent("a", "d-2"),
        agent("planner", display_name="planner"),
    ]
    calls = [Syscall(name="agents/d-2/calls/c1", state="waiting", wait=2.0)]

    _processes(as_trees(agents), calls)

    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["planner", "d-2", "a", "z"]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4, 0]
    assert lines[1].split()[1:3] == ["opencode", "door"]
    assert lines[1].rstrip().endswith("2.0 s")
    assert lines[0].split()[1] == "-"


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 30)))
def test_every_agent_is_shown_once_whatever_the_parents(parents: dict[int, int]) -> None:
    """A parent comes before its children's ids are made, so that no tree is a circle."""
    agents = [agent(str(child), str(parent) if parent < child else "") for child, parent in parents.items()]

    assert sorted(each.id for _, each in as_trees(agents)) == sorted(each.id for each in agents)
