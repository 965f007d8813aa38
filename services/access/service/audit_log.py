"""Use cases of the audit log: append, query, verify; and denials, gathered and written in batches."""

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.access.core import audit_chain
from services.access.model import AuditEntry, AuditHead, AuditOutcome, AuditQuery, Event, Verification
from services.access.ports import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Caller, Kind
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import paging
from services.chassis.rpc.errors import PermissionDenied
from services.chassis.times import micros

_VERIFY_RUN: Final = 1000
_MAX_GATHERED: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Verified:
    """The result of a verification with the signature of the head."""

    result: Verification
    kid: str
    signature: bytes


class AuditService:
    """Keeps the audit chains of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports
        self._denials: dict[tuple[str, Event], int] = {}
        self._flushing = asyncio.Lock()

    async def append(
        self, caller: Caller, tenant: str, events: Sequence[Event], asked: RequestIdentity
    ) -> int:
        """Append events to a tenant's log; return the place of the last one."""
        now = self._deps.clock.now()

        def work(tx: Transaction) -> int:
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return int(known)
            last = dependencies.record(tx, tenant, now, events)
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

    async def verify(self, caller: Caller, first: int, last: int, expected_head: str) -> Verified:
        """Recompute the caller's tenant's chain between two sequences (0: the ends) and sign its head.

        Raises PermissionDenied to an agent: the chain holds what others did.
        """
        if caller.kind is Kind.AGENT:
            raise PermissionDenied("verifying the log is for administrators")
        tenant = caller.tenant
        end = await self._deps.store.read(lambda tx: tx.audit.head(tenant))
        result = await self._run(tenant, max(first, 1), min(last or end.sequence, end.sequence))
        if result.intact and not last and result.head != end:
            result = dataclasses.replace(
                result, broken_sequence=end.sequence, problem="the log's last entry is not its noted head"
            )
        known = not expected_head or await self._deps.store.read(
            lambda tx: tx.audit.has_hash(tenant, expected_head)
        )
        if result.intact and not known:
            problem = "the expected head is not in the log: it was cut or replaced"
            result = dataclasses.replace(result, broken_sequence=result.head.sequence, problem=problem)
        kid, signature = self._deps.signer.sign(audit_chain.signed_text(tenant, result.head))
        return Verified(result, kid, signature)

    def deny(self, tenant: str, event: Event) -> None:
        """Gather a denial; `flush` writes it. Equal denials become one entry that counts them."""
        key = (tenant, event)
        if key not in self._denials and len(self._denials) >= _MAX_GATHERED:
            self._deps.meter.audit_lost(1)
            return
        self._denials[key] = self._denials.get(key, 0) + 1

    async def flush(self) -> None:
        """Write the gathered denials. A failure keeps them for the next time."""
        async with self._flushing:
            taken, self._denials = self._denials, {}
            if not taken:
                return
            now = self._deps.clock.now()
            try:
                await self._deps.store.write(lambda tx: _write(tx, taken, now))
            except BaseException:
                self._denials = taken | self._denials
                raise
        self._deps.meter.audited(AuditOutcome.DENIED.value, len(taken))

    async def _run(self, tenant: str, first: int, last: int) -> Verification:
        before = audit_chain.GENESIS
        if first > 1:
            entries = await self._deps.store.read(lambda tx: tx.audit.between(tenant, first - 1, first - 1))
            if not entries:
                return Verification(0, before, first - 1, f"the entry is missing: {first - 1}")
            before = audit_chain.head_of(entries[0])
        count, head = 0, before
        while head.sequence < last:
            step = await self._step(tenant, head, last)
            count, head = count + step.verified_count, step.head
            if not step.intact:
                return dataclasses.replace(step, verified_count=count)
        return Verification(count, head)

    async def _step(self, tenant: str, head: AuditHead, last: int) -> Verification:
        until = min(head.sequence + _VERIFY_RUN, last)
        entries = await self._deps.store.read(lambda tx: tx.audit.between(tenant, head.sequence + 1, until))
        step = await asyncio.to_thread(audit_chain.verify, head, entries)
        if step.intact and step.head.sequence < until:
            missing = step.head.sequence + 1
            return dataclasses.replace(
                step, broken_sequence=missing, problem=f"the entry is missing: {missing}"
            )
        return step


def _write(tx: Transaction, taken: dict[tuple[str, Event], int], now: datetime) -> None:
    for tenant in sorted({tenant for tenant, _ in taken}):
        events = [
            dataclasses.replace(event, reason=f"{event.reason} x{count}") if count > 1 else event
            for (owner, event), count in taken.items()
            if owner == tenant
        ]
        dependencies.record(tx, tenant, now, events)


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
