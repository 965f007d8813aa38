"""The demo's table and its picture: no header or name is cut, and nothing is fetched from elsewhere."""

import io
from pathlib import Path

import pytest

from aios.cli import terminal
from launcher.demo.board import Board
from launcher.demo.pictures import paint
from launcher.demo.stage import Act, Done
from launcher.demo.tasks import deal

HEADERS = ("agent", "role", "state", "right", "wait s", "tokens", "preempted", "last")


def acts() -> list[Act]:
    """Return the crowd of a demo, done, with answers that are too long for the table."""
    played = []
    for cast in deal([1, 2, 3]):
        done = [Done(task, task.sentence + " and more" * 20, "", 1.0) for task in cast.tasks]
        played.append(Act(cast, state="done", done=done, waits=[1_000.5], tokens=10_000, preemptions=100))
    return played


@pytest.mark.parametrize("columns", [80, 124])
def test_headers_names_and_figures_are_whole_and_only_the_last_answer_is_cut(columns: int) -> None:
    out = io.StringIO()
    console = terminal.console(width=columns, file=out)
    crowd = acts()

    console.print(Board(crowd, console, "AIOS demo", seconds=7.0).render())

    lines = out.getvalue().splitlines()
    assert "AIOS demo, 7 s" in lines[0]
    assert all(header in out.getvalue() for header in HEADERS)
    for act in crowd:
        (row,) = [line for line in lines if line.strip().startswith(f"{act.cast.name} ")]
        assert act.cast.role in row
        assert f"{len(act.cast.tasks)}/{len(act.cast.tasks)}" in row
        assert "10000" in row
        assert len(row) <= columns


def test_the_picture_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    crowd = acts()
    board = Board(crowd, terminal.console(file=io.StringIO()), "AIOS demo", seconds=7.0)

    paint(board, ["answers    69 of 69 right"], tmp_path / "table.svg", "aios demo --seed 1")

    drawn = (tmp_path / "table.svg").read_text()
    assert "font-face" not in drawn
    assert all(f">{header}" in drawn for header in HEADERS if " " not in header)
    assert "aios&#160;demo&#160;--seed&#160;1" in drawn or "aios demo --seed 1" in drawn
