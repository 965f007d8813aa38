"""How much memory the requests of each agent tree hold while they are under way. Pure."""

from collections import Counter

from services.chassis.dispatch.scheduling import CallKey


class Loads:
    """Bytes by tenant and program, the root of a tree of agents; who has nothing under way takes no room."""

    def __init__(self) -> None:
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._sizes: dict[CallKey, tuple[str, int]] = {}
        self.total = 0
        """Of all programs together."""

    def of(self, tenant: str, program: str) -> int:
        """Return what a program has under way."""
        return self._bytes[tenant, program]

    def add(self, key: CallKey, program: str, size: int) -> None:
        """Note a request that begins."""
        self._sizes[key] = program, size
        self._bytes[key.tenant, program] += size
        self.total += size

    def remove(self, key: CallKey) -> None:
        """Note that it has ended."""
        program, size = self._sizes.pop(key)
        self.total -= size
        self._bytes[key.tenant, program] -= size
        if not self._bytes[key.tenant, program]:
            del self._bytes[key.tenant, program]
