"""The access manager as a whole: its use cases, sharing one set of ports."""

from collections.abc import Iterable

from services.access.service.agents import AgentDesk
from services.access.service.approvals import ApprovalDesk
from services.access.service.audit_log import AuditDesk
from services.access.service.decisions import CheckDesk
from services.access.service.dependencies import Kit
from services.access.service.grants import GrantDesk
from services.access.service.groups import GroupDesk
from services.access.service.policies import PolicyDesk
from services.access.service.tokens import TokenDesk


class AccessManager:
    """Agents, rules, decisions, approvals, audit and tokens.

    `builtin` are the kernel's own policies as (id, text); `service_key` is the secret of the kernel's
    processes. Call `flush` every second or so and before the end: it writes the gathered denials.
    """

    def __init__(self, ports: Kit, *, service_key: str, builtin: Iterable[tuple[str, str]]) -> None:
        self.ports = ports
        self.audit = AuditDesk(ports)
        self.agents = AgentDesk(ports)
        self.groups = GroupDesk(ports)
        self.grants = GrantDesk(ports)
        self.policies = PolicyDesk(ports, builtin)
        self.approvals = ApprovalDesk(ports)
        self.checks = CheckDesk(ports, self.audit)
        self.tokens = TokenDesk(ports, service_key)

    async def flush(self) -> None:
        """Write the gathered denials to the audit log."""
        await self.audit.flush()

    async def forget(self) -> None:
        """Delete what need not be remembered any more."""
        await self.tokens.forget()
