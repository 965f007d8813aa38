"""Use case: verify an audit chain, with itself, with a noted head, and with the heads exported from it."""

import asyncio
import dataclasses
from typing import Final

from services.access.core import audit_chain
from services.access.core.audit_chain import ChainVerifier
from services.access.model.audit import AuditHead, ExportedHead, Fault, Verification
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import PermissionDenied

_RUN: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Verified:
    """The result of a verification with the signature of the head."""

    result: Verification
    kid: str
    signature: bytes
    exported: int = 0
    """Sequence of the exported head that the log was compared with; 0: with none."""


@dataclasses.dataclass(frozen=True, slots=True)
class NotedHead:
    """A head that a caller noted: both or either is given."""

    hash: str = ""
    sequence: int = 0


class AuditVerifier:
    """Recomputes the chains."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def verify(self, caller: Caller, first: int, last: int, noted: NotedHead) -> Verified:
        """Recompute the caller's tenant's chain between two sequences (0: the ends) and sign its head.

        Raises PermissionDenied to an agent: the chain holds what others did.
        """
        if caller.kind is Kind.AGENT:
            raise PermissionDenied("verifying the log is for administrators")
        return await self.of_tenant(caller.tenant, first, last, noted)

    async def of_tenant(
        self, tenant: str, first: int = 0, last: int = 0, noted: NotedHead | None = None
    ) -> Verified:
        """Verify a tenant's chain."""
        # What was exported is read before the end of the chain: the other way round a head could be newer.
        told, trouble = await self._deps.heads.newest(tenant)
        end = await self._end(tenant)
        if last and last < end.sequence:
            result = await self._run(tenant, max(first, 1), last)
        else:
            result, end = await self._to_end(tenant, max(first, 1), end)
        if result.intact and noted is not None and (noted.hash or noted.sequence):
            result = await self._against(tenant, end, result, noted, "expected")
        compared = 0
        if result.intact and first <= 1 and not last:
            result = await self._against_exported(tenant, end, result, told, trouble)
            compared = told.sequence if told else 0
        kid, signature = self._deps.signer.sign(audit_chain.signed_text(tenant, result.head))
        return Verified(result, kid, signature, compared)

    async def _against_exported(
        self, tenant: str, end: AuditHead, result: Verification, told: ExportedHead | None, trouble: Fault
    ) -> Verification:
        exporter = self._deps.heads.exporter
        exported = await self._deps.store.read(lambda tx: tx.audit.exported(tenant, exporter))
        if trouble is Fault.HEADS_CHANGED:
            return _broken(result, trouble, end.sequence, "an exported head is not one that access signed")
        if trouble is Fault.HEADS_MISSING and exported:
            return _broken(result, trouble, end.sequence, "the file of exported heads is gone")
        if exported > (told.sequence if told else 0):
            problem = f"the exported heads end before entry {exported}, which was told to them"
            return _broken(result, Fault.HEADS_REWOUND, end.sequence, problem)
        if told is None:
            return result
        return await self._against(tenant, end, result, NotedHead(told.hash, told.sequence), "exported")

    async def _against(
        self, tenant: str, end: AuditHead, result: Verification, noted: NotedHead, which: str
    ) -> Verification:
        at = noted.sequence
        if at > end.sequence:
            problem = (
                f"the log ends with entry {end.sequence}; the {which} head is entry {at}: its tail was cut"
            )
            return _broken(result, Fault.TAIL_CUT, end.sequence + 1, problem)
        if not at:
            found = await self._deps.store.read(lambda tx: tx.audit.has_hash(tenant, noted.hash))
        else:
            entries = await self._deps.store.read(lambda tx: tx.audit.between(tenant, at, at))
            found = bool(entries) and noted.hash in ("", entries[0].hash)
        if found:
            return result
        problem = f"the {which} head is not in the log: it was cut or rewritten"
        return _broken(result, Fault.REWRITTEN, at or result.head.sequence, problem)

    async def _to_end(self, tenant: str, first: int, end: AuditHead) -> tuple[Verification, AuditHead]:
        """Verify up to the end of a chain; return the end that it came to, which may be a newer one."""
        chain = await self._begin(tenant, first)
        while chain.intact and await self._advance(chain, tenant, end.sequence) and chain.awaits_erasure:
            newer = await self._end(tenant)
            if newer == end:
                break
            end = newer
        chain.finish()
        result = chain.result()
        if result.intact and result.head != end and first <= end.sequence:
            problem = "the log's last entry is not its noted head"
            result = _broken(result, Fault.ENTRY_MISSING, end.sequence, problem)
        return result, end

    async def _run(self, tenant: str, first: int, last: int) -> Verification:
        chain = await self._begin(tenant, first)
        if chain.intact:
            await self._advance(chain, tenant, last)
        return chain.result()

    async def _begin(self, tenant: str, first: int) -> ChainVerifier:
        keys = await self._deps.store.read(lambda tx: tx.audit.keys)
        if first <= 1:
            return ChainVerifier(audit_chain.GENESIS, keys.find)
        entries = await self._deps.store.read(lambda tx: tx.audit.between(tenant, first - 1, first - 1))
        before = audit_chain.head_of(entries[0]) if entries else AuditHead(first - 2, "")
        chain = ChainVerifier(before, keys.find, whole=False)
        if not entries:
            chain.missing(first - 1)
        return chain

    async def _end(self, tenant: str) -> AuditHead:
        return await self._deps.store.read(lambda tx: tx.audit.head(tenant))

    async def _advance(self, chain: ChainVerifier, tenant: str, last: int) -> bool:
        while chain.head.sequence < last:
            if not await self._step(chain, tenant, last):
                return False
        return True

    async def _step(self, chain: ChainVerifier, tenant: str, last: int) -> bool:
        until = min(chain.head.sequence + _RUN, last)
        start = chain.head.sequence + 1
        entries = await self._deps.store.read(lambda tx: tx.audit.between(tenant, start, until))
        if not await asyncio.to_thread(chain.feed, entries):
            return False
        if chain.head.sequence < until:
            chain.missing(chain.head.sequence + 1)
            return False
        return True


def _broken(result: Verification, fault: Fault, sequence: int, problem: str) -> Verification:
    return dataclasses.replace(result, fault=fault, broken_sequence=sequence, problem=problem)
