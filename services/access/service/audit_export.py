"""Heads of the audit logs, told outside the database: who rewrites the log cannot take them back."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from services.access.core import audit_chain
from services.access.model.audit import AuditHead, ExportedHead
from services.access.service.dependencies import Dependencies, record

_AT_ONCE: Final = 500


class HeadTeller(Protocol):
    """Tells heads to somebody beside the file of heads; never waits for them."""

    def tell(self, heads: Sequence[ExportedHead]) -> None:
        """Take heads to be told."""
        ...


class HeadExporter:
    """Tells the head of each log after `rows` entries or `every`, whichever is first. Call `look` often."""

    def __init__(
        self, ports: Dependencies, *, rows: int, every: timedelta, tellers: Sequence[HeadTeller] = ()
    ) -> None:
        self._deps = ports
        self._rows = rows
        self._every = every
        self._tellers = tellers
        self._told_at: dict[str, datetime] = {}

    async def seal(self) -> int:
        """Seal the logs that were written before there were keys; return how many. Call it at the start."""
        now = self._deps.clock.now()
        tenants = await self._deps.store.read(lambda tx: tx.audit.unsealed(_AT_ONCE))
        for tenant in tenants:
            await self._deps.store.write(lambda tx, tenant=tenant: record(tx, tenant, now, []))  # type: ignore[misc]
        return len(tenants)

    async def look(self, *, everything: bool = False) -> None:
        """Tell the heads that are due, or every one that was not told yet. Raises OSError."""
        now = self._deps.clock.now()
        exporter = self._deps.heads.exporter
        found = await self._deps.store.read(lambda tx: tx.audit.to_export(exporter, _AT_ONCE))
        due = [
            self._signed(tenant, head, now)
            for tenant, head, told in found
            if everything or self._is_due(tenant, head.sequence - told, now)
        ]
        if not due:
            return
        await self._deps.heads.put(due)
        # The log of heads comes first: noted before, a crash in between would look like a log cut short.
        await self._deps.store.write(lambda tx: tx.audit.note_exported(exporter, due))
        self._told_at |= {head.tenant: now for head in due}
        self._deps.meter.head_exported("file", len(due))
        for teller in self._tellers:
            teller.tell(due)

    def _is_due(self, tenant: str, entries: int, now: datetime) -> bool:
        # A log that is new to this process is told at once: nobody knows how long it has been waiting.
        told_at = self._told_at.get(tenant)
        return entries >= self._rows or told_at is None or now - told_at >= self._every

    def _signed(self, tenant: str, head: AuditHead, now: datetime) -> ExportedHead:
        kid, signature = self._deps.signer.sign(audit_chain.signed_text(tenant, head))
        return ExportedHead(tenant, head.sequence, head.hash, now, kid, signature)


class LogTeller:
    """Writes each head as a line of the process's log."""

    def __init__(self, say: Callable[[ExportedHead], None]) -> None:
        self._say = say

    def tell(self, heads: Sequence[ExportedHead]) -> None:
        """Write the lines."""
        for head in heads:
            self._say(head)
