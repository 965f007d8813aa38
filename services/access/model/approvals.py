"""Approvals, and the persons who decide them. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.access.model.agents import Maker
from services.chassis.auth.identity import Kind


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
