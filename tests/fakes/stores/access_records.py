"""Approvals and the audit log in memory. See ports.Approvals and Audit."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.access.core import audit_chain
from services.access.model.approvals import Approval, ApprovalState
from services.access.model.audit import AuditEntry, AuditHead, AuditQuery, ExportedHead, Part
from services.access.ports.audit import SealKeys
from services.chassis.quotas import Level, Owner
from services.chassis.times import micros
from tests.fakes.stores.access_tables import World

_OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)


class MemoryApprovals:
    """See ports.Approvals."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, approval: str) -> Approval | None:
        """Return one approval, or None."""
        return self._world.approvals.get((tenant, approval))

    def insert(self, approval: Approval) -> None:
        """Add an approval with a new id."""
        self.update(approval)

    def update(self, approval: Approval) -> None:
        """Store an approval that exists."""
        self._world.approvals[approval.tenant, approval.id] = approval

    def open_for(self, wanted: Approval, now: datetime) -> Approval | None:
        """Return the pending or approved one for the same call, or None."""
        return next(
            (one for one in self._of(wanted.tenant, wanted.agent) if _same_call(one, wanted, now)), None
        )

    def pending_count(self, tenant: str, agent: str, now: datetime) -> int:
        """Count the approvals of an agent that wait for a decision."""
        return sum(one.state_at(now) is ApprovalState.PENDING for one in self._of(tenant, agent))

    def load(self, owner: Owner, now: datetime) -> dict[Level, tuple[int, int]]:
        """Return how many are open at each level of an agent, and the bytes of their arguments."""
        live = [one for one in self._of(owner.tenant, "") if one.state_at(now) in _OPEN]
        levels = {
            Level.AGENT: [one for one in live if one.agent == owner.agent],
            Level.TREE: [one for one in live if one.root == owner.tree],
            Level.TENANT: live,
        }
        return {
            level: (len(found), sum(one.arguments_bytes for one in found)) for level, found in levels.items()
        }

    def put_arguments(self, approval: Approval, content: bytes) -> None:
        """Keep the whole arguments of an approval."""
        self._world.approval_arguments[approval.tenant, approval.id] = content

    def arguments(self, tenant: str, approval: str) -> bytes | None:
        """Return the whole arguments, or None when they are not kept."""
        return self._world.approval_arguments.get((tenant, approval))

    def drop_arguments(self, tenant: str, approval: str) -> None:
        """Forget the arguments of an approval."""
        self._world.approval_arguments.pop((tenant, approval), None)

    def forget_arguments(self, now: datetime) -> None:
        """Forget the arguments of all approvals that are not open any more."""
        for key in list(self._world.approval_arguments):
            if self._world.approvals[key].state_at(now) not in _OPEN:
                del self._world.approval_arguments[key]

    def forget(self, ended_before: datetime, limit: int) -> list[Approval]:
        """Delete approvals whose time was over by then; return them."""
        ended = [one for one in self._world.approvals.values() if one.expire_time <= ended_before][:limit]
        for approval in ended:
            self.drop_arguments(approval.tenant, approval.id)
            del self._world.approvals[approval.tenant, approval.id]
        return ended

    def page(
        self,
        tenant: str,
        agent: str,
        *,
        states: frozenset[ApprovalState],
        now: datetime,
        before: Sequence[str | int],
        limit: int,
    ) -> list[Approval]:
        """List approvals newest first."""
        found = [
            one
            for one in self._of(tenant, agent)
            if (not states or one.state_at(now) in states)
            and (not before or [micros(one.create_time), one.id] < list(before))
        ]
        return sorted(found, key=lambda one: (one.create_time, one.id), reverse=True)[:limit]

    def changed(self, tenant: str, agent: str, after: int, limit: int) -> list[Approval]:
        """List approvals by the sequence of their last change."""
        found = [one for one in self._of(tenant, agent) if one.sequence > after]
        return sorted(found, key=lambda one: one.sequence)[:limit]

    def _of(self, tenant: str, agent: str) -> list[Approval]:
        return [
            one for key, one in self._world.approvals.items() if key[0] == tenant and agent in ("", one.agent)
        ]


class MemoryAudit:
    """See ports.Audit."""

    def __init__(self, world: World, keys: SealKeys) -> None:
        self._world = world
        self._keys = keys

    @property
    def keys(self) -> SealKeys:
        """What entries are sealed with."""
        return self._keys

    def head(self, tenant: str) -> AuditHead:
        """Return the end of a chain."""
        last = self._world.counters.get(f"audit/{tenant}", 0)
        return audit_chain.head_of(self._world.audit[tenant, last]) if last else audit_chain.GENESIS

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries that follow the head."""
        for entry in entries:
            self._world.audit[entry.tenant, entry.sequence] = entry
            self._world.counters[f"audit/{entry.tenant}"] = entry.sequence

    def page(self, query: AuditQuery, after: int, limit: int) -> list[AuditEntry]:
        """List entries in the order of the query."""
        found = [entry for key, entry in self._world.audit.items() if _asked(key, entry, query)]
        found.sort(key=lambda entry: entry.sequence, reverse=not query.oldest_first)
        if query.oldest_first:
            return [entry for entry in found if entry.sequence > after][:limit]
        return [entry for entry in found if not after or entry.sequence < after][:limit]

    def between(self, tenant: str, first: int, last: int) -> list[AuditEntry]:
        """Return the entries with these sequences, in order."""
        numbers = range(first, last + 1)
        return [entry for number in numbers if (entry := self._world.audit.get((tenant, number)))]

    def has_hash(self, tenant: str, digest: str) -> bool:
        """Tell whether an entry with this hash exists."""
        return any(key[0] == tenant and entry.hash == digest for key, entry in self._world.audit.items())

    def about(self, tenant: str, agent: str, limit: int) -> list[AuditEntry]:
        """Return entries that tell of an agent, by sequence."""
        mine = [entry for (owner, _), entry in sorted(self._world.audit.items()) if owner == tenant]
        return [entry for entry in mine if audit_chain.parts_about(entry, agent)][:limit]

    def blank(self, entries: Mapping[AuditEntry, Sequence[Part]], told_by: int) -> None:
        """Blank parts of entries."""
        for entry, parts in entries.items():
            blanked = audit_chain.blanked(entry, parts, told_by)
            self._world.audit[entry.tenant, entry.sequence] = blanked

    def unsealed(self, limit: int) -> list[str]:
        """Return tenants whose chain ends with an unsealed entry."""
        return [tenant for tenant in self._tenants() if not self.head(tenant).key_id][:limit]

    def to_export(self, exporter: str, limit: int) -> list[tuple[str, AuditHead, int]]:
        """Return tenants whose head an exporter has not told yet."""
        found = [(tenant, self.head(tenant), self.exported(tenant, exporter)) for tenant in self._tenants()]
        return [one for one in found if one[1].sequence > one[2]][:limit]

    def exported(self, tenant: str, exporter: str) -> int:
        """Return the sequence of the last head that an exporter told."""
        return self._world.counters.get(f"exported/{exporter}/{tenant}", 0)

    def note_exported(self, exporter: str, heads: Iterable[ExportedHead]) -> None:
        """Note what an exporter has told."""
        for head in heads:
            self._world.counters[f"exported/{exporter}/{head.tenant}"] = head.sequence

    def _tenants(self) -> list[str]:
        return sorted({tenant for tenant, _ in self._world.audit})


def _same_call(one: Approval, wanted: Approval, now: datetime) -> bool:
    return one.state_at(now) in _OPEN and _call(one) == _call(wanted)


def _call(one: Approval) -> tuple[str, str, str, str]:
    return one.action, one.resource, one.resource_version, one.arguments_sha256


def _asked(key: tuple[str, int], entry: AuditEntry, query: AuditQuery) -> bool:
    event = entry.event
    return (
        key[0] == query.tenant
        and query.agent in ("", event.agent)
        and query.action in ("", event.action)
        and event.resource.startswith(query.resource_prefix)
        and query.outcome in (None, event.outcome)
        and query.syscall_id in ("", event.syscall_id)
        and (query.start_time is None or entry.create_time >= query.start_time)
        and (query.end_time is None or entry.create_time < query.end_time)
    )
