"""Which requests end the server that works on them, told by what was at work when servers died. Pure.

One death may be chance, and of several requests that were at work at it only one is to blame. So each of them
is suspected, and is tried again apart from the others. Whoever is at work alone at its second death is
convicted. Deaths beside others convict nobody before there are many: otherwise an agent could have another's
request convicted by ending servers beside it.
"""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from gateway.inference.core.evidence import Source
from gateway.inference.model import CountSpec, GenerationSpec
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.dispatch.scheduling import HintsAsked
from services.chassis.rpc.errors import RequestPoisoned

ALONE: Final = 2
"""Deaths that convict a request which was at work alone at the last one."""
IN_COMPANY: Final = 5
"""Deaths that convict in any company."""
SECONDS: Final = 3_600.0
"""How long a death counts; what is convicted is refused for so long after its last one."""
REMEMBERED: Final = 4_096
MOST_OF_ONE: Final = 3
"""Convicted requests of a tree within TREE_SECONDS after which all its requests are refused for a while."""
TREE_SECONDS: Final = 600.0
_MOST_TREES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Work:
    """What a server is asked for, as it is recognised when it comes again: a tenant's same words."""

    digest: bytes
    source: Source

    @classmethod
    def of(cls, tenant: str, source: Source, asked: GenerationSpec | CountSpec) -> "Work":
        """Recognise a request by all that its server is told of it, but for what names or hurries it.

        The length of the answer and the seed do not count either: each number would make another request.
        """
        if isinstance(asked, GenerationSpec):
            asked = replace(
                asked,
                hints=HintsAsked(),
                step=0,
                gang=None,
                affinity_key="",
                max_tokens=0,
                fit_max_tokens=False,
                sampling=replace(asked.sampling, seed=None),
            )
        return cls(hashlib.sha256(f"{tenant}\n{asked!r}".encode(errors="replace")).digest(), source)


@dataclass(slots=True)
class _Suspect:
    deaths: int
    since: float
    convicted: bool = False


class Culprits:
    """The suspects and the convicted. Bounded, the newest stay; times are seconds on one monotonic clock."""

    def __init__(self, *, most: int = REMEMBERED, seconds: float = SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._suspects: OrderedDict[bytes, _Suspect] = OrderedDict()
        self._trees: OrderedDict[Source, deque[float]] = OrderedDict()
        """When requests of a tree were convicted, the last few."""

    def __len__(self) -> int:
        return len(self._suspects)

    def check(self, work: Work, now: float) -> None:
        """Raise RequestPoisoned for a convicted request, TooManyCalls where its tree has many such."""
        suspect = self._fresh(work.digest, now)
        if suspect is not None and suspect.convicted:
            raise RequestPoisoned("the request has ended the model server that worked on it twice")
        times = self._trees.get(work.source)
        if times is not None and len(times) >= MOST_OF_ONE and (left := times[0] + TREE_SECONDS - now) > 0:
            raise TooManyCalls(
                "requests of this agent and its descendants have ended model servers again and again; wait",
                retry_after=left,
            )

    def suspected(self, work: Work, now: float) -> bool:
        """Whether a server has died while it worked on this."""
        return self._fresh(work.digest, now) is not None

    def died(self, at_work: Collection[Work], now: float) -> None:
        """Note that a server died, and what it worked on."""
        found = {work.digest: work for work in at_work}
        for digest, work in found.items():
            suspect = self._fresh(digest, now) or _Suspect(0, now)
            suspect.deaths, suspect.since = suspect.deaths + 1, now
            self._suspects[digest] = suspect
            self._suspects.move_to_end(digest)
            if not suspect.convicted and suspect.deaths >= (ALONE if len(found) == 1 else IN_COMPANY):
                suspect.convicted = True
                self._convicted(work.source, now)
        while len(self._suspects) > self._most:
            self._suspects.popitem(last=False)

    def finished(self, work: Work) -> None:
        """Note that a server worked on this to its end and lives."""
        suspect = self._suspects.get(work.digest)
        if suspect is not None and not suspect.convicted:
            del self._suspects[work.digest]

    def _convicted(self, source: Source, now: float) -> None:
        self._trees.setdefault(source, deque(maxlen=MOST_OF_ONE)).append(now)
        self._trees.move_to_end(source)
        while len(self._trees) > _MOST_TREES:
            self._trees.popitem(last=False)

    def _fresh(self, digest: bytes, now: float) -> _Suspect | None:
        suspect = self._suspects.get(digest)
        if suspect is not None and now - suspect.since > self._seconds:
            del self._suspects[digest]
            return None
        return suspect
