"""Requests on their way in: who may send one, for how long, and what those that are here may weigh.

gRPC reads a request of any size before it asks who sends it, and waits for the rest of it without end. So the
kernel reads by itself, once it knows who calls. How many requests are being read at once is bounded; where
there are more, the party that sends the most at once loses the one it began first. Who sends in good time is
done long before.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from services.chassis.bodies import Bodies, Root, own_root
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.quotas import Owner
from services.chassis.rpc.errors import DeadlineExceeded, KernelError
from services.chassis.rpc.methods import Method
from services.chassis.rpc.steps.mapping import malformed
from services.chassis.shares import Shares

MOST_READING: Final = 512
"""Requests that are read at once. Each may hold 4 MiB."""

BODIES_BYTES: Final = 2**30
"""What the requests of all agents that are here may weigh."""

_SMALL_BYTES: Final = 4096
"""What weighs less is not counted: how many calls there are is bounded elsewhere."""
_SECONDS: Final = 10.0
_SLOWEST: Final = 64 * 1024
"""Bytes a second at which a request arrives at least."""


class _Reading:
    """One request that is being read."""

    __slots__ = ("error", "owner", "timer")

    def __init__(self, owner: Owner, timer: asyncio.Timeout) -> None:
        self.owner = owner
        self.timer = timer
        self.error: KernelError | None = None

    def end(self) -> None:
        """Read it no longer."""
        self.error = TooManyCalls(
            "too many requests are being sent at once, and this one had begun first", retry_after=1.0
        )
        if not self.timer.expired():
            self.timer.reschedule(asyncio.get_running_loop().time())


class Arrivals:
    """What arrives at one server. One event loop owns it."""

    def __init__(
        self,
        root: Root = own_root,
        *,
        most: int = MOST_READING,
        total_bytes: int = BODIES_BYTES,
        seconds: float = _SECONDS,
    ) -> None:
        self._root = root
        self._bodies = Bodies(total_bytes, root, "request_bytes")
        self._most = most
        self._seconds = seconds
        self._reading: dict[_Reading, None] = {}
        """The one begun first comes first."""
        self._pending: set[asyncio.Future[Any]] = set()

    @property
    def weighed(self) -> Shares:
        """What the requests weigh that are here."""
        return self._bodies.shares

    @property
    def reading(self) -> int:
        """Requests that are being read."""
        return len(self._reading)

    async def read(self, context: Any, method: Method, tenant: str, who: str) -> bytes:
        """Return the request of a call; `who` is an agent, or the address of a stranger without a tenant.

        Raises DeadlineExceeded for one that does not come, TooManyCalls for one that had to make way,
        MalformedRequest when there is none.
        """
        seconds = self._seconds + method.max_request_bytes / _SLOWEST
        timer = asyncio.timeout(seconds)
        begun = self._begin(Owner(tenant, who, self._root(tenant, who)), timer)
        reading = asyncio.ensure_future(context.read())
        try:
            async with timer:
                data = await asyncio.shield(reading)
        except TimeoutError:
            raise begun.error or DeadlineExceeded(
                f"the request did not arrive within {seconds:g} s"
            ) from None
        finally:
            self._reading.pop(begun, None)
            if not reading.done():
                # It ends with the call. Given up, it would keep for ever what it receives.
                self._pending.add(reading)
                reading.add_done_callback(self._over)
        if not isinstance(data, bytes):
            raise malformed(method.label)
        return data

    def hold(self, tenant: str, who: str, size: int) -> Owner | None:
        """Count what a request weighs and return whom it is charged to. Raises TooManyCalls."""
        return self._bodies.reserve((tenant, who), size) if size > _SMALL_BYTES else None

    def release(self, owner: Owner, size: int) -> None:
        """Count a request no longer."""
        self._bodies.release(owner, size)

    def _begin(self, owner: Owner, timer: asyncio.Timeout) -> _Reading:
        while len(self._reading) >= self._most:
            self._make_room()
        begun = _Reading(owner, timer)
        self._reading[begun] = None
        return begun

    def _make_room(self) -> None:
        """End the oldest request of the largest agent of the largest tree of the largest tenant."""
        those = list(self._reading)
        for part in (_tenant, _tree, _agent):
            largest = Counter(map(part, those)).most_common(1)[0][0]
            those = [each for each in those if part(each) == largest]
        del self._reading[those[0]]
        those[0].end()

    def _over(self, reading: "asyncio.Future[Any]") -> None:
        self._pending.discard(reading)
        if not reading.cancelled():
            reading.exception()  # seen: the call has ended for a reason of its own


def _tenant(reading: _Reading) -> str:
    return reading.owner.tenant


def _tree(reading: _Reading) -> str:
    return reading.owner.tree


def _agent(reading: _Reading) -> str:
    return reading.owner.agent
