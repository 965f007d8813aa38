"""What the use cases share: ports, settings, audit in the effect's transaction, repeats, wake-ups. Pure."""

import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from services.access.core import audit_chain, tombstones
from services.access.core.agent_tree import TreeLimits, root_of
from services.access.errors import EtagMismatch
from services.access.model.agents import Maker
from services.access.model.audit import AuditHead, AuditOutcome, Event, ExportedHead, Fault
from services.access.ports.outside import HeadLog, Judge, Meter, PolicyEngine, Signer
from services.access.ports.store import Store, Transaction, Work
from services.access.service.watchers import ChangeLog, RuleChange, Watchers
from services.chassis.auth.identity import Caller, Kind, caller_or_none
from services.chassis.idempotency import RequestIdentity
from services.chassis.notifier import ChangeNotifier
from services.chassis.quotas import Cap, Owner
from services.chassis.rpc import names
from services.chassis.rpc.errors import CredentialRevoked
from services.chassis.runtime.clock import Clock
from services.chassis.shared_looks import SharedPoll, SharedReads

T = TypeVar("T")

_SERVICE: Final = "/aios.api.access.v1.AccessService/"
_AGENT_SERVICE: Final = "/aios.api.agent.v1.AgentService/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Limits and lifetimes that the use cases keep to."""

    kernel_tenant: str = "default"
    """Tenant of the kernel's administrators."""
    service_tenant: str = "kernel"
    """Tenant of the kernel's processes; no agent is in it, so that no agent's name is a process's."""
    tree: TreeLimits = field(default_factory=TreeLimits)
    token_life: timedelta = timedelta(minutes=10)
    """Life of an agent's or service's token, and the most they may ask for."""
    admin_token_life: timedelta = timedelta(days=30)
    """Longest life of an administrator's token, and of its renewals."""
    session_life: timedelta = timedelta(days=1)
    """How long the token of an agent or service can be renewed after the key was shown."""
    exchange_life: timedelta = timedelta(minutes=5)
    """Longest life of a token that was exchanged for another."""
    caps: Mapping[str, Cap] = field(default_factory=dict)
    """By quota: what agents, trees and tenants may keep."""
    approval_life: timedelta = timedelta(days=30)
    """How long an approval is kept after its time was over."""
    persons: int = 1000
    """Persons of one tenant."""
    poll: float = 0.5
    """Seconds between looks for changes that another process made."""
    confirm: float = 0.5
    """Longest wait for the processes that follow the rules, before a withdrawal is acknowledged. Seconds."""
    wrong_keys_per_minute: int = 60
    """Wrong credentials answered as such before the answer is to slow down."""
    scheduling_policies: tuple[str, ...] = (
        "adaptive",
        "edf",
        "fifo",
        "las",
        "mlfq",
        "priority",
        "rr",
        "sjf",
        "stride",
        "turns",
        "vtc",
    )
    """Scheduling policies that agents may name."""
    tenant_weights: Mapping[str, int] = field(default_factory=dict)
    """Share of each tenant against the others; 1 for those that are not listed."""


Ledger = tuple[int, int]
"""The revision of the rules, and the number of changes of approvals."""

RULES: Final = "rules"
"""Topic of all changes of agents and rules; with a tenant, of those of the tenant."""
APPROVALS: Final = "approvals"
"""Topic, with a tenant, of changes of approvals."""


class NoHeads:
    """A log of heads that keeps none."""

    exporter = "none"

    async def put(self, heads: Sequence[ExportedHead]) -> None:
        """Keep nothing."""

    async def newest(self, tenant: str) -> tuple[ExportedHead | None, Fault]:  # noqa: ARG002 - the port's
        """Return none."""
        return None, Fault.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The ports that all use cases work with."""

    store: Store
    engine: PolicyEngine
    judge: Judge
    signer: Signer
    clock: Clock
    meter: Meter
    settings: Settings
    heads: HeadLog = field(default_factory=NoHeads)
    changes: ChangeNotifier = field(default_factory=ChangeNotifier)
    rule_changes: ChangeLog = field(default_factory=ChangeLog)
    watchers: Watchers = field(init=False)
    poll: SharedPoll[Ledger] = field(init=False)
    reads: SharedReads = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "watchers", Watchers(self.clock))
        poll = SharedPoll(self.changes, self._ledger, _differing, self.settings.poll)
        object.__setattr__(self, "poll", poll)
        object.__setattr__(self, "reads", SharedReads(self.changes))

    async def _ledger(self) -> Ledger:
        return await self.store.read(_ledger)

    async def commit(self, work: Work[T], change: "RuleChange | Callable[[T], RuleChange]") -> T:
        """Run a change; when it is durable wake the watchers, and wait until a withdrawal holds everywhere.

        `change` says what it may take away, or tells it from what `work` returned. Raises CredentialRevoked
        when the caller's credential was revoked since the call was let in: what a revocation is to end was
        made before it.
        """
        caller = caller_or_none()  # here: the store may run the work in a thread that knows of no call

        def run(tx: Transaction) -> tuple[T, Ledger, Ledger]:
            before = _ledger(tx)
            _must_count(tx, caller)
            done = work(tx)
            tx.usage.settle(self.settings.caps)
            return done, before, _ledger(tx)

        result, before, after = await self.store.write(run)
        made = change if isinstance(change, RuleChange) else change(result)
        for revision in range(before[0] + 1, after[0] + 1):
            self.rule_changes.note(revision, made)
        self._notify(made.tenant, before, after)
        if made.withdraws:
            # Also when nothing changed: a repeated request is acknowledged as the first one would have been.
            await self.watchers.confirmed(self.rule_changes.withdrawn, within=self.settings.confirm)
        return result

    def _notify(self, tenant: str, before: Ledger, after: Ledger) -> None:
        """Wake who watches what changed; others in this process need not look."""
        if tenant == self.settings.service_tenant:
            self.changes.notify_all()  # a process changed something for somebody else
        if after[0] != before[0]:
            self.changes.notify(RULES)
            self.changes.notify((RULES, tenant))
        if after[1] != before[1]:
            self.changes.notify((APPROVALS, tenant))
        self.poll.made(before, after)


def _must_count(tx: Transaction, caller: Caller | None) -> None:
    if caller is not None and caller.credential is not None and tx.tokens.is_revoked(caller.credential):
        raise CredentialRevoked("the token was revoked")


def _ledger(tx: Transaction) -> Ledger:
    return tx.ledger.revision(), tx.ledger.sequence()


def _differing(before: Ledger, after: Ledger) -> set[Hashable] | None:
    """Return the topics that changed; whose tenant it was is not known here."""
    return set() if before == after else None


def answered(tx: Transaction, caller: Caller, asked: RequestIdentity) -> str | None:
    """Return what the same request made the first time: the id of its result; None when it is new.

    Raises IdempotencyMismatch when the id was used for another request.
    """
    return tx.ledger.remembered(caller.tenant, _of(caller, asked))


def remember(
    tx: Transaction, caller: Caller, asked: RequestIdentity, now: datetime, answer: str = ""
) -> None:
    """Keep the id of a request's result, so that a repeat finds it; nothing for a request without an id."""
    tx.ledger.remember(caller.tenant, _of(caller, asked), answer, now)


def _of(caller: Caller, asked: RequestIdentity) -> RequestIdentity:
    # An administrator and an agent may have the same id: the kind of caller keeps their requests apart.
    return replace(asked, agent=caller.agent, method=f"{caller.kind.value}/{asked.method}", tree=caller.tree)


def record_told(tx: Transaction, tenant: str, now: datetime, events: Iterable[Event]) -> int:
    """Append what was told of agents that may be gone by now: a purged one's id does not come back.

    Returns the last sequence.
    """
    told = tombstones.masked(tenant, list(events), lambda digest: tx.purges.is_buried(tenant, digest))
    return record(tx, tenant, now, told)


def record(tx: Transaction, tenant: str, now: datetime, events: Iterable[Event]) -> int:
    """Append events to a tenant's audit chain; return the last sequence.

    The first entry of a chain that was written before there were keys is the checkpoint that seals it.
    """
    head = tx.audit.head(tenant)
    key = tx.audit.keys.newest()
    entries = []
    if head.sequence and not head.key_id:
        events = [_checkpoint(head), *events]
    for event in events:
        salts = secrets.token_hex(16), secrets.token_hex(16)
        entry = audit_chain.next_entry(tenant, head, event, now, key=key, salts=salts)
        head = audit_chain.head_of(entry)
        entries.append(entry)
    tx.audit.append(entries)
    return head.sequence


def _checkpoint(head: AuditHead) -> Event:
    note = f"seals the {head.sequence} entries before it, which were written without a key"
    return Event(
        agent="access",
        kind=Kind.SERVICE,
        method=_SERVICE + "VerifyAudit",
        action=audit_chain.CHECKPOINT,
        note=note,
    )


def event(
    caller: Caller,
    method: str,
    action: str,
    resource: str,
    *,
    outcome: AuditOutcome = AuditOutcome.OK,
    reason: str = "",
    note: str = "",
) -> Event:
    """Describe what a caller did, for the audit log. `method` is the RPC's name."""
    service = _AGENT_SERVICE if action.startswith("agent.") else _SERVICE
    return Event(
        agent=caller.agent,
        kind=caller.kind,
        method=service + method,
        action=action,
        resource=resource,
        outcome=outcome,
        reason=reason,
        note=note,
        syscall_id=caller.syscall_id,
        trace_id=caller.trace_id,
    )


def owner_of(tx: Transaction, tenant: str, agent: str) -> Owner:
    """Return whom something of an agent is charged to; the tenant alone for what belongs to no agent."""
    known = tx.agents.get(tenant, agent) if agent else None
    return Owner(tenant, agent, root_of(known) if known else agent)


def check_etag(given: str, current: str, name: str) -> None:
    """Raise EtagMismatch when a given etag is not the current one."""
    if given and given != current:
        raise EtagMismatch(f"{name} has changed: its etag is {current}", metadata={"etag": current})


def new_id() -> str:
    """Make an id for something that the caller does not name: 16 random hexadecimal digits."""
    return secrets.token_hex(8)


def maker(caller: Caller) -> Maker:
    """Return whose credential makes something now."""
    family = caller.credential.session_id if caller.credential else ""
    return Maker(caller.tenant, caller.agent, family)


def me(caller: Caller) -> str:
    """Return the caller's resource name."""
    return names.agent_name(caller.agent)
