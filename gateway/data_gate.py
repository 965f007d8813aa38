"""The gate of the DATA lane: two gates side by side, since the short must not wait behind the long."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from services.chassis.gate import FairGate, GateConfig, Visitor

BRISK_SECONDS: Final = 30.0
"""A method with a single answer and a default deadline up to this long is brisk. Unit: seconds."""


class DataGate:
    """Brisk calls, which soon have their one answer, pass one gate; streams and what takes long another.

    Few brisk calls of one tree are under way at once. They cost processor time and little else, so more at
    once would finish no sooner: they would only stand in the way of other trees inside the managers, where
    nobody takes turns.
    """

    def __init__(self, brisk: GateConfig, long: GateConfig) -> None:
        self._brisk = FairGate(brisk)
        self._long = FairGate(long)

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return self._brisk.running + self._long.running

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return self._brisk.waiting + self._long.waiting

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""
        return max(self._brisk.oldest_wait(), self._long.oldest_wait())

    def admit(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Hold a place at the gate of the visitor's sort. Raises as `FairGate.admit`."""
        return (self._brisk if visitor.brisk else self._long).admit(visitor)
