"""Purges in memory. See ports.Purges."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.access.core.audit_chain import ERASED
from services.access.model.agents import Purge
from tests.fakes.stores.access_tables import World


class MemoryPurges:
    """See ports.Purges."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, agent: str) -> Purge | None:
        """Return the purge of an agent, or None."""
        return self._world.purges.get((tenant, agent))

    def put(self, purge: Purge) -> None:
        """Add or replace a purge."""
        self._world.purges[purge.tenant, purge.agent] = purge

    def unexpanded(self, limit: int) -> list[Purge]:
        """List purges that are not expanded."""
        return [one for one in self._world.purges.values() if not one.expanded][:limit]

    def waiting_for(self, manager: str, now: datetime, limit: int) -> list[Purge]:
        """List purges that are due and that a manager has not confirmed."""
        found = [one for one in self._due(now) if not self._has_confirmed(one, manager)]
        return sorted(found, key=lambda one: (one.due_time, one.tenant, one.agent))[:limit]

    def confirm(self, purge: Purge, manager: str, counts: Mapping[str, int]) -> None:
        """Note what a manager deleted; of two reports about one pass the first counts."""
        key = (purge.tenant, purge.agent, purge.number, manager)
        self._world.confirmations.setdefault(key, dict(counts))

    def confirmed(self, managers: Sequence[str], now: datetime, limit: int) -> list[Purge]:
        """List purges that all managers have confirmed, the deepest first."""
        found = [
            one
            for one in self._due(now)
            if one.expanded and all(self._has_confirmed(one, manager) for manager in managers)
        ]
        return sorted(found, key=lambda one: (one.number, -one.depth, one.tenant, one.agent))[:limit]

    def counts(self, tenant: str, agent: str) -> dict[str, int]:
        """Return what the managers deleted in all passes."""
        found: dict[str, int] = {}
        for (owner, name, _, manager), counts in self._world.confirmations.items():
            if (owner, name) == (tenant, agent):
                for what, count in counts.items():
                    found[f"{manager}.{what}"] = found.get(f"{manager}.{what}", 0) + count
        return found

    def strip(self, tenant: str, agent: str, limit: int) -> int:
        """Delete or blank rows that tell of an agent."""
        del limit
        world, name = self._world, f"agents/{agent}"
        doomed: list[tuple[dict[Any, Any], list[Any]]] = [
            (world.keys, [k for k, one in world.keys.items() if (one.tenant, one.agent) == (tenant, agent)]),
            (world.members, [k for k in world.members if (k[0], k[2]) == (tenant, name)]),
            (
                world.grants,
                [
                    k
                    for k, one in world.grants.items()
                    if k[0] == tenant
                    and (
                        agent == one.owner or name == one.grantee or f"{one.resource}/".startswith(f"{name}/")
                    )
                ],
            ),
            (
                world.approvals,
                [k for k, one in world.approvals.items() if (k[0], one.agent) == (tenant, agent)],
            ),
            (world.revocations, [k for k in world.revocations if k[:2] == (tenant, agent)]),
            (
                world.answers,
                [k for k, one in world.answers.items() if k[0] == tenant and agent in (k[1], one[1])],
            ),
        ]
        removed = 0
        for table, keys in doomed:
            for key in keys:
                del table[key]
                removed += 1
        return removed + self._blank(tenant, agent)

    def forget(self, tenant: str, agent: str) -> None:
        """Forget a purge and what was confirmed of it."""
        self._world.purges.pop((tenant, agent), None)
        for key in [key for key in self._world.confirmations if key[:2] == (tenant, agent)]:
            del self._world.confirmations[key]

    def bury(self, tenant: str, digest: str, now: datetime) -> None:
        """Note that an id is not to be given again."""
        self._world.tombstones[tenant, digest] = now

    def is_buried(self, tenant: str, digest: str) -> bool:
        """Tell whether an id was that of a purged agent."""
        return (tenant, digest) in self._world.tombstones

    def _blank(self, tenant: str, agent: str) -> int:
        world, blanked = self._world, 0
        for key, grant in list(world.grants.items()):
            if (key[0], grant.creator) == (tenant, agent):
                world.grants[key] = dataclasses.replace(grant, creator=ERASED)
                blanked += 1
        for at, approval in list(world.approvals.items()):
            if at[0] == tenant and agent == approval.root:
                world.approvals[at] = dataclasses.replace(approval, root="")
                blanked += 1
        return blanked + self.forget_decider(tenant, agent, len(world.approvals))

    def forget_decider(self, tenant: str, decider: str, limit: int) -> int:
        """Blank who decided, and who voted."""
        found = [
            (at, one)
            for at, one in self._world.approvals.items()
            if at[0] == tenant and decider in (one.decider, *(vote.decider for vote in one.votes))
        ][:limit]
        for at, one in found:
            votes = tuple(
                dataclasses.replace(vote, decider=ERASED) if vote.decider == decider else vote
                for vote in one.votes
            )
            who = ERASED if one.decider == decider else one.decider
            self._world.approvals[at] = dataclasses.replace(one, decider=who, votes=votes)
        return len(found)

    def _due(self, now: datetime) -> list[Purge]:
        return [one for one in self._world.purges.values() if one.due_time <= now]

    def _has_confirmed(self, purge: Purge, manager: str) -> bool:
        return (purge.tenant, purge.agent, purge.number, manager) in self._world.confirmations
