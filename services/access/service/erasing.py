"""Use case: blank what the audit log tells of an agent, so that the log goes on to verify."""

from datetime import datetime
from typing import Final

from services.access.core import audit_chain
from services.access.errors import AgentAlive
from services.access.model.agents import AgentState
from services.access.model.audit import Event
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc import names
from services.chassis.rpc.errors import PermissionDenied

_BATCH: Final = 500
"""Entries blanked in one transaction."""


class Eraser:
    """Erases agents from the audit logs, batch by batch."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def erase(self, caller: Caller, agent: str, reason: str) -> int:
        """Blank what the caller's tenant's log tells of a killed or unknown agent; return how many entries.

        That of a person too, who no longer stands in what it decided and voted either.

        Raises AgentAlive, and PermissionDenied to an agent.
        """
        if caller.kind is Kind.AGENT:
            raise PermissionDenied("erasing entries of the log is for administrators")
        known = await self._deps.store.read(lambda tx: tx.agents.get(caller.tenant, agent))
        if known is not None and known.state is not AgentState.KILLED:
            name = names.agent_name(agent)
            raise AgentAlive(f"{name} was not killed", metadata={"agent": name})
        while await self._deps.store.write(lambda tx: tx.purges.forget_decider(caller.tenant, agent, _BATCH)):
            pass
        return await self.blank(caller, caller.tenant, agent, reason)

    async def blank(self, caller: Caller, tenant: str, agent: str, reason: str) -> int:
        """Blank what a tenant's log tells of an agent; return how many entries."""
        now = self._deps.clock.now()
        total = 0
        while done := await self._deps.store.write(
            lambda tx: _blank_some(tx, caller, tenant, agent, reason=reason, now=now)
        ):
            total += done
        return total


def _blank_some(
    tx: Transaction, caller: Caller, tenant: str, agent: str, *, reason: str, now: datetime
) -> int:
    """Blank a batch and record who did it and why, in one transaction."""
    found = {entry: audit_chain.parts_about(entry, agent) for entry in tx.audit.about(tenant, agent, _BATCH)}
    if not found:
        return 0
    told = Event(
        agent=caller.agent,
        kind=caller.kind,
        method="/aios.api.access.v1.AccessService/EraseAudit",
        action=audit_chain.ERASE,
        arguments_sha256=audit_chain.erasure_digest(found.items()),
        syscall_id=caller.syscall_id,
        trace_id=caller.trace_id,
        note=f"blanked {len(found)} entries about one agent: {reason or 'no reason given'}",
    )
    sequence = dependencies.record(tx, tenant, now, [told])
    tx.audit.blank(found, sequence)
    return len(found)
