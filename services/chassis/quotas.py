"""What agents may keep of each countable thing: caps for an agent, its tree and its tenant. Pure.

An agent can register others, so a cap by agent alone bounds nothing: what counts is charged to the agent that
owns it, to the tree of that agent, and to its tenant, and each has a cap.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final, Self

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
    """Id of the root above that agent; empty where it is not known: it then counts as a tree of its own."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that it is charged at: what belongs to the tenant has only that."""
        return tuple(Level) if self.agent else (Level.TENANT,)

    def subject(self, level: Level) -> str:
        """Name whose cap is meant at a level: an agent's id, or empty for the tenant."""
        return {Level.AGENT: self.agent, Level.TREE: self.tree or self.agent, Level.TENANT: ""}[level]


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
    def flat(cls, limit: int) -> Self:
        """Return the same cap at every level, for what only its tenant is charged for."""
        return cls(limit, limit, limit)

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


SETTING: Final = "quota_"
"""Begins the names of the settings that are caps: `quota_notes` is the cap of the quota "notes"."""


def caps_of(config: Any) -> dict[str, Cap]:
    """Return the caps among the settings of a process, by quota."""
    named = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name.removeprefix(SETTING): cap for name, cap in named.items() if isinstance(cap, Cap)}


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


Owed = tuple[Owner, Mapping[str, int]]
"""What is charged to an owner: changes by quota."""


class Tab:
    """What one change keeps more, or less, of each quota, by owner: charged together at its end."""

    def __init__(self) -> None:
        self._owed: dict[Owner, Counter[str]] = {}

    def add(self, owner: Owner, changes: Mapping[str, int]) -> None:
        """Note changes by quota; they add up."""
        self._owed.setdefault(owner, Counter()).update(changes)

    def owed(self) -> Iterator[Owed]:
        """Yield the changes that are left of each owner."""
        for owner, changes in self._owed.items():
            left = {quota: change for quota, change in changes.items() if change}
            if left:
                yield owner, left


class LiveBook:
    """The running sums of what a process holds in memory only. Empty sums are forgotten."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self._used: Counter[tuple[str, Level, str, str]] = Counter()

    def charge(self, owner: Owner, changes: Mapping[str, int]) -> None:
        """Add to the sums of an owner, its tree and its tenant, all or nothing; less is always allowed.

        Raises QuotaExceeded when a sum that grows would pass its cap.
        """
        after = {
            (quota, level): self._used[_place(owner, level, quota)] + change
            for quota, change in changes.items()
            for level in owner.levels
        }
        judge(owner, self.caps, ((*at, total) for at, total in after.items() if changes[at[0]] > 0))
        for (quota, level), total in after.items():
            if total:
                self._used[_place(owner, level, quota)] = total
            else:
                self._used.pop(_place(owner, level, quota), None)

    def told(self, owner: Owner) -> list[Usage]:
        """Return what is used of every quota at every level."""
        return [
            Usage(quota, level, self._used[_place(owner, level, quota)], cap.at(level))
            for quota, cap in sorted(self.caps.items())
            for level in owner.levels
        ]

    def copy(self) -> Self:
        """Return a book with the same sums that changes by itself."""
        copied = type(self)(self.caps)
        copied._used.update(self._used)  # noqa: SLF001 - its own kind
        return copied

    def move(self, before: Owner, after: Owner, level: Level) -> None:
        """Move what an agent uses from one subject of a level to another."""
        kept = {
            place[3]: used
            for place, used in self._used.items()
            if place[:3] == (before.tenant, Level.AGENT, before.agent)
        }
        for quota, used in kept.items():
            self._used[_place(before, level, quota)] -= used
            self._used[_place(after, level, quota)] += used


def _place(owner: Owner, level: Level, quota: str) -> tuple[str, Level, str, str]:
    return owner.tenant, level, owner.subject(level), quota
