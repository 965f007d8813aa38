"""How many wrong credentials may be shown to the console: by one address, and by all. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from services.chassis.dispatch.errors import TooManyCalls

_MOST_ADDRESSES: Final = 10_000


@dataclass(slots=True)
class _Window:
    """Attempts since a moment, on the steady clock."""

    since: float
    count: int = 0


@dataclass(slots=True)
class Guesses:
    """Counts attempts to sign in; one that succeeds is taken back.

    An attempt counts from the moment it begins, so that many at once are as many.
    """

    per_address: int
    of_all: int
    seconds: float
    """How long an attempt counts."""
    _all: _Window = field(default_factory=lambda: _Window(0.0))
    _by_address: "OrderedDict[str, _Window]" = field(default_factory=OrderedDict)

    def begin(self, address: str, now: float) -> None:
        """Count an attempt. Raises TooManyCalls when the address, or all together, have guessed too often."""
        mine = self._by_address.get(address)
        if mine is None:
            mine = self._by_address[address] = _Window(now)
            while len(self._by_address) > _MOST_ADDRESSES:
                self._by_address.popitem(last=False)
        for window, most in ((mine, self.per_address), (self._all, self.of_all)):
            if now - window.since >= self.seconds:
                window.since, window.count = now, 0
            if window.count >= most:
                left = self.seconds - (now - window.since)
                raise TooManyCalls("too many wrong credentials were shown here: wait", retry_after=left)
        mine.count += 1
        self._all.count += 1

    def right(self, address: str) -> None:
        """Take back an attempt: its credential was good, or nothing was learnt about it."""
        mine = self._by_address.get(address)
        if mine is not None:
            mine.count = max(0, mine.count - 1)
        self._all.count = max(0, self._all.count - 1)
