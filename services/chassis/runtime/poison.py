"""Which requests ended the process that worked on them, so that they are refused from then on. Pure.

Native code that parses or computes for somebody can be ended by what it is given. The first end of a process
may be chance; a request whose process ends twice while it works on it, and on nothing else, is poison.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ENDS: Final = 2
"""Processes that a request may have ended before it is refused."""
REMEMBERED: Final = 4_096
SECONDS: Final = 3_600.0
"""How long an end counts. What is refused is refused for so long after the last one."""


def digest_of(kind: str, *parts: bytes) -> bytes:
    """Return what a request is recognised by; `kind` says what it is worked on by."""
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


@dataclass(slots=True)
class _Suspect:
    ends: int
    since: float


class PoisonList:
    """Counts the processes that each request ended. All places of a process share one, from any thread.

    It holds digests only, the newest `most`; times are seconds on one monotonic clock.
    """

    def __init__(self, *, most: int = REMEMBERED, seconds: float = SECONDS, ends: int = ENDS) -> None:
        self._most = most
        self._seconds = seconds
        self._ends = ends
        self._suspects: OrderedDict[bytes, _Suspect] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._suspects)

    def blame(self, digest: bytes, now: float) -> bool:
        """Note that a process ended while it worked on this request alone; True: it is poison now."""
        with self._lock:
            suspect = self._fresh(digest, now) or _Suspect(0, now)
            suspect.ends += 1
            suspect.since = now
            self._suspects[digest] = suspect
            self._suspects.move_to_end(digest)
            while len(self._suspects) > self._most:
                self._suspects.popitem(last=False)
            return suspect.ends >= self._ends

    def clear(self, digest: bytes) -> None:
        """Note that the request was worked on to its end: what ended a process before was chance."""
        with self._lock:
            self._suspects.pop(digest, None)

    def holds(self, digest: bytes, now: float) -> bool:
        """Whether the request is poison."""
        with self._lock:
            suspect = self._fresh(digest, now)
            return suspect is not None and suspect.ends >= self._ends

    def _fresh(self, digest: bytes, now: float) -> _Suspect | None:
        suspect = self._suspects.get(digest)
        if suspect is not None and now - suspect.since > self._seconds:
            del self._suspects[digest]
            return None
        return suspect
