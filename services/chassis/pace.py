"""How often somebody may be refused: refusals above a rate wait, so that they cost no more than that rate.

Whoever is refused can ask again at once. Many who do keep a process busy with nothing but refusals, and the
calls of others wait behind these. So each party has a rate at which its refusals are answered; what comes
faster is answered later. A refusal that waits costs memory only, and that is bounded too. The rate is kept as
in the generic cell rate algorithm: one number a party, the moment up to which its refusals are spoken for.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from services.chassis.rpc.codes import Code

REFUSALS: Final = frozenset(
    {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED}
)
"""What is paced. A note that is not there, or was changed meanwhile, is an answer and no refusal."""

_MOST_PARTIES: Final = 10_000


class RefusalPace:
    """Delays refusals by party. All methods belong to one event loop."""

    def __init__(
        self,
        rate: float,
        *,
        burst: float = 2.0,
        longest: float = 2.0,
        most_waiting: int = 2_048,
        most_bytes: int = 64 * 2**20,
    ) -> None:
        """Answer `rate` refusals a second of each party, and those of `burst` seconds at once.

        None waits longer than `longest` seconds. Beyond `most_waiting` refusals, or `most_bytes` of the
        requests that they hold, they are answered without a delay. A rate of 0 delays none.
        """
        self._rate = rate
        self._burst = burst
        self._longest = longest
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._until: OrderedDict[Hashable, float] = OrderedDict()
        self._waiting = 0
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """Refusals that wait."""
        return self._waiting

    def delay(self, party: Hashable, now: float) -> float:
        """Count a refusal at a moment, and return the seconds it has to wait."""
        until = max(self._until.pop(party, now), now) + 1 / self._rate
        until = min(until, now + self._burst + self._longest)
        self._until[party] = until
        if len(self._until) > _MOST_PARTIES:
            self._until.popitem(last=False)
        return max(0.0, until - now - self._burst)

    async def refused(self, party: Hashable, code: Code, size: int = 0, *, watch: bool = False) -> None:
        """Wait until a refusal of a party may be answered; `size` is what it holds meanwhile, in bytes.

        A `watch` that is not let in is refused, whatever the reason.
        """
        if not self._rate or (code not in REFUSALS and not watch):
            return
        seconds = self.delay(party, asyncio.get_running_loop().time())
        if not seconds or self._waiting >= self._most_waiting or self._bytes + size > self._most_bytes:
            return
        self._waiting += 1
        self._bytes += size
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1
            self._bytes -= size
