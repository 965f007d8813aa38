"""Gangs: calls of one agent that start together or, when not all come in time, each on its own."""

from collections.abc import Iterator

from services.scheduler.core.scheduled_call import Gang, ScheduledCall

_REMEMBERED = 60.0


class GangBook:
    """The gangs of one class in one pool.

    A gang that came apart is remembered for a minute, so that its late calls need not wait for
    calls that went already. O(1) a call: gangs are kept in the order in which they began.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._gangs: dict[tuple[str, str], Gang] = {}
        self._gathering: dict[tuple[str, str], Gang] = {}
        self._apart: dict[tuple[str, str], Gang] = {}

    def __len__(self) -> int:
        return len(self._gangs)

    def problem(self, job: ScheduledCall) -> str:
        """Return why a call cannot join its gang; empty when it can."""
        gang = self._gangs.get(_key(job))
        if gang is not None and gang.size != job.call.gang_size:
            return f"the gang was begun with size {gang.size}, not {job.call.gang_size}"
        return ""

    def join(self, job: ScheduledCall, now: float) -> Gang | None:
        """Count a waiting call in; None: it starts alone, as a call does that ran before.

        One that left and comes again takes its place among the members that wait, and is not counted twice:
        the gang must not start without a call that is still to come.
        """
        # A call that has run started with its gang already; held back again it would wait for calls that run.
        if not job.call.gang or job.preemptions or job.tokens_done:
            return None
        self._forget(now)
        key = _key(job)
        gang = self._gangs.get(key)
        if gang is None:
            gang = self._gangs[key] = self._gathering[key] = Gang(key, job.call.gang_size, now)
        # One too many for a gang that is complete, or one that comes after the gang came apart, starts alone.
        if gang.apart or (gang.ready and job.call.id not in gang.came):
            return None
        # Counted by id, not by members: members shrink when one leaves, and the gang would wait for ever for
        # a number that was reached already.
        gang.came.add(job.call.id)
        gang.members[job.call.id] = job
        if not gang.ready and gang.arrived >= gang.size:
            gang.ready = True
            del self._gathering[key]
        job.gang = gang
        return gang

    def leave(self, job: ScheduledCall) -> None:
        """Take a waiting call out; those that are left go on without it."""
        gang = job.gang
        if gang is None:
            return
        del gang.members[job.call.id]
        job.gang = None
        # A gang that still gathers is kept even when empty: the calls that left count as having come.
        if gang.ready and not gang.members:
            del self._gangs[gang.key]

    def start(self, gang: Gang) -> list[ScheduledCall]:
        """Let the calls of a gang go, all at once. Return those that were held."""
        del self._gangs[gang.key]
        return _let_go(gang)

    def part(self, now: float) -> list[ScheduledCall]:
        """Let the calls go whose gangs have waited too long for the last ones."""
        parted: list[ScheduledCall] = []
        gang = next(iter(self._gathering.values()), None)
        while gang is not None and now >= gang.since + self._patience:
            del self._gathering[gang.key]
            self._apart[gang.key] = gang
            gang.apart = True
            parted += _let_go(gang)
            gang = next(iter(self._gathering.values()), None)
        return parted

    def gathering(self) -> Iterator[ScheduledCall]:
        """Return the calls that wait for others of their gang to arrive."""
        return (job for gang in self._gathering.values() for job in gang.members.values())

    def next_change(self) -> float | None:
        """When the patience of the next gang ends."""
        gang = next(iter(self._gathering.values()), None)
        return None if gang is None else gang.since + self._patience

    def _forget(self, now: float) -> None:
        gang = next(iter(self._apart.values()), None)
        while gang is not None and now >= gang.since + self._patience + _REMEMBERED:
            del self._apart[gang.key], self._gangs[gang.key]
            gang = next(iter(self._apart.values()), None)


def _let_go(gang: Gang) -> list[ScheduledCall]:
    held = [job for job in gang.members.values() if job.held]
    for job in gang.members.values():
        job.gang = None
    gang.members = {}
    return held


def _key(job: ScheduledCall) -> tuple[str, str]:
    return (job.call.agent, job.call.gang)
