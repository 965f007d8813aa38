"""Agents, their tokens and keys, and what is purged of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.chassis.auth.identity import Kind, Principal, family_above
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
    """By tokens of this family only and of those begun below it; empty: by any of them."""
    since: datetime | None = None
    """Then or later only; None: ever."""

    def covers(self, maker: Maker, time: datetime) -> bool:
        """Tell whether it selects what `maker` made at a time."""
        return (
            (maker.tenant, maker.id) == (self.tenant, self.id)
            and self.family in ("", maker.family, family_above(maker.family))
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
    """A key of an agent, by the hash of it."""

    hash: str
    tenant: str
    agent: str
    create_time: datetime
    maker: Maker = field(default_factory=Maker)
    """Who made it for the agent; empty for the one that came with its registration."""
    issue: str = ""
    """Which request made it: repeated, it makes another one in its place."""


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
