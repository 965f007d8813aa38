"""What the use cases need from the outside: the store, the policy engine, the signing keys, metrics.

The store works by transactions: `work` gets a Transaction of small tables and runs to its end or not at all.
It may run more than once and in another thread, so it must touch nothing but the transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from services.access.core.decision_input import DecisionInput, Target
from services.access.core.people import ApprovalRules, Persons
from services.access.model import (
    Agent,
    AgentKey,
    Approval,
    ApprovalState,
    AuditEntry,
    AuditHead,
    AuditQuery,
    Check,
    Decision,
    Dissolved,
    ExportedHead,
    Fault,
    Finding,
    Grant,
    Group,
    MadeBy,
    Member,
    Part,
    Policy,
    PublicKey,
    Purge,
    Reason,
    Revocation,
    SealKey,
    Token,
)
from services.chassis.auth.identity import Principal
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap, Level, Owner, Usage

T = TypeVar("T")


class Agents(Protocol):
    """The agents of all tenants; every method but one names the tenant."""

    def get(self, tenant: str, agent: str) -> Agent | None:
        """Return one agent, or None."""
        ...

    def insert(self, agent: Agent) -> bool:
        """Add an agent; False, and nothing changed, when the id is taken."""
        ...

    def update(self, agents: Iterable[Agent]) -> None:
        """Store agents that exist."""
        ...

    def living_children(self, tenant: str, parent: str) -> int:
        """Count the children that are not killed."""
        ...

    def descendants(self, agent: Agent) -> list[Agent]:
        """Return all agents below `agent`, in any order."""
        ...

    def page(self, tenant: str, under: str, after: str, limit: int) -> list[Agent]:
        """List up to `limit` agents in the order of their ids, those after the id `after`.

        `under` limits the list to one agent and what is below it; empty is the whole tenant.
        """
        ...

    def changed(self, tenant: str, under: str, after: int, limit: int) -> list[Agent]:
        """List up to `limit` agents changed after a revision, by revision, then id; `under` as in page."""
        ...

    def changed_anywhere(self, after: int, limit: int) -> list[Agent]:
        """List up to `limit` agents of all tenants changed after a revision, by revision, tenant, id."""
        ...

    def killed_before(self, time: datetime, limit: int) -> list[Agent]:
        """List killed agents of all tenants that last changed before a time and are not being purged."""
        ...

    def expired(self, now: datetime, limit: int) -> list[Agent]:
        """List agents of all tenants that live and whose time is over, the earliest and highest first."""
        ...

    def below_unpurged(self, agent: Agent, limit: int) -> list[Agent]:
        """List agents below `agent` that are not being purged."""
        ...

    def has_below(self, agent: Agent) -> bool:
        """Tell whether any agent is below `agent`, killed ones included."""
        ...

    def made_by(self, maker: MadeBy) -> list[Agent]:
        """List the agents of all tenants that a principal registered and that are not killed.

        One of which that was not noted counts as registered by its parent, with whatever token.
        """
        ...

    def delete(self, tenant: str, agent: str) -> None:
        """Forget an agent for good, also as the maker of others."""
        ...

    def put_key(self, key_hash: str, owner: AgentKey) -> None:
        """Make `key_hash` the only key of an agent."""
        ...

    def key_owner(self, key_hash: str) -> AgentKey | None:
        """Return whose key it is, or None."""
        ...

    def drop_keys(self, tenant: str, agents: Iterable[str]) -> None:
        """Forget the keys of agents."""
        ...


class Groups(Protocol):
    """Groups and their members, by tenant. Members are named `agents/{agent}` or `groups/{group}`."""

    def get(self, tenant: str, group: str) -> Group | None:
        """Return one group with its member count, or None."""
        ...

    def insert(self, group: Group) -> bool:
        """Add a group without members; False when the id is taken."""
        ...

    def touch(self, tenant: str, group: str, revision: int) -> None:
        """Note that a group or its members changed."""
        ...

    def delete(self, tenant: str, group: str, now: datetime) -> Dissolved:
        """Remove a group, its memberships on both sides, and revoke the grants to it; return what ended."""
        ...

    def page(self, tenant: str, member: str, after: str, limit: int) -> list[Group]:
        """List groups by id, those after `after`; with `member` only those it is a direct member of."""
        ...

    def add_member(self, tenant: str, group: str, member: Member) -> bool:
        """Add a member; False when it is one already."""
        ...

    def remove_member(self, tenant: str, group: str, member: str) -> bool:
        """Remove a member; False when it is none."""
        ...

    def members(self, tenant: str, group: str, after: str, limit: int) -> list[Member]:
        """List direct members by name, those after the name `after`."""
        ...

    def closure(self, tenant: str, member: str) -> frozenset[str]:
        """Return the ids of all groups that a member is in, directly or through other groups."""
        ...


class Grants(Protocol):
    """Grants, by tenant."""

    def get(self, tenant: str, grant: str) -> Grant | None:
        """Return one grant, revoked or not, or None."""
        ...

    def insert(self, grant: Grant) -> None:
        """Add a grant with a new id."""
        ...

    def revoke(self, tenant: str, grant: str, now: datetime) -> None:
        """Take a grant out of force for good; it expires now."""
        ...

    def forget(self, ended_before: datetime, limit: int) -> list[Grant]:
        """Delete up to `limit` grants of all tenants that were revoked or expired by then; return them."""
        ...

    def page(
        self,
        tenant: str,
        *,
        seen_by: frozenset[str] | None,
        owner: str,
        grantee: str,
        resource: str,
        now: datetime,
        after: Sequence[str | int],
        limit: int,
    ) -> list[Grant]:
        """List grants in force by (create_time, id), those after that position (micros, id).

        With `seen_by` only grants to one of these grantees or on what `owner` owns; `grantee` and `resource`
        narrow further when not empty.
        """
        ...

    def made_by(self, maker: MadeBy) -> list[Grant]:
        """List the grants that a principal gave and nobody has revoked, by id."""
        ...

    def matching(self, tenant: str, resource: str, grantees: frozenset[str]) -> list[Grant]:
        """Return the grants on `resource` to one of `grantees` that were not revoked, by id."""
        ...


class Policies(Protocol):
    """Versions of the tenants' policies. At most one version of a policy is active."""

    def get(self, tenant: str, policy: str, version: int) -> Policy | None:
        """Return one version; 0 is the active one. None when there is none."""
        ...

    def newest(self, tenant: str, policy: str) -> Policy | None:
        """Return the newest version, active or not, or None."""
        ...

    def put(self, policy: Policy) -> None:
        """Add a version and make it the active one."""
        ...

    def deactivate(self, tenant: str, policy: str) -> None:
        """Take a policy out of force."""
        ...

    def active(self, tenant: str) -> tuple[Policy, ...]:
        """Return the active versions, by id."""
        ...

    def versions(self, tenant: str, policy: str, before: int, limit: int) -> list[Policy]:
        """List versions, newest first, those before the version `before` (0: from the newest)."""
        ...


class Approvals(Protocol):
    """Approvals, by tenant."""

    def get(self, tenant: str, approval: str) -> Approval | None:
        """Return one approval, or None."""
        ...

    def insert(self, approval: Approval) -> None:
        """Add an approval with a new id."""
        ...

    def update(self, approval: Approval) -> None:
        """Store an approval that exists."""
        ...

    def open_for(self, wanted: Approval, now: datetime) -> Approval | None:
        """Return the pending or approved one for the same agent, action, resource and arguments, or None."""
        ...

    def pending_count(self, tenant: str, agent: str, now: datetime) -> int:
        """Count the approvals of an agent that wait for a decision."""
        ...

    def load(self, owner: Owner, now: datetime) -> dict[Level, tuple[int, int]]:
        """Return how many are open at each level of an agent, and the bytes of their arguments."""
        ...

    def put_arguments(self, approval: Approval, content: bytes) -> None:
        """Keep the whole arguments of an approval."""
        ...

    def arguments(self, tenant: str, approval: str) -> bytes | None:
        """Return the whole arguments, or None when they are not kept."""
        ...

    def drop_arguments(self, tenant: str, approval: str) -> None:
        """Forget the arguments of an approval."""
        ...

    def forget_arguments(self, now: datetime) -> None:
        """Forget the arguments of all approvals that are not open any more."""
        ...

    def forget(self, ended_before: datetime, limit: int) -> list[Approval]:
        """Delete approvals whose time was over by then; return them."""
        ...

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
        """List approvals newest first by (create_time, id), those before that position (micros, id).

        `agent` and `states` (as of `now`) narrow when not empty.
        """
        ...

    def changed(self, tenant: str, agent: str, after: int, limit: int) -> list[Approval]:
        """List up to `limit` approvals changed after the sequence `after`, in that order."""
        ...


class SealKeys(Protocol):
    """The keys that seal audit entries. They are kept apart from the database."""

    def newest(self) -> SealKey:
        """Return the key that seals."""
        ...

    def find(self, key_id: str) -> bytes | None:
        """Return the secret of a key that seals or has sealed, or None."""
        ...


class Audit(Protocol):
    """The audit chains, one a tenant. Entries are only ever added; an erasure blanks fields of them."""

    @property
    def keys(self) -> SealKeys:
        """What entries are sealed with."""
        ...

    def head(self, tenant: str) -> AuditHead:
        """Return the end of a chain; in a writing transaction nobody else moves it until the end."""
        ...

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries that follow the head of their tenant's chain."""
        ...

    def page(self, query: AuditQuery, after: int, limit: int) -> list[AuditEntry]:
        """List entries in the order of the query, those after the sequence `after` (0: from the start)."""
        ...

    def between(self, tenant: str, first: int, last: int) -> list[AuditEntry]:
        """Return the entries with these sequences, both included, in order."""
        ...

    def has_hash(self, tenant: str, digest: str) -> bool:
        """Tell whether an entry with this hash exists."""
        ...

    def about(self, tenant: str, agent: str, limit: int) -> list[AuditEntry]:
        """Return entries that tell of an agent, as audit_chain.parts_about has it, by sequence."""
        ...

    def blank(self, entries: Mapping[AuditEntry, Sequence[Part]], told_by: int) -> None:
        """Blank parts of entries; the entry `told_by` tells of it."""
        ...

    def unsealed(self, limit: int) -> list[str]:
        """Return tenants whose chain ends with an entry from before there were keys."""
        ...

    def to_export(self, exporter: str, limit: int) -> list[tuple[str, AuditHead, int]]:
        """Return tenants whose head an exporter has not told yet, the head, and the last one told (0)."""
        ...

    def exported(self, tenant: str, exporter: str) -> int:
        """Return the sequence of the last head that an exporter told; 0: none."""
        ...

    def note_exported(self, exporter: str, heads: Iterable[ExportedHead]) -> None:
        """Note what an exporter has told."""
        ...


class Purges(Protocol):
    """Agents that are being purged, what the managers confirmed, and what stays of the purged."""

    def get(self, tenant: str, agent: str) -> Purge | None:
        """Return the purge of an agent, or None."""
        ...

    def put(self, purge: Purge) -> None:
        """Add or replace a purge."""
        ...

    def unexpanded(self, limit: int) -> list[Purge]:
        """List purges whose agent may have others below it without a purge of their own."""
        ...

    def waiting_for(self, manager: str, now: datetime, limit: int) -> list[Purge]:
        """List purges that are due and that a manager has not confirmed, oldest first."""
        ...

    def confirm(self, purge: Purge, manager: str, counts: Mapping[str, int]) -> None:
        """Note what a manager deleted in this pass."""
        ...

    def confirmed(self, managers: Sequence[str], now: datetime, limit: int) -> list[Purge]:
        """List expanded purges that are due and that all of `managers` have confirmed, the deepest first."""
        ...

    def counts(self, tenant: str, agent: str) -> dict[str, int]:
        """Return what the managers deleted in all passes, by `manager.what`."""
        ...

    def strip(self, tenant: str, agent: str, limit: int) -> int:
        """Delete or blank up to `limit` rows that tell of an agent; return how many.

        Not its audit entries, nor the agent and its purge. 0: there are none.
        """
        ...

    def forget_decider(self, tenant: str, decider: str, limit: int) -> int:
        """Blank who decided, and who voted, in up to `limit` approvals; return in how many."""
        ...

    def forget(self, tenant: str, agent: str) -> None:
        """Forget a purge and what was confirmed of it."""
        ...

    def bury(self, tenant: str, digest: str, now: datetime) -> None:
        """Note that the id with this digest is not to be given again."""
        ...

    def is_buried(self, tenant: str, digest: str) -> bool:
        """Tell whether the id with this digest was an agent's that was purged."""
        ...


class Tokens(Protocol):
    """Revoked tokens that have not expired."""

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Add revocations; the same token or agent again replaces the older one."""
        ...

    def revoked(self, after: int, now: datetime) -> list[Revocation]:
        """Return the unexpired revocations made after the revision `after`."""
        ...

    def is_revoked(self, holder: Principal) -> bool:
        """Tell whether a token is refused, by its id, its session's, or because all of its agent's are."""
        ...

    def revoked_until(self, tenant: str, agent: str) -> datetime | None:
        """Return up to when tokens of an agent are refused, or None."""
        ...

    def known(self, revocation: Revocation) -> Revocation | None:
        """Return the one that an older request made of the same token or agent, or None."""
        ...

    def forget(self, now: datetime, limit: int) -> list[Revocation]:
        """Delete expired revocations; return them."""
        ...


class UsageSums(Protocol):
    """What agents, trees and tenants keep of each quota."""

    def add(self, owner: Owner, **changes: int) -> None:
        """Note what an owner has more, or less, of each quota."""
        ...

    def settle(self, caps: Mapping[str, Cap]) -> None:
        """Charge what was noted, answers that are kept included, once and last in a transaction.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        ...

    def told(self, owner: Owner, caps: Mapping[str, Cap]) -> list[Usage]:
        """Return what an owner, its tree and its tenant use of each quota."""
        ...


class Ledger(Protocol):
    """The revision, and what makes a repeated request have one effect."""

    def revision(self) -> int:
        """Return the revision of the rules."""
        ...

    def bump(self) -> int:
        """Raise the revision by one and return it. Serializes the writers that do."""
        ...

    def sequence(self) -> int:
        """Return the number of changes that decide nothing: those of approvals."""
        ...

    def advance(self) -> int:
        """Raise the sequence by one and return it. Serializes the writers that do."""
        ...

    def epoch(self) -> str:
        """Return the id of this database."""
        ...

    def remembered(self, tenant: str, request: RequestIdentity) -> str | None:
        """Return what the first request of this identity answered; None when it is new or has no id.

        Raises IdempotencyMismatch when it had another digest.
        """
        ...

    def remember(self, tenant: str, request: RequestIdentity, answer: str, now: datetime) -> None:
        """Keep an answer for 24 hours; nothing for a request without an id."""
        ...

    def forget(self, now: datetime) -> int:
        """Delete answers older than that; return how many."""
        ...


class Transaction(Protocol):
    """All tables, within one transaction."""

    @property
    def agents(self) -> Agents:
        """Agents and their keys."""
        ...

    @property
    def groups(self) -> Groups:
        """Groups and members."""
        ...

    @property
    def grants(self) -> Grants:
        """Grants."""
        ...

    @property
    def policies(self) -> Policies:
        """Policy versions."""
        ...

    @property
    def approvals(self) -> Approvals:
        """Approvals."""
        ...

    @property
    def approval_rules(self) -> ApprovalRules:
        """Approval rules."""
        ...

    @property
    def persons(self) -> Persons:
        """Persons and their keys."""
        ...

    @property
    def audit(self) -> Audit:
        """Audit chains."""
        ...

    @property
    def purges(self) -> Purges:
        """Agents that are being purged."""
        ...

    @property
    def tokens(self) -> Tokens:
        """Revocations."""
        ...

    @property
    def usage(self) -> UsageSums:
        """The sums of quotas."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Revision and idempotency."""
        ...


Work = Callable[[Transaction], T]


class Store(Protocol):
    """Where everything is kept."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent state; it must change nothing."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction that is durable when this returns and never happened when it raises."""
        ...


Case = tuple[Check, Target, DecisionInput, tuple[Policy, ...]]
"""A check, its target, what the store knows of both, and the tenant's policies in force."""


class PolicyEngine(Protocol):
    """Decides by policies; any trouble is a refusal."""

    def decide(
        self,
        check: Check,
        target: Target,
        given: DecisionInput,
        policies: tuple[Policy, ...],
        *,
        by_text: bool = False,
    ) -> Decision:
        """Decide one check, inside a transaction. Any thread may call it, and waits.

        What an administrator always keeps (`core/actions.is_kept`) is decided by the kernel's own policies
        alone, unless `by_text` asks what the tenant's mean.
        """
        ...

    async def decide_all(self, cases: Sequence[Case]) -> list[Decision]:
        """Decide many checks, in their order, without holding up the event loop."""
        ...


class Judge(Protocol):
    """Judges policy texts, at a distance: neither its time nor its end is the caller's."""

    async def findings(self, text: str) -> list[Finding]:
        """List what is wrong with a text on its own.

        Raises PolicyInvalid when it cannot be judged, TooManyCalls when too many wait, ServiceUnavailable.
        """
        ...


class Signer(Protocol):
    """Issues and verifies tokens, and signs audit heads."""

    def issue(
        self, holder: Principal, *, now: datetime, after: datetime | None, lifetime: timedelta
    ) -> Token:
        """Sign a token for the agent, tenant, kind and parent of `holder`, issued later than `after`."""
        ...

    def verify(self, text: str, *, now: datetime) -> Principal:
        """Return whom a token names.

        Raises CredentialInvalid or CredentialExpired.
        """
        ...

    def public_keys(self) -> list[PublicKey]:
        """Return the keys that verify, newest first."""
        ...

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """Sign bytes with the newest key; return its kid and the signature."""
        ...

    def is_signed(self, message: bytes, kid: str, signature: bytes) -> bool:
        """Tell whether a signature is one of `sign`, with whichever key of the ring."""
        ...


class HeadLog(Protocol):
    """Heads of audit chains, told outside the database."""

    @property
    def exporter(self) -> str:
        """Names this log, so that what was told to it can be noted."""
        ...

    async def put(self, heads: Sequence[ExportedHead]) -> None:
        """Add heads durably. Raises OSError."""
        ...

    async def newest(self, tenant: str) -> tuple[ExportedHead | None, Fault]:
        """Return the newest head of a chain, and what is wrong with the log.

        The fault is NONE, HEADS_MISSING (there is no log) or HEADS_CHANGED.
        """
        ...


class Meter(Protocol):
    """What the use cases count."""

    def decided(self, reason: Reason, seconds: float) -> None:
        """Count one decision and the time it took."""
        ...

    def issued(self, how: str) -> None:
        """Count one token; `how` is agent_key, service_key, renewal, exchange or registration."""
        ...

    def refused(self, how: str) -> None:
        """Count one refused credential."""
        ...

    def audited(self, outcome: str, count: int) -> None:
        """Count audit entries."""
        ...

    def audit_lost(self, count: int) -> None:
        """Count denials that were folded into one entry because there were too many."""
        ...

    def head_exported(self, where: str, count: int) -> None:
        """Count heads of the audit log told outside; `where` is file, webhook or lost."""
        ...

    def purged(self) -> None:
        """Count an agent that was purged to the end."""
        ...

    def revised(self, revision: int) -> None:
        """Note the revision of the rules."""
        ...

    def watching(self, stream: str, change: int) -> None:
        """Count watchers of a stream up or down."""
        ...
