"""What agents may keep of each countable thing: caps for an agent, its tree and its tenant. Pure.

An agent can register others, so a cap by agent alone bounds nothing: what counts is charged to the agent that
owns it, to the tree of that agent, and to its tenant, and each has a cap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from services.chassis.rpc.errors import QuotaExceeded, QuotaViolation

TREE_FACTOR: Final = 4
"""What a tree may keep, by what one agent may, unless a setting says otherwise."""
TENANT_FACTOR: Final = 64
"""What a tenant may keep, by what one agent may, unless a setting says otherwise."""


class Level(Enum):
    """Whose cap is meant. Values are stored, and are the `level` in an error's metadata."""

    AGENT = "agent"
    TREE = "tree"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom something is charged to."""

    tenant: str
    agent: str
    """Id of the agent that owns it; empty for what belongs to the tenant."""
    tree: str
    """Id of the root above that agent; empty where it is not known."""

    def subject(self, level: Level) -> str:
        """Name whose cap is meant at a level: an agent's id, or empty for the tenant."""
        return {Level.AGENT: self.agent, Level.TREE: self.tree, Level.TENANT: ""}[level]


@dataclass(frozen=True, slots=True)
class Cap:
    """The most of one thing at each level. Unit: that of the quota, things or bytes."""

    agent: int
    tree: int
    tenant: int

    def __post_init__(self) -> None:
        """Raise ValueError unless 0 < agent <= tree <= tenant."""
        if not 0 < self.agent <= self.tree <= self.tenant:
            raise ValueError("a cap is positive and does not shrink from agent to tree to tenant")

    @classmethod
    def of(cls, agent: int) -> Self:
        """Return the usual cap of trees and tenants for a cap of agents."""
        return cls(agent, agent * TREE_FACTOR, agent * TENANT_FACTOR)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a setting: `AGENT`, `AGENT,TREE` or `AGENT,TREE,TENANT`. Raises ValueError.

        What is left out is the usual multiple of the agent's, and never less than the level below.
        """
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        match numbers:
            case [agent]:
                return cls.of(agent)
            case [agent, tree]:
                return cls(agent, tree, max(agent * TENANT_FACTOR, tree))
            case [agent, tree, tenant]:
                return cls(agent, tree, tenant)
        raise ValueError(f"expected one to three whole numbers (agent, tree, tenant), got {text!r}")

    def __str__(self) -> str:
        """Write it as a setting."""
        return f"{self.agent},{self.tree},{self.tenant}"

    def at(self, level: Level) -> int:
        """Return the cap of a level."""
        return {Level.AGENT: self.agent, Level.TREE: self.tree, Level.TENANT: self.tenant}[level]


Caps = Mapping[str, Cap]
"""The caps of a process by quota, such as "notes" or "note_bytes"."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a quota is used at one level."""

    quota: str
    level: Level
    used: int
    limit: int


def exceeded(owner: Owner, quota: str, level: Level, *, wanted: int, limit: int) -> QuotaExceeded:
    """Build the error: `wanted` in all would pass the cap of a level.

    It names the level and its cap. Of a tenant's use it tells no more: how much other trees keep is theirs.
    """
    whose = {
        Level.AGENT: f"agents/{owner.agent}",
        Level.TREE: f"the tree of agents/{owner.tree}",
        Level.TENANT: "the tenant",
    }[level]
    text = f"{whose} may keep {limit} {quota.replace('_', ' ')}"
    metadata = {"quota": quota, "level": level.value, "limit": str(limit)}
    if level is not Level.TENANT:
        metadata["wanted"] = str(wanted)
        text += f", {wanted} wanted"
    subject = f"tenants/{owner.tenant}" if level is Level.TENANT else f"agents/{owner.subject(level)}"
    return QuotaExceeded(text, metadata=metadata, quota=QuotaViolation(subject, text))


def judge(owner: Owner, caps: Caps, used: Iterable[tuple[str, Level, int]]) -> None:
    """Compare what would be used in all with the caps. Raises QuotaExceeded for the first that is passed."""
    for quota, level, total in used:
        limit = caps[quota].at(level)
        if total > limit:
            raise exceeded(owner, quota, level, wanted=total, limit=limit)
