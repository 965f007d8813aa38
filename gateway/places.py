"""The places of calls that are forwarded, given back early where the caller does not take the answer."""

import time
from contextlib import AbstractAsyncContextManager
from typing import Final

from services.chassis.gate import Visitor
from services.chassis.quotas import Owner
from services.chassis.rpc.live_streams import READER_SECONDS, UNREAD
from services.chassis.shares import Openings, Shares

SWEEP_SECONDS: Final = 0.5


class Place:
    """The place of one call at a gate. It is given back once, by whoever comes first."""

    __slots__ = ("_admission", "_held", "offered_at", "owner", "unread")

    def __init__(self, admission: AbstractAsyncContextManager[None], owner: Owner) -> None:
        self._admission = admission
        self._held = True
        self.owner = owner
        self.offered_at = 0.0
        """Since when its answer waits for its reader, on the steady clock."""
        self.unread = False
        """Whether it is counted as an answer that nobody reads."""

    async def free(self) -> None:
        """Give the place back, unless that was done."""
        if self._held:
            self._held = False
            await self._admission.__aexit__(None, None, None)


class UnreadAnswers:
    """Answers of calls that answer once, on their way to readers who may not make room for them.

    Such an answer waits at the transport until its call's deadline, and nothing can be told meanwhile; so its
    place goes to others after a few seconds, and how many of them wait like this is bounded. Streams are
    ended instead, by the chassis.
    """

    def __init__(self, seconds: float = READER_SECONDS, openings: Openings | None = None) -> None:
        self._seconds = seconds
        self._offered: set[Place] = set()
        self._shares = Shares("unread_answers", UNREAD)
        if openings is not None:
            openings.add(self._shares)

    def check(self, visitor: Visitor) -> Owner:
        """Return whom a call is charged to. Raises TooManyCalls when too many of its answers lie unread."""
        tenant, agent = visitor.agent
        owner = Owner(tenant, agent, visitor.tree[1] or agent)
        if self._shares.held:
            self._shares.check(owner)
        return owner

    def offer(self, place: Place) -> None:
        """Note that a call's answer is being handed to the transport."""
        place.offered_at = time.monotonic()
        self._offered.add(place)

    async def end(self, place: Place) -> None:
        """Give back what a call holds: it has ended, however it ended."""
        self._offered.discard(place)
        if place.unread:
            self._shares.give_back(place.owner)
        await place.free()

    async def sweep(self) -> None:
        """Give back the places of calls whose answers lie unread. Run it twice a second."""
        due = time.monotonic() - self._seconds
        for place in [place for place in self._offered if place.offered_at <= due]:
            self._offered.discard(place)
            place.unread = True
            self._shares.add(place.owner)
            await place.free()
