"""What the access manager knows: agents, rules, decisions, approvals and the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.chassis.auth.identity import Kind, Principal
from services.chassis.dispatch.scheduling import Caps, Hints


class AgentState(Enum):
    """Whether an agent may act. Values are stored and are the `state` attribute in policies."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Maker:
    """Whose credential made something, so that it can be found when that credential turns out stolen."""

    tenant: str = ""
    id: str = ""
    """Id of the agent, administrator or person; empty: it was not noted."""
    family: str = ""
    """The family of tokens; empty: not known."""


@dataclass(frozen=True, slots=True)
class MadeBy:
    """Selects what a principal made."""

    tenant: str
    id: str
    family: str = ""
    """By tokens of this family only; empty: by any of them."""
    since: datetime | None = None
    """Then or later only; None: ever."""

    def covers(self, maker: Maker, time: datetime) -> bool:
        """Tell whether it selects what `maker` made at a time."""
        return (
            (maker.tenant, maker.id) == (self.tenant, self.id)
            and self.family in ("", maker.family)
            and (self.since is None or time >= self.since)
        )


@dataclass(frozen=True, slots=True)
class Agent:
    """A process of the kernel. Its key is (tenant, id)."""

    tenant: str
    id: str
    parent: str
    """Id of the parent; empty for a root."""
    ancestors: tuple[str, ...]
    """Ids from the root down to the parent; empty for a root."""
    display_name: str
    kind: str
    hints: Hints
    labels: Mapping[str, str]
    suspended: bool
    """Whether this agent itself was suspended; `state` also reflects its ancestors."""
    state: AgentState
    revision: int
    """The access revision of its last change; doubles as the etag."""
    create_time: datetime
    update_time: datetime
    caps: Caps = field(default_factory=Caps)
    """Its hints lie within them, and they within its parent's."""
    untrusted_since: datetime | None = None
    """Since when it counts as having read what nobody vouches for; None: it has not."""
    untrusted_source: str = ""
    """Name of the resource that it read then, or of the agent it has the mark from."""
    maker: Maker = field(default_factory=Maker)
    """Who registered it."""
    expire_time: datetime | None = None
    """When it is killed with all below it, never later than its parent; None: when somebody does."""
    texts_depth: int | None = None
    """Place in its tree, from the root on, of the agent that last wrote its names or labels.

    -1: an agent elsewhere; None: nobody but people did."""

    @property
    def untrusted(self) -> bool:
        """Whether it has read what nobody vouches for."""
        return self.untrusted_since is not None

    @property
    def etag(self) -> str:
        """Names this version of the agent."""
        return f"{self.revision:x}"


class Reason(Enum):
    """Why a decision came out as it did. Values are Prometheus label values."""

    PERMITTED = "permitted"
    NOT_PERMITTED = "not_permitted"
    FORBIDDEN = "forbidden"
    AGENT_INACTIVE = "agent_inactive"
    POLICY_ERROR = "policy_error"
    APPROVAL_REQUIRED = "approval_required"


@dataclass(frozen=True, slots=True)
class Check:
    """The question whether the principal may do the action on the resource."""

    principal: Principal
    action: str
    resource: str = ""
    """Full resource name; empty is the principal itself."""
    untrusted: bool = False
    """Whether the call is about content that nobody vouches for; an agent's mark counts without it."""
    effect: str = ""
    """What the tool that is called may change, such as `irreversible`; empty: not known, or no tool."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one check."""

    allowed: bool
    reason: Reason
    policies: tuple[str, ...] = ()
    """The rules that decided, such as `policies/owner` or `grants/7f3a`."""
    revision: int = 0
    expire_time: datetime | None = None
    """When the decision may change by itself because a grant ends."""
    tree: str = ""
    """Id of the root of the calling agent's tree; empty when the principal is no agent."""
    owner_tree: str = ""
    """Id of the root above the agent that owns the target; empty when none does."""
    untrusted: bool = False
    """Whether the calling agent has read content that nobody vouches for."""
    effect_matters: bool = False
    """Whether a policy in force looks at the effect of tools."""


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of agents and of other groups of one tenant."""

    tenant: str
    id: str
    title: str
    description: str
    member_count: int
    create_time: datetime
    revision: int

    @property
    def etag(self) -> str:
        """Names this version of the group, its members included."""
        return f"{self.revision:x}"


@dataclass(frozen=True, slots=True)
class Dissolved:
    """What ended with a group."""

    members: int
    """Memberships, on both sides."""
    grant_owners: tuple[str, ...]
    """The owner of the resource of each grant to it that was in force or not yet revoked."""


@dataclass(frozen=True, slots=True)
class Member:
    """One direct member of a group, `agents/{agent}` or `groups/{group}`."""

    name: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions on a resource, given to one agent or group."""

    tenant: str
    id: str
    grantee: str
    """Name of an agent or a group."""
    resource: str
    prefix: bool
    """Whether `resource` is the beginning of names: it ends with a slash and covers the name before that."""
    actions: frozenset[str]
    owner: str
    """Id of the agent the resource belongs to; empty when it belongs to the tenant."""
    expire_time: datetime | None
    description: str
    creator: str
    create_time: datetime
    revoked: bool = False
    by_agent: bool = False
    """Whether an agent gave it."""
    family: str = ""
    """The family of the token that gave it; empty: not known."""

    @property
    def name(self) -> str:
        """Resource name of the grant."""
        return f"grants/{self.id}"

    def covers(self, resource: str) -> bool:
        """Tell whether the grant is about `resource`."""
        if self.prefix:
            return f"{resource}/".startswith(self.resource)
        return resource == self.resource

    def in_force(self, now: datetime) -> bool:
        """Tell whether the grant counts at `now`."""
        return not self.revoked and (self.expire_time is None or now < self.expire_time)


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a named Cedar text."""

    tenant: str
    """Empty for the kernel's own policies."""
    id: str
    text: str
    description: str
    version: int
    active: bool
    author: str
    create_time: datetime
    author_kind: Kind | None = None
    """What sort of principal put it; None when that was not noted."""

    @property
    def etag(self) -> str:
        """Names this version for compare-and-swap."""
        return f"v{self.version}"


class Severity(Enum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a policy text."""

    severity: Severity
    message: str
    policy_id: str = ""
    """The @id of the policy it is in; empty when unknown."""
    offset: int = 0
    """Bytes from the start of the text; 0 when unknown."""


class ApprovalState(Enum):
    """What has become of an approval. Values are stored."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    USED = "used"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one decider said."""

    decider: str
    kind: Kind
    approved: bool
    comment: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's say on one call with exactly these arguments."""

    tenant: str
    id: str
    agent: str
    action: str
    resource: str
    arguments_sha256: str
    arguments_preview: str
    summary: str
    state: ApprovalState
    """As stored; `state_at` gives the state as it is at a time."""
    create_time: datetime
    expire_time: datetime
    syscall_id: str = ""
    decide_time: datetime | None = None
    decider: str = ""
    comment: str = ""
    sequence: int = 0
    """The place of its last change among all changes of approvals."""
    root: str = ""
    """Id of the root of the tree that `agent` was in when it was asked for; empty when that was not noted."""
    arguments_bytes: int = 0
    """Length of the whole arguments; 0 when they were not told."""
    preview_truncated: bool = False
    """Whether the preview leaves anything out."""
    resource_version: str = ""
    """Which version of the resource it is about."""
    required: int = 1
    """How many different people must approve."""
    votes: tuple[Vote, ...] = ()
    """What was said so far, oldest first."""

    def state_at(self, now: datetime) -> ApprovalState:
        """Return the state at `now`: what nobody decided or used in time has expired."""
        open_states = (ApprovalState.PENDING, ApprovalState.APPROVED)
        return ApprovalState.EXPIRED if self.state in open_states and now >= self.expire_time else self.state


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """How many people must approve what it is about; empty fields match everything."""

    tenant: str
    id: str
    action: str
    resource: str
    """One name, or with a slash at its end the beginning of names."""
    deciders: int
    description: str
    creator: str
    create_time: datetime


class PersonState(Enum):
    """Whether a person may act. Values are stored and are the `state` attribute in policies."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a tenant, perhaps an administrator. No agent of the tenant has the same id."""

    tenant: str
    id: str
    display_name: str
    administrator: bool
    state: PersonState
    creator: str
    create_time: datetime
    update_time: datetime
    key_hash: str = field(default="", repr=False)
    """What is kept of the person's key; empty when there is none."""
    key_maker: Maker = field(default_factory=Maker)
    """Who made the key."""
    key_time: datetime | None = None
    """When the key was made; None: it was not noted."""

    @property
    def name(self) -> str:
        """Resource name of the person."""
        return f"persons/{self.id}"

    @property
    def kind(self) -> Kind:
        """What sort of principal the person's tokens name."""
        return Kind.ADMIN if self.administrator else Kind.PERSON


class AuditOutcome(Enum):
    """How an audited call ended. Values are stored and hashed."""

    OK = "ok"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line in the audit log, before it has its place there."""

    agent: str
    kind: Kind
    method: str
    action: str
    resource: str = ""
    outcome: AuditOutcome = AuditOutcome.OK
    reason: str = ""
    policies: tuple[str, ...] = ()
    arguments_sha256: str = ""
    syscall_id: str = ""
    trace_id: str = ""
    approval: str = ""
    event_time: datetime | None = None
    note: str = ""
    """What else there is to say. At most 2048 characters."""


class Part(Enum):
    """What of an audit entry can be blanked. Values are hashed."""

    ACTOR = "actor"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Commitment:
    """What an entry's hash covers in the place of one part's fields."""

    digest: str
    """SHA-256 over the salt and the fields; empty in an entry from before there were keys."""
    salt: str
    """Random, so that the digest tells nothing once both fields and salt are gone."""
    erased_by: int = 0
    """Sequence of the entry that tells who blanked the fields and why; 0: they are there."""


@dataclass(frozen=True, slots=True)
class SealKey:
    """A secret that seals audit entries; never in the database."""

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of a tenant's audit chain."""

    tenant: str
    sequence: int
    """1, 2, 3 without a gap."""
    create_time: datetime
    event: Event
    previous_hash: str
    hash: str
    key_id: str = ""
    """The key that sealed it; empty: written before there were keys."""
    actor: Commitment = Commitment("", "")
    subject: Commitment = Commitment("", "")


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of a tenant's audit chain."""

    sequence: int
    hash: str
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class ExportedHead:
    """The end of a chain as it was told outside the database."""

    tenant: str
    sequence: int
    hash: str
    time: datetime
    kid: str
    signature: bytes
    """Ed25519, over audit_chain.signed_text."""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which audit entries to list; empty fields match everything."""

    tenant: str
    agent: str = ""
    action: str = ""
    resource_prefix: str = ""
    outcome: AuditOutcome | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    syscall_id: str = ""
    oldest_first: bool = False


class Fault(Enum):
    """What is wrong with an audit log; see AuditFault in the contract."""

    NONE = "none"
    ENTRY_CHANGED = "entry_changed"
    ENTRY_MISSING = "entry_missing"
    TAIL_CUT = "tail_cut"
    REWRITTEN = "rewritten"
    UNSEALED = "unsealed"
    KEY_MISSING = "key_missing"
    ERASURE_UNTOLD = "erasure_untold"
    HEADS_MISSING = "heads_missing"
    HEADS_REWOUND = "heads_rewound"
    HEADS_CHANGED = "heads_changed"


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a chain found."""

    verified_count: int
    head: AuditHead
    broken_sequence: int = 0
    problem: str = ""
    fault: Fault = Fault.NONE

    @property
    def intact(self) -> bool:
        """Tell whether nothing was found."""
        return self.fault is Fault.NONE


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens that are refused although their signature is good: one `token_id`, or all of an agent's."""

    token_id: str
    tenant: str
    agent: str
    """Id of the agent whose token it is, or whose tokens issued at or before `revoke_time` are refused."""
    revoke_time: datetime
    expire_time: datetime
    revision: int = 0
    charged: str = ""
    """Id of the agent that revoked one token, whose quota it counts in; empty: nobody's."""


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token and whom it names."""

    text: str = field(repr=False)
    principal: Principal
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One Ed25519 key that verifies tokens."""

    kid: str
    x: str
    """The 32 bytes, base64url without padding."""


@dataclass(frozen=True, slots=True)
class AgentKey:
    """Whose key a hash belongs to."""

    tenant: str
    agent: str


@dataclass(frozen=True, slots=True)
class Purge:
    """A killed agent of which everything is being deleted. Its key is (tenant, agent)."""

    tenant: str
    agent: str
    requester: str
    requester_kind: Kind
    reason: str
    create_time: datetime
    due_time: datetime
    """The managers are told of it from then on."""
    number: int = 1
    """1: the first pass over the managers; 2: the second, for what was under way during the first."""
    depth: int = 0
    """Agents above it."""
    expanded: bool = False
    """Whether every agent below it has a purge of its own."""
