"""The access manager as a whole: its use cases, sharing one set of ports."""

from collections.abc import Iterable, Mapping

from services.access.service.agents import AgentService
from services.access.service.approvals import ApprovalService
from services.access.service.audit_log import AuditService
from services.access.service.audit_verifying import AuditVerifier
from services.access.service.decisions import DecisionService
from services.access.service.denials import DenialLog
from services.access.service.dependencies import Dependencies
from services.access.service.erasing import Eraser
from services.access.service.grants import GrantService
from services.access.service.groups import GroupService
from services.access.service.lifetimes import LifetimeService
from services.access.service.persons import PersonService
from services.access.service.policies import PolicyService
from services.access.service.purging import PurgeService, PurgeSettings
from services.access.service.reviews import ReviewService
from services.access.service.tokens import TokenService


class AccessManager:
    """Agents, rules, decisions, approvals, audit and tokens.

    `builtin` are the kernel's own policies as (id, text); `service_keys` are the secrets of the kernel's
    processes by name. Call `flush` every second or so and before the end: it writes the gathered denials.
    """

    def __init__(
        self,
        ports: Dependencies,
        *,
        service_keys: Mapping[str, str],
        builtin: Iterable[tuple[str, str]],
        purging: PurgeSettings | None = None,
    ) -> None:
        self.ports = ports
        self.audit = AuditService(ports)
        self.verifier = AuditVerifier(ports)
        self.eraser = Eraser(ports)
        self.purges = PurgeService(ports, self.eraser, purging or PurgeSettings())
        self.denials = DenialLog(ports)
        self.agents = AgentService(ports)
        self.marks = self.agents.marks
        self.lifetimes = LifetimeService(ports, self.agents)
        self.groups = GroupService(ports)
        self.grants = GrantService(ports)
        self.policies = PolicyService(ports, builtin)
        self.approvals = ApprovalService(ports)
        self.persons = PersonService(ports)
        self.checks = DecisionService(ports, self.denials)
        self.reviews = ReviewService(ports, self.checks)
        self.tokens = TokenService(ports, service_keys)

    async def flush(self) -> None:
        """Write the gathered denials to the audit log."""
        await self.denials.flush()

    async def finish(self) -> None:
        """Write every gathered denial, and how many were left out: the process is about to end."""
        await self.denials.flush(last=True)

    async def forget(self) -> None:
        """Delete what need not be remembered any more."""
        await self.tokens.forget()
        await self.approvals.forget()
        await self.grants.forget()
