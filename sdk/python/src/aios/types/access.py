"""Grants, approvals, policies and the audit log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["unspecified", "agent", "admin", "service", "person"]
ApprovalState = Literal["unspecified", "pending", "approved", "rejected", "expired", "used", "cancelled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A permission given to one agent or group."""

    name: str
    """Resource name `grants/{id}`."""

    grantee: str = ""
    """Who has it: an agent or a group."""

    resource: str = ""
    """What it is about: a resource name, or the beginning of names."""

    prefix: bool = False
    """Whether `resource` is the beginning of names."""

    actions: tuple[str, ...] = ()
    """What it permits, such as `memory.read`."""

    expire_time: datetime | None = None
    """When it ends; None: never."""

    description: str = ""
    """Why it was given."""

    creator: str = ""
    """Who gave it."""

    create_time: datetime | None = None
    """When it was given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Somebody who acts."""

    agent: str
    """Resource name `agents/{id}`, also of a person or administrator."""

    tenant: str = ""
    """Its tenant."""

    kind: Kind = "unspecified"
    """What sort of principal it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Whom a credential stands for."""

    principal: Principal
    """Who it is."""

    display_name: str = ""
    """Its name for people."""

    expire_time: datetime | None = None
    """When the credential expires."""

    sign_in_time: datetime | None = None
    """When the first credential of its family was issued: renewals keep it."""

    administers_tenant: bool = False
    """Whether it may administer its tenant."""

    administers_kernel: bool = False
    """Whether it may configure the kernel itself."""

    untrusted: bool = False
    """Whether it is an agent that has read content that nobody vouches for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessReview:
    """What somebody may do, and why."""

    allowed: bool = False
    """Whether it may do it now."""

    reason: Literal[
        "unspecified",
        "permitted",
        "not_permitted",
        "forbidden",
        "agent_inactive",
        "policy_error",
        "approval_required",
    ] = "unspecified"
    """Why."""

    policies: tuple[str, ...] = ()
    """The policies and grants that decided; empty: none permits it."""

    expire_time: datetime | None = None
    """When the answer may change by itself, because a grant it rests on expires."""

    effect_matters: bool = False
    """Whether a policy in force looks at the effect of tools."""

    summary: str = ""
    """The whole answer in plain words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalVote:
    """What one decider said."""

    decider: str
    """Who: a person, an administrator, or an agent that a policy names."""

    kind: Kind = "unspecified"
    """What sort of principal it is."""

    approved: bool = False
    """Whether it approved; otherwise it rejected."""

    comment: str = ""
    """Why."""

    decide_time: datetime | None = None
    """When."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A person's say on one call with exactly these arguments."""

    name: str
    """Resource name `approvals/{id}`."""

    agent: str = ""
    """The agent that wants to act."""

    action: str = ""
    """What it wants to do."""

    resource: str = ""
    """On what."""

    arguments_sha256: str = ""
    """Hash of the exact arguments."""

    arguments_preview: str = ""
    """The arguments for people: what does not show is written as its code, what is left out has a mark."""

    summary: str = ""
    """What would happen, in one sentence."""

    state: ApprovalState = "unspecified"
    """What has become of it."""

    create_time: datetime | None = None
    """When it was asked for."""

    expire_time: datetime | None = None
    """When it stops being valid."""

    decide_time: datetime | None = None
    """When it was decided."""

    decider: str = ""
    """Who decided."""

    comment: str = ""
    """What the decider said."""

    arguments_bytes: int = 0
    """Length of the whole arguments; 0: they were not told."""

    preview_truncated: bool = False
    """Whether the preview leaves anything out; approving then takes `arguments_sha256`."""

    resource_version: str = ""
    """Which version of the resource it is about."""

    required_deciders: int = 0
    """How many people must approve."""

    votes: tuple[ApprovalVote, ...] = ()
    """What was said so far, oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A person of a tenant, perhaps an administrator."""

    name: str
    """Resource name `persons/{id}`."""

    tenant: str = ""
    """The person's tenant."""

    display_name: str = ""
    """A name for people."""

    administrator: bool = False
    """Whether the person administers the tenant."""

    state: Literal["unspecified", "active", "disabled"] = "unspecified"
    """Whether the person may act."""

    has_key: bool = False
    """Whether there is a key that tokens are issued for."""

    creator: str = ""
    """Who made the person."""

    create_time: datetime | None = None
    """When the person was made."""

    update_time: datetime | None = None
    """When the person was last changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonHandle:
    """A person with a key, which is shown only here."""

    person: Person
    """The person."""

    person_key: str = field(repr=False)
    """The key, for `aios.connect(person_key=...)` or AIOS_PERSON_KEY."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRule:
    """How many people must approve what it is about."""

    name: str
    """Resource name `approvalRules/{id}`."""

    action: str = ""
    """Only approvals of this action; empty: of every action."""

    resource: str = ""
    """Only approvals about this resource, with a slash at its end about all below; empty: about anything."""

    deciders: int = 0
    """How many different people must approve."""

    description: str = ""
    """Why."""

    creator: str = ""
    """Who put the rule."""

    create_time: datetime | None = None
    """When the rule was put."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessPolicy:
    """One version of a Cedar policy set."""

    name: str
    """Resource name `policies/{id}`."""

    text: str = ""
    """The policies in Cedar's text form."""

    description: str = ""
    """What they are for."""

    version: int = 0
    """Which version this is, from 1."""

    active: bool = False
    """Whether it is in force."""

    builtin: bool = False
    """Whether it is the kernel's own."""

    author: str = ""
    """Who put it."""

    create_time: datetime | None = None
    """When it was put."""

    etag: str = ""
    """Names this version for compare-and-swap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One entry of the audit log."""

    sequence: int
    """Its place: 1, 2, 3 without a gap."""

    create_time: datetime | None = None
    """When it was written."""

    agent: str = ""
    """Who acted."""

    kind: Kind = "unspecified"
    """What sort of principal acted."""

    method: str = ""
    """The RPC."""

    action: str = ""
    """The action checked."""

    resource: str = ""
    """On what."""

    outcome: Literal["unspecified", "ok", "denied", "failed"] = "unspecified"
    """How it ended."""

    reason: str = ""
    """The error reason when it did not succeed."""

    policies: tuple[str, ...] = ()
    """The policies that decided."""

    hash: str = ""
    """Keyed hash over this entry and the one before."""

    key_id: str = ""
    """The key that sealed it."""

    note: str = ""
    """What else there is to say."""

    erased: bool = False
    """Whether who acted or on what was blanked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditCheck:
    """Whether the audit log is whole."""

    intact: bool
    """Whether every entry verified is whole and in its place."""

    verified_count: int = 0
    """Entries verified."""

    broken_sequence: int = 0
    """The first entry that is broken or missing; 0: none."""

    problem: str = ""
    """What is wrong with it."""

    head_sequence: int = 0
    """The newest entry verified."""

    head_hash: str = ""
    """Its hash: note it elsewhere to notice a cut later."""

    fault: Literal[
        "unspecified",
        "entry_changed",
        "entry_missing",
        "tail_cut",
        "rewritten",
        "unsealed",
        "key_missing",
        "erasure_untold",
        "heads_missing",
        "heads_rewound",
        "heads_changed",
    ] = "unspecified"
    """What is wrong; unspecified when intact."""

    exported_sequence: int = 0
    """The newest exported head that the log was compared with; 0: none."""
