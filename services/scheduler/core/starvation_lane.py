"""The starvation lane: an anti-starvation path beside any policy's own order."""

from services.scheduler.core.heap import AgeQueue, Key
from services.scheduler.core.scheduled_call import ScheduledCall

_EVEN = -1e-9
"""Debts are sums of floats: paid back in full they may miss zero by a rounding."""
_AT_ONCE = 8
"""Calls that one step moves in, so that a crowd that grows old together makes no step long."""


def _age(job: ScheduledCall) -> Key:
    return (job.queued_at, job.seq)


class StarvationLane:
    """Calls that waited longer than `after` seconds, oldest first, get `share` of the work dispatched.

    `credit` is the work the lane may send, in backend seconds, never above 0: what it sent and the
    class has not made up for yet is a debt. Each dispatch of the class pays `share` of its work
    back. With W the work of the older members and of the one sent last, and C the work the class
    dispatches a second,

        wait <= after + W / (share * C) + reservation (patience + drain, see Reservation).

    Counted in work the lane is a FIFO server of `share` of the class's capacity: a long call uses
    up no more of it than it is long. (One of every 1/share dispatches, whatever its length, would
    hand most of the capacity to the longest calls.) Boosting every late call to the top instead
    would, under overload, make all of them late and the result worse than FIFO. The lane keeps the
    ages of all waiting calls, so the oldest wait is known even when it is switched off (share 0).
    """

    def __init__(self, after: float, share: float) -> None:
        self.after = after
        self.share = share
        self.boosted = False
        self.credit = 0.0
        self._young: AgeQueue[ScheduledCall] = AgeQueue(_age)
        self._old: AgeQueue[ScheduledCall] = AgeQueue(_age)

    def __len__(self) -> int:
        return len(self._old)

    @property
    def effective_share(self) -> float:
        """The share, doubled (to at most one half) while boosted."""
        return max(self.share, min(0.5, 2 * self.share)) if self.boosted else self.share

    def add(self, job: ScheduledCall) -> None:
        """Note that a call starts to wait."""
        self._young.push(job)

    def discard(self, job: ScheduledCall) -> None:
        """Note that a call waits no more."""
        if job.in_lane:
            self._old.discard(job)
            job.in_lane = False
        else:
            self._young.discard(job)

    def advance(self, now: float) -> list[ScheduledCall]:
        """Move calls that became old enough into the lane, 8 at most, oldest first, and name them."""
        if not self.share:
            return []
        entered: list[ScheduledCall] = []
        job = self._young.peek()
        while job is not None and now >= job.queued_at + self.after and len(entered) < _AT_ONCE:
            self._young.discard(job)
            job.in_lane = True
            self._old.push(job)
            entered.append(job)
            job = self._young.peek()
        return entered

    def due(self) -> ScheduledCall | None:
        """Return the call the lane sends now, if it has no debt."""
        return self._old.peek() if self.credit >= _EVEN else None

    def dispatched(self, work: float, *, from_lane: bool) -> None:
        """Count the work of a call of the class that starts, in seconds.

        Never above 0: an empty lane saves nothing up, or a burst of late calls would push all others aside.
        """
        self.credit = min(0.0, self.credit + self.effective_share * work - (work if from_lane else 0.0))

    def oldest(self) -> ScheduledCall | None:
        """Return the call whose present wait is the longest."""
        return self._old.peek() or self._young.peek()

    def next_entry(self) -> float | None:
        """When the next call enters the lane."""
        job = self._young.peek() if self.share else None
        return None if job is None else job.queued_at + self.after
