"""Room for the moment, shared by agent, tree of agents and tenant: what is open, waits or is being worked on.

A tree is a root agent with all its descendants. It counts as one party beside its agents, since an agent
registers as many children as it likes. What is stored is no matter of this module. Pure; one event loop owns
each of its objects.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import QuotaViolation

_SUBJECTS: Final = {"agent": "agents/", "tree": "agents/", "tenant": "tenants/"}


@dataclass(frozen=True, slots=True)
class Flow:
    """Whose call it is."""

    tenant: str
    tree: str
    """Root of the agent's tree."""
    agent: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareLimits:
    """How much each may hold at once, in whatever unit is counted."""

    agent: int
    tree: int
    tenant: int
    all: int


@dataclass(slots=True)
class Shares:
    """Counts what is held. Nothing waits here: what finds no room is refused."""

    what: str
    """What is counted, in the plural, such as `watches`."""
    limits: ShareLimits
    retry_after: float = 1.0
    """When to come back. Unit: seconds."""
    _held: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @property
    def held(self) -> int:
        """How much all together hold."""
        return self._held[()]

    def of(self, flow: Flow) -> int:
        """How much an agent holds."""
        return self._held[_keys(flow)[0]]

    def take(self, flow: Flow, amount: int = 1) -> None:
        """Count what a flow takes. Raises TooManyCalls, which names the smallest party that has no room."""
        keys, limits = _keys(flow), self.limits
        bounds = (limits.agent, limits.tree, limits.tenant, limits.all)
        for level, name, key, limit in zip(LEVELS, _names(flow), keys, bounds, strict=True):
            if self._held[key] + amount > limit:
                raise too_many(level, name, limit, self.what, retry_after=self.retry_after)
        for key in keys:
            self._held[key] += amount

    def give_back(self, flow: Flow, amount: int = 1) -> None:
        """Count what a flow took no longer."""
        for key in _keys(flow):
            self._held[key] -= amount
            if not self._held[key]:
                del self._held[key]


LEVELS: Final = ("agent", "tree", "tenant", "process")


def too_many(level: str, name: str, limit: int, what: str, *, retry_after: float) -> TooManyCalls:
    """Build the refusal of a party, such as the `tree` of the agent `name`, that has `limit` of something."""
    subject = _SUBJECTS.get(level, "") + name
    who = {"tree": f"the tree of {subject}", "process": "this process"}.get(level, subject)
    text = f"{who} has {limit} {what} already"
    return TooManyCalls(
        text,
        metadata={"quota": what, "level": level, "subject": subject, "limit": str(limit)},
        retry_after=retry_after,
        quota=QuotaViolation(subject, f"{level}: {limit} {what}"),
    )


def _keys(flow: Flow) -> tuple[tuple[str, ...], ...]:
    return ("agent", flow.tenant, flow.agent), ("tree", flow.tenant, flow.tree), ("tenant", flow.tenant), ()


def _names(flow: Flow) -> tuple[str, ...]:
    return flow.agent, flow.tree, flow.tenant, ""
