"""How much memory request bodies take, all together and by caller. A flood is refused, nothing waits."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from services.chassis.dispatch.errors import TooManyCalls

Holder = tuple[str, str]
"""Tenant and agent whose body it is."""

_SHARE: Final = 8
"""One holder may use this part of the whole: an eighth."""


@dataclass(slots=True)
class Bodies:
    """Counts the bytes of bodies that are being worked on."""

    limit: int
    _all: int = 0
    _by_holder: Counter[Holder] = field(default_factory=Counter)

    def reserve(self, holder: Holder, size: int) -> None:
        """Count a body. Raises TooManyCalls when it finds no room."""
        if self._all + size > self.limit or self._by_holder[holder] + size > max(self.limit // _SHARE, size):
            if not self._by_holder[holder]:
                del self._by_holder[holder]
            raise TooManyCalls("too many request bodies are being worked on", retry_after=1.0)
        self._all += size
        self._by_holder[holder] += size

    def release(self, holder: Holder, size: int) -> None:
        """Count a body no longer."""
        if not size:
            return
        self._all -= size
        self._by_holder[holder] -= size
        if self._by_holder[holder] <= 0:
            del self._by_holder[holder]

    @property
    def held(self) -> int:
        """Bytes that are counted now."""
        return self._all
