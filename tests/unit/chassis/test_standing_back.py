"""A process that stands back does so for those of other sessions too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.chassis.runtime.standing_back import stand_back

OWN_GROUP = Path("/proc/self/autogroup")


@contextmanager
def sleeper(*, leads: bool) -> Iterator[int]:
    """Run a process that does nothing, in a session of its own or in this one."""
    command = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=leads) as process:
        yield process.pid
        process.communicate(b"\n")


@pytest.mark.skipif(not OWN_GROUP.exists(), reason="this machine groups no processes by session")
def test_a_process_with_a_session_of_its_own_stands_back_with_its_group() -> None:
    with sleeper(leads=True) as pid:
        stand_back(pid, 5)
        told = Path(f"/proc/{pid}/autogroup").read_text().split()[-1]

    assert told == str(os.nice(0) + 5)


@pytest.mark.skipif(not OWN_GROUP.exists(), reason="this machine groups no processes by session")
def test_a_process_of_somebody_elses_session_leaves_that_group_alone() -> None:
    before = OWN_GROUP.read_text()
    with sleeper(leads=False) as pid:
        stand_back(pid, 5)

    assert OWN_GROUP.read_text() == before


def test_a_process_stands_back_behind_the_one_that_started_it() -> None:
    with sleeper(leads=True) as pid:
        stand_back(pid, 3)
        told = os.getpriority(os.PRIO_PROCESS, pid)

    assert told == os.nice(0) + 3


def test_a_process_that_is_gone_is_no_error() -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()

    stand_back(gone.pid, 5)
