"""Admission: who may enter the queue at all, and when a wait ends by itself."""

from collections import Counter
from math import inf, isfinite
from typing import Final

from services.chassis.dispatch.scheduling import QueueOutcome
from services.chassis.quotas import Level, Owner, Usage
from services.scheduler.core.heap import AgeQueue, Key
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import Call, ResourceKind

LARGEST: Final = 10_000_000
"""Most tokens of one call, of its prompt and of its answer."""

WAITING: Final = {
    ResourceKind.INFERENCE: "waiting_generations",
    ResourceKind.TOOL: "waiting_tool_calls",
}
"""What the calls of a lane that wait are told as."""

_Share = tuple[ResourceKind, Level, str, str]
"""Lane, level, tenant and subject: whose waiting calls are counted together."""

_LONGEST = 315_576_000.0
"""Ten years. Unit: seconds."""

_HEAVIEST = 1_000_000.0
_LARGEST_GANG = 64
_MOST_LOCKS = 32


def _expiry(job: ScheduledCall) -> Key:
    return (job.expires_at, job.seq)


class Admission:
    """Counts the waiting calls of each lane and of agents, trees and tenants; knows when each expires."""

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings
        self._waiting: Counter[_Share] = Counter()
        self._expiry: AgeQueue[ScheduledCall] = AgeQueue(_expiry)
        self.at_once: list[ScheduledCall] = []
        """Calls that came in this step and whose wait is over as they come."""

        self._count = dict.fromkeys(ResourceKind, 0)

    def refusal(self, call: Call) -> tuple[QueueOutcome, str] | None:
        """Why a new call may not wait: the outcome and which bound; None: it may."""
        for share in _shares(call):
            if self._waiting[share] >= self._settings.waiting.at(share[1]):
                return QueueOutcome.REJECTED_FULL, share[1].value
        if self._count[call.lane] >= self._settings.max_waiting:
            return QueueOutcome.REJECTED_FULL, "queue"
        return None

    def told(self, owner: Owner) -> list[Usage]:
        """Return how many calls an agent, its tree and its tenant have waiting, by lane."""
        cap = self._settings.waiting
        return [
            Usage(
                WAITING[lane],
                level,
                self._waiting[lane, level, owner.tenant, owner.subject(level)],
                cap.at(level),
            )
            for lane in ResourceKind
            for level in owner.levels
        ]

    def enter(self, job: ScheduledCall, now: float) -> None:
        """Note that a call starts to wait.

        A call that may not wait, or whose wait is over before it comes here, has one chance all the same:
        it is kept apart and does not expire before `take_at_once`. Once it has run it waits as its class
        does: what it has done is not thrown away because it gave way to another.
        """
        call = job.call
        self._count[call.lane] += 1
        self._waiting.update(_shares(call))
        longest = call.max_wait
        if longest is None or (not longest and job.resumed):
            longest = self._settings.classes[call.scheduling_class].max_wait
        latest = inf if longest is None else job.queued_at + longest
        if latest <= now and not job.resumed:
            self.at_once.append(job)
            latest = inf
        job.expires_at = min(latest, inf if call.deadline is None else call.deadline)
        if job.expires_at < inf:
            self._expiry.push(job)

    def leave(self, job: ScheduledCall) -> None:
        """Note that a call waits no more."""
        self._count[job.call.lane] -= 1
        for share in _shares(job.call):
            self._waiting[share] -= 1
            if not self._waiting[share]:
                del self._waiting[share]
        if job.expires_at < inf:
            self._expiry.discard(job)

    def take_at_once(self) -> list[ScheduledCall]:
        """Return, once, the calls that must start now or not at all, in the order they came."""
        taken, self.at_once = self.at_once, []
        return taken

    def expired(self, now: float) -> ScheduledCall | None:
        """Return a call whose wait is over, still counted as waiting; None: there is none."""
        job = self._expiry.peek()
        return job if job is not None and job.expires_at <= now else None

    def next_expiry(self) -> float | None:
        """When the next wait ends by itself."""
        job = self._expiry.peek()
        return None if job is None else job.expires_at


def _shares(call: Call) -> tuple[_Share, ...]:
    """Return whose waiting calls a call is one of."""
    return (
        (call.lane, Level.AGENT, call.tenant, call.agent),
        (call.lane, Level.TREE, call.tenant, call.tree),
        (call.lane, Level.TENANT, call.tenant, ""),
    )


def invalid(call: Call) -> str:
    """Return what is wrong with a call's numbers; empty when nothing is."""
    sizes = (call.prompt_tokens, call.max_new_tokens, min(call.tokens_done, call.max_new_tokens))
    if not all(0 <= size <= LARGEST for size in sizes):
        return "token counts must lie in 0..10000000"
    weights = (call.weight, call.tenant_weight, 1.0 if call.tree_weight is None else call.tree_weight)
    if not all(0 < weight <= _HEAVIEST for weight in weights):
        return "weights must be above 0 and at most 1000000"
    if bool(call.gang) != bool(call.gang_size) or not 0 <= call.gang_size <= _LARGEST_GANG:
        return "a gang has an id and a size of 1..64"
    if not -1000 <= call.priority <= 1000:  # noqa: PLR2004 - plain bounds
        return "priority must lie in -1000..1000"
    return _invalid_times(call) or _invalid_locks(call)


def _invalid_times(call: Call) -> str:
    moments = (call.arrived_at, call.due, call.deadline, call.waiting_since)
    if not all(moment is None or isfinite(moment) for moment in moments):
        return "times must be finite"
    spans = (call.max_wait or 0.0, call.attained_seconds)
    return "" if all(0 <= span <= _LONGEST for span in spans) else "durations must lie in 0..ten years"


def _invalid_locks(call: Call) -> str:
    names = {lock.name for lock in call.locks}
    if len(call.locks) > _MOST_LOCKS or len(names) < len(call.locks) or any(k.limit < 1 for k in call.locks):
        return "there may be 32 locks, each once, with a limit of at least 1"
    return "a call of a gang cannot have locks" if call.locks and call.gang else ""
