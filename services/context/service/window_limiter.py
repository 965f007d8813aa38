"""How many windows wait for other processes at once.

Such a window holds a place at the gateway while it makes calls that need one themselves: without a bound the
waiting could take all places from what it waits for.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.auth.identity import Scope
from services.context.errors import TooManyCalls


class WindowLimiter:
    """Counts what is under way, of all agents and of each."""

    def __init__(self, total: int, per_agent: int) -> None:
        self._total = total
        self._per_agent = per_agent
        self._taken: Counter[Scope] = Counter()

    @contextmanager
    def taken(self, scope: Scope) -> Iterator[None]:
        """Hold a place for the length of a block. Raises TooManyCalls when there is none."""
        if self._taken.total() >= self._total or self._taken[scope] >= self._per_agent:
            raise TooManyCalls("too many windows wait for a summary or for notes")
        self._taken[scope] += 1
        try:
            yield
        finally:
            self._taken[scope] -= 1
            if not self._taken[scope]:
                del self._taken[scope]
