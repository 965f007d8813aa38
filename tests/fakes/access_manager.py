"""An access manager for tests, on any store, with callers to act as."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.access.adapters.cedar import CedarEngine, PolicyJudge, base_policies
from services.access.adapters.keys import KeyFile
from services.access.config import AccessConfig
from services.access.core.agent_tree import TreeLimits
from services.access.model.audit import AuditEntry, AuditQuery
from services.access.model.rules import Check, Decision, Finding, Reason
from services.access.ports.store import Store
from services.access.service.agents import AgentService, NewAgent, Registered
from services.access.service.dependencies import Dependencies, Settings
from services.access.service.erasing import Eraser
from services.access.service.facade import AccessManager
from services.access.service.purging import PurgeService, PurgeSettings
from services.access.servicer import AgentServicer
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.auth.processes import KEYED
from services.chassis.dispatch.scheduling import Hints
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap, caps_of
from tests.fakes.clock import FakeClock
from tests.fakes.seal_keys import FakeHeadLog

TENANT = "acme"
KERNEL_TENANT = "default"
SERVICE_KEYS = {name: f"the-secret-of-{name}" for name in KEYED}
NEW = RequestIdentity("", "Test")
"""A request without an id: every time a new one."""

ADMIN = Caller(agent="admin", tenant=TENANT, kind=Kind.ADMIN)
KERNEL_ADMIN = Caller(agent="admin", tenant=KERNEL_TENANT, kind=Kind.ADMIN)
SERVICE = Caller(agent="tool", tenant="kernel", kind=Kind.SERVICE)


@dataclass
class FakeMeter:
    """Counts what the use cases report."""

    counts: Counter[str] = field(default_factory=Counter)

    def decided(self, reason: Reason, seconds: float) -> None:  # noqa: ARG002 - the port's signature
        """Count one decision."""
        self.counts[f"decided {reason.value}"] += 1

    def issued(self, how: str) -> None:
        """Count one token."""
        self.counts[f"issued {how}"] += 1

    def refused(self, how: str) -> None:
        """Count one refused credential."""
        self.counts[f"refused {how}"] += 1

    def audited(self, outcome: str, count: int) -> None:
        """Count entries."""
        self.counts[f"audited {outcome}"] += count

    def audit_lost(self, count: int) -> None:
        """Count lost denials."""
        self.counts["lost"] += count

    def head_exported(self, where: str, count: int) -> None:
        """Count heads told outside."""
        self.counts[f"heads {where}"] += count

    def purged(self) -> None:
        """Count purged agents."""
        self.counts["purged"] += 1

    def revised(self, revision: int) -> None:
        """Note the revision."""
        self.counts["revision"] = revision

    def watching(self, stream: str, change: int) -> None:
        """Count watchers."""
        self.counts[f"watching {stream}"] += change


class JudgeInPlace:
    """Judges policy texts in this process."""

    def __init__(self) -> None:
        self._judge = PolicyJudge()

    async def findings(self, text: str) -> list[Finding]:
        """List what is wrong with a text."""
        return self._judge.findings(text)


@dataclass
class Desk:
    """A manager with what a test needs beside it."""

    manager: AccessManager
    clock: FakeClock
    keys: KeyFile
    meter: FakeMeter
    store: Store
    heads: FakeHeadLog

    async def register(
        self, agent: str, *, by: Caller = ADMIN, parent: str = "", hints: Hints | None = None
    ) -> Registered:
        """Register an agent."""
        name = f"agents/{parent}" if parent else ""
        return await self.manager.agents.register(
            by, NewAgent(id=agent, parent=name, hints=hints or Hints()), NEW
        )

    async def decide(
        self, who: Caller, action: str, resource: str = "", *, untrusted: bool = False
    ) -> Decision:
        """Decide one check."""
        principal = Principal(agent=who.agent, tenant=who.tenant, kind=who.kind)
        return await self.manager.checks.check(Check(principal, action, resource, untrusted))

    async def allows(self, who: Caller, action: str, resource: str = "") -> bool:
        """Tell whether a caller may act."""
        return (await self.decide(who, action, resource)).allowed

    async def revision(self) -> int:
        """Return the revision of the rules."""
        return await self.store.read(lambda tx: tx.ledger.revision())


def agent_servicer(agents: AgentService) -> AgentServicer:
    """Return the gRPC face of a manager's agents."""
    ports = agents._deps
    return AgentServicer(agents, PurgeService(ports, Eraser(ports), PurgeSettings()))


def agent(name: str, *, tenant: str = TENANT) -> Caller:
    """Return an agent as a caller."""
    return Caller(agent=name, tenant=tenant, kind=Kind.AGENT, owner=name)


def desk(
    store: Store, folder: Path, *, poll: float = 0.01, purging: PurgeSettings | None = None, **fields: Any
) -> Desk:
    """Build a manager on a store; keys lie in `folder`, `fields` are further settings."""
    clock = FakeClock()
    keys = KeyFile(folder / "keys.json", clock.now())
    meter = FakeMeter()
    settings = Settings(
        kernel_tenant=KERNEL_TENANT,
        tree=fields.pop("tree", TreeLimits(max_depth=3, max_children=3)),
        token_life=timedelta(minutes=10),
        caps=fields.pop("caps", caps_of(AccessConfig(quota_open_approvals=Cap.of(2)))),
        poll=poll,
        wrong_keys_per_minute=3,
        **fields,
    )
    engine = CedarEngine(kernel_tenant=KERNEL_TENANT)
    heads = FakeHeadLog()
    kit = Dependencies(
        store=store,
        engine=engine,
        judge=JudgeInPlace(),
        signer=keys,
        clock=clock,
        meter=meter,
        settings=settings,
        heads=heads,
    )
    manager = AccessManager(kit, service_keys=SERVICE_KEYS, builtin=base_policies(), purging=purging)
    return Desk(manager, clock, keys, meter, store, heads)


def asked(request_id: str, digest: bytes = b"d", method: str = "Test") -> RequestIdentity:
    """Make a request that may be repeated."""
    return RequestIdentity("", method, request_id, digest)


async def whole_log(of: Desk) -> list[AuditEntry]:
    """Return the tenant's audit log with all denials, oldest first."""
    await of.manager.flush()
    query = AuditQuery(tenant=TENANT, oldest_first=True)
    page, _ = await of.manager.audit.query(ADMIN, query, 1000, "")
    return page
