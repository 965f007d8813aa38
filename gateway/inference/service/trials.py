"""What is at work on each replica, so that a server's death is laid to what caused it.

A server that is ended by what it is asked takes everything down that it works on. What it worked on is
suspected and goes on, but apart: alone on its replica, until it has shown for a while that the server lives.
So the next death tells which one it was (`gateway.inference.core.culprits`), and the others lose time only.
All that is known is of this process's calls, and is gone when it restarts.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.inference.core.culprits import Culprits, Work
from gateway.inference.errors import BackendUnavailable, BackendUnreachable
from services.chassis.notifier import ChangeNotifier
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger

_log = logger(__name__)

TRIAL_SECONDS: Final = 5.0
"""How long a suspect keeps its replica to itself, unless it brings tokens earlier."""
APART_SECONDS: Final = 5.0
"""How long it waits for the replica to be empty; then it works beside others."""
HELD_SECONDS: Final = 30.0
"""How long anything waits for the trials of others."""
LINGER_SECONDS: Final = 1.0
"""How long what was cancelled may still be what a server dies of."""
UNSEEN_SECONDS: Final = 5.0
"""The same where nobody saw it die and a probe found it gone."""
JOIN_SECONDS: Final = 2.0
"""Connections that break so shortly after one another broke of the same cause."""

Fallen = Callable[[str, str], Awaitable[bool]]
"""Finds out whether the process of a replica has ended since it told which instance it is."""


class Run:
    """One request at work on one replica."""

    def __init__(self, place: "_Place", work: Work) -> None:
        self._place = place
        self.work = work
        self.fell = False
        """Whether its server's death has been counted: it may hear of that later than others."""

    def proven(self) -> None:
        """End its trial: it brought tokens, and the server lives."""
        self._place.release(self)


@dataclass(slots=True)
class _Break:
    """Connections that broke together."""

    at: float
    instance: str
    at_work: set[Run]


@dataclass(slots=True)
class _Place:
    """One replica."""

    runs: set[Run] = field(default_factory=set)
    left: deque[tuple[float, Run]] = field(default_factory=deque)
    """What was cancelled lately, and when."""
    trial: Run | None = None
    wanted: int = 0
    """Suspects that wait to be alone."""
    broken: _Break | None = None
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    changes: ChangeNotifier = field(default_factory=ChangeNotifier)

    def release(self, run: Run) -> None:
        """Let others in beside a suspect."""
        if self.trial is run:
            self.trial = None
            self.changes.notify()

    def cancelled(self, run: Run, now: float) -> None:
        """Remember what was cancelled: its server may not have noticed yet, and may be about to die of it."""
        while self.left and now - self.left[0][0] > UNSEEN_SECONDS:
            self.left.popleft()
        self.left.append((now, run))
        if self.trial is run:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.release, run)

    def broke(self, instance: str, now: float) -> None:
        """Note that a connection broke, and what was at work."""
        at_work = {run for run in self.runs | self.lately(now, LINGER_SECONDS) if not run.fell}
        if not at_work:
            return
        if self.broken is None or now - self.broken.at > JOIN_SECONDS:
            self.broken = _Break(now, instance, set())
        self.broken.at_work |= at_work

    def lately(self, now: float, seconds: float) -> set[Run]:
        """Return what was cancelled within so many seconds."""
        return {run for at, run in self.left if now - at <= seconds}


class Trials:
    """Knows what is at work where, and keeps suspects apart."""

    def __init__(self, clock: Clock, fallen: Fallen, culprits: Culprits | None = None) -> None:
        self._clock = clock
        self._fallen = fallen
        self._culprits = culprits or Culprits()
        self._places: defaultdict[str, _Place] = defaultdict(_Place)

    def check(self, work: Work) -> None:
        """Raise RequestPoisoned or TooManyCalls for what no server is to work on any more."""
        self._culprits.check(work, self._clock.monotonic())

    def finished(self, work: Work) -> None:
        """Note that a request came to its end."""
        self._culprits.finished(work)

    @asynccontextmanager
    async def at_work(self, replica: str, instance: str, work: Work) -> AsyncIterator[Run]:
        """Count a request among what a replica works on; a suspect waits until it is alone there.

        Everybody waits for a suspect's trial. Raises RequestPoisoned and TooManyCalls.
        """
        place = self._places[replica]
        run = Run(place, work)
        if self._culprits.suspected(work, self._clock.monotonic()):
            await self._apart(place, run)
        else:
            await self._admitted(place)
        place.runs.add(run)
        try:
            self.check(work)  # it may have been convicted meanwhile, under another name
            yield run
        except BackendUnavailable as error:
            if not isinstance(error, BackendUnreachable):  # that never got in
                place.broke(instance, self._clock.monotonic())
            raise
        except asyncio.CancelledError:
            place.cancelled(run, self._clock.monotonic())
            raise
        else:
            if place.broken is not None:
                place.broken.at_work.discard(run)
        finally:
            place.runs.discard(run)
            if all(run is not each for _, each in place.left):
                place.release(run)
            place.changes.notify()

    async def look(self, replica: str) -> None:
        """Find out whether a replica whose connections broke has died, and lay it to what was at work."""
        place = self._places[replica]
        broken = place.broken
        if broken is None:
            return
        async with place.looking:
            if place.broken is not broken or not await self._fallen(replica, broken.instance):
                return
            if place.broken is broken:
                place.broken = None
            self._died(replica, broken.at_work)

    def gone(self, replica: str) -> None:
        """Note that a probe found nobody where a server was: it died after all its calls were cancelled."""
        place = self._places[replica]
        if place.broken is None and not place.runs:  # else a connection tells, or has told
            lately = place.lately(self._clock.monotonic(), UNSEEN_SECONDS)
            if lately:
                self._died(replica, lately)

    def _died(self, replica: str, runs: Collection[Run]) -> None:
        for run in runs:
            run.fell = True
        at_work = {run.work for run in runs}
        _log.warning("a model server died at work", replica=replica, requests=len(at_work))
        self._places[replica].left.clear()
        self._culprits.died(at_work, self._clock.monotonic())

    async def _apart(self, place: _Place, run: Run) -> None:
        """Wait for an empty replica, or as long as may be, and begin the trial."""
        place.wanted += 1
        give_up = self._clock.monotonic() + HELD_SECONDS
        try:
            empty_by = None
            while place.trial is not None or place.runs:
                now = self._clock.monotonic()
                empty_by = (empty_by or now + APART_SECONDS) if place.trial is None else None
                left = min(give_up, empty_by or give_up) - now
                if not await place.changes.wait(timeout=max(0.0, left)):
                    return
            place.trial = run
            asyncio.get_running_loop().call_later(TRIAL_SECONDS, place.release, run)
        finally:
            place.wanted -= 1
            place.changes.notify()

    async def _admitted(self, place: _Place) -> None:
        """Wait while suspects are tried, as long as may be."""
        give_up = self._clock.monotonic() + HELD_SECONDS
        while place.trial is not None or place.wanted:
            if not await place.changes.wait(timeout=max(0.0, give_up - self._clock.monotonic())):
                return
