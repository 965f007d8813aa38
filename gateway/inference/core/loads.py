"""How much memory the requests of each agent tree hold while they are under way. Pure."""

from collections import Counter

from services.chassis.dispatch.scheduling import CallKey
from services.chassis.quotas import Cap, Owner
from services.chassis.shares import Shares


class Loads:
    """Bytes by tenant and program, the root of a tree of agents; who has nothing under way takes no room."""

    def __init__(self, calls: Cap) -> None:
        self.calls = Shares("generations", calls, retry_after=0.5)
        self._tenants: Counter[str] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._sizes: dict[CallKey, tuple[str, int]] = {}
        self.total = 0
        """Of all programs together."""

    def of(self, tenant: str, program: str) -> int:
        """Return what a program has under way."""
        return self._bytes[tenant, program]

    def of_tenant(self, tenant: str) -> int:
        """Return what a tenant has under way."""
        return self._tenants[tenant]

    def add(self, key: CallKey, program: str, size: int) -> None:
        """Note a request that begins."""
        self._sizes[key] = program, size
        self._bytes[key.tenant, program] += size
        self._tenants[key.tenant] += size
        self.total += size
        self.calls.add(Owner(key.tenant, key.agent, program or key.agent))

    def remove(self, key: CallKey) -> None:
        """Note that it has ended."""
        program, size = self._sizes.pop(key)
        self.total -= size
        self.calls.give_back(Owner(key.tenant, key.agent, program or key.agent))
        self._tenants[key.tenant] -= size
        if not self._tenants[key.tenant]:
            del self._tenants[key.tenant]
        self._bytes[key.tenant, program] -= size
        if not self._bytes[key.tenant, program]:
            del self._bytes[key.tenant, program]
