"""The ended generations that can be asked for again, bounded by age and by bytes. Pure.

Agents decide how much they generate, so what outlives a call is charged to its agent, its tenant and the
gateway as a whole. Where one of them has no room, its own oldest generations go: an agent's flood costs its
own answers first.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.inference.service.generation import Generation
from services.chassis.dispatch.scheduling import CallKey

MIB: Final = 2**20

_Scope = tuple[str, ...]
"""Who is charged: nobody in particular (the gateway), a tenant, or a tenant's agent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepLimits:
    """What is kept at most. Sizes in bytes of memory, as `Generation.size` counts them."""

    seconds: float = 300.0
    total_bytes: int = 256 * MIB
    tenant_bytes: int = 128 * MIB
    agent_bytes: int = 32 * MIB


@dataclass(slots=True)
class _Account:
    """The generations charged to one scope, the oldest first."""

    sizes: OrderedDict[CallKey, int] = field(default_factory=OrderedDict)
    bytes: int = 0


class KeptGenerations:
    """Ended generations by their keys."""

    def __init__(self, limits: KeepLimits) -> None:
        self._limits = limits
        self._generations: dict[CallKey, Generation] = {}
        self._accounts: dict[_Scope, _Account] = {}

    def __len__(self) -> int:
        return len(self._generations)

    def __iter__(self) -> Iterator[Generation]:
        return iter(list(self._generations.values()))

    @property
    def bytes(self) -> int:
        """Memory of all that is kept."""
        return self._held(())

    def agent_bytes(self, tenant: str, agent: str) -> int:
        """Memory of what is kept of one agent."""
        return self._held((tenant, agent))

    def get(self, key: CallKey) -> Generation | None:
        """Return an ended generation, or None."""
        return self._generations.get(key)

    def add(self, generation: Generation) -> None:
        """Keep a generation that has ended, in the place of an earlier one of its key.

        One that is larger than its agent's share is not kept; who follows it has it nevertheless.
        """
        self.drop(generation.key)
        size = generation.size
        self._generations[generation.key] = generation
        for scope, _ in self._scopes(generation.key):
            account = self._accounts.setdefault(scope, _Account())
            account.sizes[generation.key] = size
            account.bytes += size
        for scope, limit in self._scopes(generation.key):
            while self._held(scope) > limit:
                self.drop(next(iter(self._accounts[scope].sizes)))

    def drop(self, key: CallKey) -> None:
        """Forget a generation. Idempotent."""
        if self._generations.pop(key, None) is None:
            return
        for scope, _ in self._scopes(key):
            account = self._accounts[scope]
            account.bytes -= account.sizes.pop(key)
            if not account.sizes:
                del self._accounts[scope]

    def expire(self, now: float) -> None:
        """Forget what is too old. `now` is on the clock of `Generation.ended_at`, in seconds."""
        everything = self._accounts.get(())
        while everything is not None and everything.sizes:
            oldest = self._generations[next(iter(everything.sizes))]
            if oldest.ended_at is not None and oldest.ended_at >= now - self._limits.seconds:
                return
            self.drop(oldest.key)

    def _scopes(self, key: CallKey) -> Iterator[tuple[_Scope, int]]:
        yield (key.tenant, key.agent), self._limits.agent_bytes
        yield (key.tenant,), self._limits.tenant_bytes
        yield (), self._limits.total_bytes

    def _held(self, scope: _Scope) -> int:
        account = self._accounts.get(scope)
        return 0 if account is None else account.bytes
