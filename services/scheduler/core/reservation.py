"""Reservations: a call that does not fit yet holds a replica, and only those who do not delay it pass."""

from dataclasses import dataclass
from math import inf

from services.scheduler.core.scheduled_call import ScheduledCall


@dataclass(slots=True)
class Reservation:
    """Holds a replica for a call until it fits.

    Others pass while they are expected to end before `start`, when the holder is expected to fit,
    or within what is left beside it then. While the reservation is younger than the patience, a
    `start` that passed in vain is predicted anew; after that it stands, nobody but the latter
    passes, and the calls that run only drain. So the holder is granted at most patience + the rest
    of the longest run after `made`, however wrong the predictions were.

    Source: EASY backfilling, Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995.
    """

    job: ScheduledCall
    made: float
    start: float = -inf
    """When the holder is expected to fit; in the past: nobody is let in for ending early."""

    spare_tokens: float = 0
    """Tokens left beside the holder at `start`."""

    spare_slots: int = 0
    sealed: bool = False
    """Nobody passes, whatever is expected: the policy's promise is the order of arrival."""

    from_lane: bool = False
    """Whether the starvation lane sent the holder, and pays for it."""

    def open(self, now: float) -> bool:
        """Whether anyone at all may pass."""
        return now < self.start or self.spare_slots > 0

    def lets_pass(self, need: int, ends: float) -> bool:
        """Whether a call that adds `need` tokens and is expected to end at `ends` delays nobody.

        EASY's two cases: it is gone before the holder starts, or it fits beside the holder and may stay.
        """
        return ends <= self.start or (self.spare_slots > 0 and need <= self.spare_tokens)

    def passed(self, need: int, ends: float) -> None:
        """Note that a call passed."""
        if ends > self.start:  # one that is gone by then takes nothing of what is left beside the holder
            self.spare_tokens -= need
            self.spare_slots -= 1
