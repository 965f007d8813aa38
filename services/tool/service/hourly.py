"""How much an agent, its tree and its tenant may do within an hour. Kept in this process."""

from collections import deque
from typing import Final

from services.chassis.quotas import LiveBook, Owner
from services.chassis.rpc.errors import QuotaExceeded
from services.chassis.runtime.clock import Clock

HOUR: Final = 3_600.0


class HourlyBook:
    """Charges that end by themselves after an hour. Used on the event loop only.

    It holds no more than the tenants' caps let in.
    """

    def __init__(self, book: LiveBook, quota: str, clock: Clock) -> None:
        self._book = book
        self._quota = quota
        self._clock = clock
        self._charged: deque[tuple[float, Owner]] = deque()

    def charge(self, owner: Owner) -> None:
        """Count one more. Raises QuotaExceeded, with the time after which there is room again."""
        self.expire()
        now = self._clock.monotonic()
        try:
            self._book.charge(owner, {self._quota: 1})
        except QuotaExceeded as full:
            oldest = next((at for at, one in self._charged if one.tenant == owner.tenant), now)
            raise QuotaExceeded(
                f"{full.message} an hour",
                metadata=full.metadata,
                quota=full.quota,
                retry_after=max(1.0, oldest + HOUR - now),
            ) from None
        self._charged.append((now, owner))

    def expire(self) -> None:
        """Forget what is older than an hour."""
        before = self._clock.monotonic() - HOUR
        while self._charged and self._charged[0][0] <= before:
            _, owner = self._charged.popleft()
            self._book.charge(owner, {self._quota: -1})
