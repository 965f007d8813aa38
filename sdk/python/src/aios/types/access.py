"""Grants, approvals, policies and the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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
    """The arguments for people; a long text is cut."""

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

    kind: Literal["unspecified", "agent", "admin", "service"] = "unspecified"
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
