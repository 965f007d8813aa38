"""Use cases of the audit log: append and query."""

import dataclasses
from collections.abc import Sequence

from services.access.model.audit import AuditEntry, AuditQuery, Event
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Caller, Kind
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import paging
from services.chassis.rpc.errors import PermissionDenied
from services.chassis.times import micros


class AuditService:
    """Keeps the audit chains of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def append(
        self, caller: Caller, tenant: str, events: Sequence[Event], asked: RequestIdentity
    ) -> int:
        """Append events to a tenant's log; return the place of the last one."""
        now = self._deps.clock.now()

        def work(tx: Transaction) -> int:
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return int(known)
            last = dependencies.record_told(tx, tenant, now, events)
            dependencies.remember(tx, caller, asked, now, str(last))
            return last

        last = await self._deps.store.write(work)
        for event in events:
            self._deps.meter.audited(event.outcome.value, 1)
        return last

    async def query(
        self, caller: Caller, query: AuditQuery, size: int, token: str
    ) -> tuple[list[AuditEntry], str]:
        """List entries; an agent sees its own. Raises PermissionDenied or InvalidPageToken."""
        if caller.kind is Kind.AGENT:
            if query.agent not in ("", caller.agent):
                raise PermissionDenied("an agent reads its own entries", metadata={"agent": query.agent})
            query = dataclasses.replace(query, agent=caller.agent)
        limit = paging.page_size(size)
        key = _page_key(query)
        position = paging.decode(token, *key, shape=(int,))
        after = int(position[0] or 0) if position else 0
        found = await self._deps.store.read(lambda tx: tx.audit.page(query, after, limit + 1))
        if len(found) <= limit:
            return found, ""
        return found[:limit], paging.encode([found[limit - 1].sequence], *key)


def _page_key(query: AuditQuery) -> tuple[str | int, ...]:
    times = [micros(time) if time else -1 for time in (query.start_time, query.end_time)]
    return (
        "audit",
        query.tenant,
        query.agent,
        query.action,
        query.resource_prefix,
        query.outcome.value if query.outcome else "",
        query.syscall_id,
        int(query.oldest_first),
        *times,
    )
