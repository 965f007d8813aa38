"""`aios ps` shows agents as trees, with what people call them."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.cli import session
from aios.cli.agents import _processes, as_trees
from aios.cli.queue import _show
from aios.types.agents import AgentInfo
from aios.types.queue import QueueState, Replica, Syscall


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


LONG = "codex_exec 01a22dbd-f900-7353-9a0e-9be8a6d0eb43"


@pytest.mark.parametrize(("terminal", "name"), [(False, LONG), (True, "codex_e…")])
def test_a_row_is_one_line_and_only_a_terminal_gets_a_shorter_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool, name: str
) -> None:
    monkeypatch.setenv("TERM", "dumb")  # 80 characters wide
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    child = agent("d-f981b4efb5ee2af96a81a8e6", "planner", display_name=LONG, kind="codex_exec")

    _processes(as_trees([agent("planner"), child]), [])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("  d-f981b4efb5ee2af96a81a8e6  " + name)
    assert lines[2].split()[-5:] == ["unspecified", "unspecified", "0", "0", "-"]


@pytest.mark.parametrize("terminal", [False, True])
def test_other_tables_fold_their_cells_in_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)

    session.table(("key", "content"), [("a", "tea " * 20)])

    assert (len(capsys.readouterr().out.splitlines()) == 2) is not terminal


def test_a_server_whose_memory_nobody_knows_has_no_budget_to_show(
    capsys: pytest.CaptureFixture[str],
) -> None:
    servers = (
        Replica(name="a", lane="inference", token_budget=2**62, tokens_in_flight=7),
        Replica(name="b", lane="inference", token_budget=64, tokens_in_flight=7),
    )

    _show(QueueState(replicas=servers), [])

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in lines if line[:1] in (["a"], ["b"])] == ["7/-", "7/64"]


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 30)))
def test_every_agent_is_shown_once_whatever_the_parents(parents: dict[int, int]) -> None:
    """A parent comes before its children's ids are made, so that no tree is a circle."""
    agents = [agent(str(child), str(parent) if parent < child else "") for child, parent in parents.items()]

    assert sorted(each.id for _, each in as_trees(agents)) == sorted(each.id for each in agents)
