"""The audit log, how it is sealed and what is found when it is verified. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.chassis.auth.identity import Kind


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
