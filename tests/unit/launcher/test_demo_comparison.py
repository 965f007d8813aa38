"""What the demo says of its rounds: who is right, who waited, what a crash cost."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.demo import crash
from launcher.demo.comparison import HEADER, Figures, figures, sentence, table
from launcher.demo.stage import Act, Done
from launcher.demo.summary import percentile, summarise, wrong
from launcher.demo.tasks import Cast, Task


def act(name: str, answers: Sequence[str], waits: Sequence[float] = ()) -> Act:
    """Make an agent with an answer to each task; an answer is right when it is `a`."""
    tasks = [Task(f"q{number}", "a", ("a",)) for number in range(len(answers))]
    done = [
        Done(task, answer, "" if answer == "a" else "is not 'a'", 1.0 + number)
        for number, (task, answer) in enumerate(zip(tasks, answers, strict=True))
    ]
    return Act(Cast(name, "role", tasks), done=done, waits=list(waits))


@pytest.mark.parametrize(("right", "passed"), [(19, True), (18, False)])
def test_a_round_needs_ninety_five_right_answers_of_a_hundred(right: int, *, passed: bool) -> None:
    played = [act("ada", ["a"] * right + ["b"] * (20 - right))]

    assert summarise(played, 2.0, "fifo").passed is passed
    assert len(wrong(played)) == 20 - right


def test_a_task_without_an_answer_counts_as_wrong() -> None:
    unfinished = act("ada", ["a"] * 10)
    del unfinished.done[5:]

    summary = summarise([unfinished], 2.0, "fifo")

    assert (summary.right, summary.tasks, summary.passed) == (5, 10, False)


def test_a_round_with_a_wrong_answer_is_never_told_as_all_right() -> None:
    summary = summarise([act("ada", ["a"] * 1999 + ["b"])], 2.0, "fifo")

    assert "99.9 %" in summary.told_right()


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[float], share: float) -> None:
    assert percentile(values, share) in values


def told(way: str, wait: float, *, longest: float, seconds: float) -> Figures:
    return Figures(way, [wait] * 90 + [longest] * 10, [1.0], seconds, 10, 10)


def test_a_figure_that_is_worse_is_said_to_be_worse() -> None:
    ours, other = told("kernel", 0.2, longest=4.0, seconds=5.0), told("fifo", 0.4, longest=1.0, seconds=5.1)

    said = sentence(ours, other)

    assert "wait p50 0.50 x," in said
    assert "wait p99 4.00 x (worse)" in said
    assert "all done 0.98 x (the same)" in said


def test_nothing_is_divided_by_a_wait_of_nothing() -> None:
    ours, other = told("kernel", 0.2, longest=4.0, seconds=5.0), told("bare", 0.0, longest=0.0, seconds=5.0)

    assert "wait p50 0.20 s against none" in sentence(ours, other)


def test_the_figures_of_a_round_are_those_of_all_its_agents() -> None:
    crowd = [act("ada", ["a"], waits=[0.1]), act("ben", ["a", "b"], waits=[5.0])]

    added = figures("kernel", crowd, 3.0)

    assert (added.waits, added.right, added.tasks) == ([0.1, 5.0], 2, 3)


def test_the_table_has_all_its_columns_below_their_names() -> None:
    lines = table(
        [told("kernel", 0.2, longest=4.0, seconds=5.0), told("no kernel", 0.4, longest=1.0, seconds=5.1)]
    )

    assert len({len(line) for line in lines}) == 1
    assert all(name in lines[0] for name in HEADER)
    assert lines[1].startswith("kernel ")


def test_a_crash_that_lost_nothing_is_told_so() -> None:
    quiet, killed = [act("ada", ["a", "b"])], [act("ada", ["a", "b"])]
    killed[0].recoveries = 3

    assert crash.lost(quiet, killed) == []
    assert "2 of 2 answers" in crash.survived(quiet, killed)
    assert "3 calls went on" in crash.survived(quiet, killed)


def test_an_answer_that_is_missing_or_reads_otherwise_after_a_crash_is_told() -> None:
    quiet, killed = [act("ada", ["a", "a", "a"])], [act("ada", ["a", "c", "a"])]
    del killed[0].done[2]

    differences = crash.lost(quiet, killed)

    assert [line.split(":")[0] for line in differences] == ["differs", "lost"]


@dataclass
class OneProcess:
    """A scheduler of which there is only a process that sleeps, and a successor when it is gone."""

    process: "subprocess.Popen[bytes]"
    waited: list[float] = field(default_factory=list)

    @property
    def pids(self) -> Mapping[str, int]:
        return {"scheduler": os.getpid() if self.process.poll() is not None else self.process.pid}

    async def ready(self, timeout: float) -> None:
        self.waited.append(timeout)


@dataclass
class BusyQueue:
    """A queue where calls run and wait after some looks."""

    idle: int
    looks: int = 0

    async def state(self) -> Any:
        self.looks += 1
        busy = int(self.looks > self.idle)
        inference = SimpleNamespace(lane="inference", running_count=4 * busy, waiting_count=7 * busy)
        return SimpleNamespace(
            classes=[inference, SimpleNamespace(lane="tool", running_count=9, waiting_count=9)]
        )


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(("idle", "early"), [(1, 2), (2, 1)])
async def test_the_scheduler_is_killed_in_the_middle_of_the_work_and_its_successor_awaited(
    sleeper: "subprocess.Popen[bytes]", idle: int, early: int
) -> None:
    processes = OneProcess(sleeper)
    queue = BusyQueue(idle)

    kill = await crash.kill_while_busy(SimpleNamespace(queue=queue), processes, lambda: queue.looks > early)  # type: ignore[arg-type]

    assert processes.process.wait(5) == -9
    assert (kill.pid, kill.successor) == (processes.process.pid, os.getpid())
    assert (kill.running, kill.waiting, queue.looks) == (4, 7, 3)
    assert processes.waited
