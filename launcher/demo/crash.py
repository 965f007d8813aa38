"""Kills the scheduler while agents work, and looks whether anything was lost."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aios.kernel import Kernel
from launcher.demo.stage import Act
from launcher.demo.summary import all_done

VICTIM: Final = "scheduler"
BACK_SECONDS: Final = 30.0
"""The longest that the kernel may take to be whole again."""
BUSY_SECONDS: Final = 10.0
"""The longest that the kill waits for a moment at which calls run and wait."""
_LOOK: Final = 0.02


class Processes(Protocol):
    """What the supervisor tells of a kernel's processes."""

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids of what runs right now."""
        ...

    async def ready(self, timeout: float) -> None:
        """Wait until all of it is ready. Raises TimeoutError."""
        ...


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was killed while agents worked."""

    pid: int
    successor: int
    running: int
    """Calls that ran at that moment."""
    waiting: int
    """Calls that waited."""
    seconds: float
    """From the kill to a kernel that is whole again."""

    def lines(self) -> list[str]:
        """Write it out."""
        return [
            f"killed     kill -9 {self.pid}, the {VICTIM}: {self.running} calls ran, {self.waiting} waited",
            f"back       pid {self.successor}, the kernel whole again after {self.seconds:.1f} s",
        ]


async def kill_while_busy(admin: Kernel, processes: Processes, begun: Callable[[], bool]) -> Kill:
    """Kill the scheduler in the middle of the work. Raises TimeoutError when it does not come back.

    `begun`: whether the work is under way.
    """
    running, waiting = await _busy(admin, begun)
    pid = processes.pids[VICTIM]
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    async with asyncio.timeout(BACK_SECONDS):
        while processes.pids.get(VICTIM, pid) == pid:  # noqa: ASYNC110 - the supervisor tells by no event
            await asyncio.sleep(_LOOK)
        await processes.ready(BACK_SECONDS)
    return Kill(pid, processes.pids[VICTIM], running, waiting, time.monotonic() - began)


async def _busy(admin: Kernel, begun: Callable[[], bool]) -> tuple[int, int]:
    """Wait for a moment with calls that run and calls that wait; return how many there are of each."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        classes = [each for each in (await admin.queue.state()).classes if each.lane != "tool"]
        running = sum(each.running_count for each in classes)
        waiting = sum(each.waiting_count for each in classes)
        if (running and waiting and begun()) or time.monotonic() > until:
            return running, waiting
        await asyncio.sleep(_LOOK)


def lost(quiet: Sequence[Act], killed: Sequence[Act]) -> list[str]:
    """Tell what differs from the round without a kill: answers that are missing, or read otherwise."""
    wanted = {(act.cast.name, done.task.prompt): done.answer for act in quiet for done in act.done}
    found = {(act.cast.name, done.task.prompt): done for act in killed for done in act.done}
    told = []
    for (name, prompt), answer in wanted.items():
        done = found.get((name, prompt))
        if done is None:
            told.append(f"lost: {name}'s answer to {prompt!r}")
        elif done.answer != answer:
            told.append(f"differs: {name}'s answer to {prompt!r}, {done.answer!r} in place of {answer!r}")
    return told


def survived(quiet: Sequence[Act], killed: Sequence[Act]) -> str:
    """Say that nothing was lost."""
    recoveries = sum(act.recoveries for act in killed)
    gone_on = f"; {recoveries} calls went on after a failure" if recoveries else ""
    return (
        f"nothing lost: {len(all_done(killed))} of {len(all_done(quiet))} answers are there, "
        f"each word for word as without the kill{gone_on}"
    )
