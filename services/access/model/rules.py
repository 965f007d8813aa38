"""Groups, grants, policies, and what is decided by them. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.chassis.auth.identity import Kind, Principal


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
