"""What the scheduler's service needs from outside its pure part."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.chassis.auth.identity import Scope
from services.scheduler.core.events import Decision, TimelineEvent
from services.scheduler.model import Call, PastCall, SumKey, Sums, UsageRow


class Clock(Protocol):
    """A steady clock."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; it never goes back."""
        ...


class WallClock(Clock, Protocol):
    """A steady clock that also tells the time of day."""

    def now(self) -> datetime:
        """Return the time of day, aware of its zone."""
        ...


class ScheduleMetrics(Protocol):
    """Where decisions and gauges are counted."""

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Count what a step decided: grants with their waits, rejects by outcome, preemptions."""
        ...


class Ends(Protocol):
    """Who wants to know of calls that leave."""

    def note(self, call: Call, event: TimelineEvent) -> None:
        """Note that a call left. Never fails and never waits."""
        ...


class PastMeter(Protocol):
    """Where it is counted what was not kept."""

    def past_lost(self, count: int) -> None:
        """Count calls that ended and are not kept."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written at once."""

    writer: int
    """Names the scheduler that writes: greater than all before it."""

    number: int
    calls: Sequence[PastCall]
    sums: Mapping[SumKey, tuple[Sums, Sums]]
    """What to add: of the agent itself, and of it with all below it."""


@dataclass(frozen=True, slots=True)
class PastQuery:
    """Which past calls of an agent are asked for."""

    tenant: str
    agent: str
    ended_from: datetime | None = None
    ended_before: datetime | None = None
    failed_only: bool = False
    lane: str = ""
    beyond: tuple[int, str] | None = None
    """Where the page before ended: microseconds of the end, then the call's id."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Whose calls are added up."""

    tenant: str
    agent: str
    """Of this agent and all below it; empty: of all agents of the tenant."""

    since: datetime
    """Those that ended in the hour that begins then, or later."""

    after: tuple[str, ...] = ()
    """The last path of the page before."""


class PastStore(Protocol):
    """Keeps calls that ended, and sums of what they took.

    Methods raise ServiceUnavailable, DiskFull or DataCorrupt.
    """

    async def open(self) -> None:
        """Bring the store up to date. To be called once, before all else; again when it has failed."""
        ...

    async def write(self, batch: Batch) -> None:
        """Keep a batch; one of the same writer and number that was kept already changes nothing."""
        ...

    async def page(self, query: PastQuery, limit: int) -> list[PastCall]:
        """List an agent's past calls, newest first."""
        ...

    async def usage(self, query: UsageQuery, limit: int) -> list[UsageRow]:
        """Add up what calls took, by path, of `limit` agents at most, each with all its lanes."""
        ...

    async def forget(self, *, calls_before: datetime, sums_before: datetime, limit: int) -> int:
        """Delete what is older, `limit` rows of each at most; return how many were."""
        ...

    async def trim(self, tenant: str, agent: str, most: int, limit: int) -> int:
        """Delete the oldest past calls beyond `most` of an agent, or with an empty one of the tenant."""
        ...

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; return what and how many."""
        ...
