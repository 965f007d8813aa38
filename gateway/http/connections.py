"""Which connections stay: bounded in all, of one address, and where no credential was shown yet. Pure."""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be."""

    all: int
    per_address: int
    unproven: int
    """Those over which no request with a good credential has come yet."""


class Connections:
    """Counts connections and says which of them must go."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._address: dict[Hashable, str] = {}
        self._count: Counter[str] = Counter()
        self._unproven: dict[str, OrderedDict[Hashable, None]] = {}
        """By address, the oldest first."""
        self._unproven_count = 0

    def __len__(self) -> int:
        return len(self._address)

    def opened(self, key: Hashable, address: str) -> Hashable | None:
        """Note a connection; return the one that has to be closed for it, which may be itself.

        Where too many have shown no credential, the address that has most of those loses its oldest: who
        fills the room with silent connections pushes out his own.
        """
        self._address[key] = address
        self._count[address] += 1
        self._unproven.setdefault(address, OrderedDict())[key] = None
        self._unproven_count += 1
        if len(self._address) > self._bounds.all or self._count[address] > self._bounds.per_address:
            return key
        if self._unproven_count > self._bounds.unproven:
            most = max(self._unproven.values(), key=len)
            return next(iter(most))
        return None

    def proven(self, key: Hashable) -> None:
        """Note that a request with a good credential came over a connection."""
        address = self._address.get(key)
        if address is not None:
            self._drop_unproven(key, address)

    def closed(self, key: Hashable) -> None:
        """Forget a connection."""
        address = self._address.pop(key, None)
        if address is None:
            return
        self._count[address] -= 1
        if not self._count[address]:
            del self._count[address]
        self._drop_unproven(key, address)

    def _drop_unproven(self, key: Hashable, address: str) -> None:
        line = self._unproven.get(address)
        if line is not None and key in line:
            del line[key]
            self._unproven_count -= 1
            if not line:
                del self._unproven[address]
