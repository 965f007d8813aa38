"""Plays rounds of one crowd: under the default policy, under FIFO, at the bare engine, through a crash."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from aios.cli.recording import Recording
from aios.kernel import Kernel
from aios.types.queue import ScheduleEvent
from launcher.demo import crash
from launcher.demo.bare import Bare
from launcher.demo.board import Board, Lines
from launcher.demo.crash import Kill, Processes
from launcher.demo.stage import Act, Solve, Way, perform, solve
from launcher.demo.tasks import Cast

if TYPE_CHECKING:
    from rich.console import Console

ROUND_SECONDS: Final = 120.0
"""The longest that one round may take."""
FIFO: Final = "fifo"
BEGUN: Final = 0.2
"""Share of the tasks that is done when the scheduler is killed."""
_STATES: Final = {
    "submitted": "waiting",
    "granted": "running",
    "preempted": "preempting",
    "yielded": "waiting",
    "finished": "tools",
    "rejected": "refused",
}


@dataclass(slots=True)
class Round:
    """One round, played."""

    title: str
    acts: Sequence[Act]
    seconds: float = 0.0
    recording: Recording = field(default_factory=Recording)
    kill: Kill | None = None


class Rounds:
    """Plays the crowd again and again, with agents of new names but the same tasks."""

    def __init__(self, admin: Kernel, casts: Sequence[Cast], console: "Console", *, own_model: bool) -> None:
        self._admin = admin
        self._casts = casts
        self._console = console
        self._own_model = own_model
        self._played = 0

    async def rehearse(self, casts: Sequence[Cast]) -> None:
        """Let each agent's first task run, uncounted: processes are slower at what they do first."""
        acts = [Act(replace(each, tasks=each.tasks[:1]), f"{each.name}-0") for each in casts]
        async with asyncio.timeout(ROUND_SECONDS):
            await perform(self._admin, acts, lambda _act, _what: None, Way(own_model=self._own_model))

    async def play(self, title: str) -> Round:
        """Play one round, and tell all of it. Raises TimeoutError when it takes too long, or an AiosError."""
        return await self._play(title, solve, quiet=False)

    async def play_under(self, policy: str, title: str) -> Round:
        """Play one round with another policy in charge of every class, then put the first ones back."""
        before = (await self._admin.queue.policies()).classes
        await self._admin.queue.set_policy(policy)
        try:
            return await self._play(title, solve)
        finally:
            for each in before:
                await self._admin.queue.set_policy(
                    each.policy.name,
                    parameters=each.policy.parameters,
                    scheduling_class=each.scheduling_class,
                )

    async def play_bare(self, title: str, base: str, key: str) -> Round:
        """Play one round straight at the embedded engine."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            return await self._play(title, Bare(session, base).solve)

    async def play_killing(self, title: str, processes: Processes) -> Round:
        """Play one round in the middle of which the scheduler is killed."""
        return await self._play(title, solve, killing=processes)

    async def _play(
        self, title: str, how: Solve, *, quiet: bool = True, killing: Processes | None = None
    ) -> Round:
        self._played += 1
        suffix = f"-{self._played}" if self._played > 1 else ""
        played = Round(title, [Act(each, f"{each.name}{suffix}") for each in self._casts])
        live = sys.stdout.isatty()
        screen = Board(played.acts, self._console, title) if live else Lines(self._console, quiet=quiet)
        with screen:
            if not live:
                screen.note(f"-- {title}")
            async with asyncio.timeout(ROUND_SECONDS), self._watched(played, screen):
                way = Way(how, own_model=self._own_model)
                work = perform(self._admin, played.acts, screen.changed, way)
                if killing is None:
                    played.seconds = await work
                else:
                    played.seconds = await self._with_kill(played, work, killing, screen)
        return played

    async def _with_kill(
        self, played: Round, work: Coroutine[Any, Any, float], killing: Processes, screen: Board | Lines
    ) -> float:
        """Kill the scheduler while the crowd works. Raises TimeoutError when it does not come back."""
        working = asyncio.ensure_future(work)
        try:
            played.kill = await crash.kill_while_busy(self._admin, killing, lambda: _begun(played))
            for line in played.kill.lines():
                screen.note(line)
            return await working
        finally:
            working.cancel()
            await asyncio.wait({working})

    @asynccontextmanager
    async def _watched(self, played: Round, screen: Board | Lines) -> AsyncIterator[None]:
        """Record what the scheduler does, and keep it on the screen."""
        watching = asyncio.create_task(
            played.recording.follow(self._admin, on_event=lambda event: _note(event, screen.calls))
        )
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait({watching})
            if not watching.cancelled() and (broken := watching.exception()) is not None:
                screen.note(f"the scheduler could not be watched to the end: {broken}")


def _begun(played: Round) -> bool:
    tasks = sum(len(act.cast.tasks) for act in played.acts)
    return sum(len(act.done) for act in played.acts) >= BEGUN * tasks


def _note(event: ScheduleEvent, calls: dict[str, str]) -> None:
    """Keep what the scheduler says of each agent's call."""
    if event.syscall is not None:
        agent = event.syscall.name.split("/")[1]
        calls[agent] = _STATES.get(event.kind, calls.get(agent, ""))
