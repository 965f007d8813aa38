"""The audit log's keyed hash chain: each hash covers the one before and what the entry holds. Pure.

An entry keeps who acted (its actor) and on what (its subject) behind two commitments, salted digests that
the hash covers instead of the fields. Blanking fields together with their salt leaves the digest, so the
chain goes on to verify and nobody can guess what was there. Entries written before there were keys have a
plain SHA-256 over their fields; the first sealed entry after them covers their last hash and so vouches for
all of them.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from services.access.model.audit import (
    AuditEntry,
    AuditHead,
    Commitment,
    Event,
    Fault,
    Part,
    SealKey,
    Verification,
)
from services.chassis.times import micros

GENESIS: Final = AuditHead(sequence=0, hash="0" * 64)
"""What the first entry of a chain follows."""

ERASED: Final = "erased"
"""Stands for an agent whose name was blanked; no agent can have this id."""
ERASE: Final = "access.erase"
"""Action of the entries that tell of an erasure; they are never erased themselves."""
CHECKPOINT: Final = "access.checkpoint"
"""Action of the entry that seals a log written before there were keys."""

_PLAIN: Final = "aios-audit-1"
_SEALED: Final = "aios-audit-2"
_NOTHING: Final = Commitment("", "")

FindKey = Callable[[str], bytes | None]


def next_entry(
    tenant: str, head: AuditHead, event: Event, now: datetime, *, key: SealKey, salts: tuple[str, str]
) -> AuditEntry:
    """Make the entry that follows `head`; the salts of actor and subject are new random texts."""
    entry = AuditEntry(
        tenant=tenant,
        sequence=head.sequence + 1,
        create_time=now,
        event=event,
        previous_hash=head.hash,
        hash="",
        key_id=key.key_id,
        actor=Commitment(_commit(Part.ACTOR, event, salts[0]), salts[0]),
        subject=Commitment(_commit(Part.SUBJECT, event, salts[1]), salts[1]),
    )
    return replace(entry, hash=_seal(entry, key.secret))


def head_of(entry: AuditEntry) -> AuditHead:
    """Return the head of a chain that ends with `entry`."""
    return AuditHead(entry.sequence, entry.hash, entry.key_id)


def signed_text(tenant: str, head: AuditHead) -> bytes:
    """Return the bytes that the signature of a head covers."""
    return f"aios-audit:{tenant}:{head.sequence}:{head.hash}".encode()


def parts_about(entry: AuditEntry, agent: str) -> list[Part]:
    """Return what is to be blanked of an entry so that it tells nothing of an agent any more.

    The fields of an entry from before there were keys hang together: they go together.
    """
    if entry.event.action == ERASE:
        return []
    name = f"agents/{agent}"
    acted = entry.event.kind.value == "agent" and entry.event.agent == agent
    concerned = f"{entry.event.resource}/".startswith(f"{name}/")
    if not entry.key_id:
        return [Part.ACTOR, Part.SUBJECT] if acted or concerned else []
    return [part for part, wanted in ((Part.ACTOR, acted), (Part.SUBJECT, concerned)) if wanted]


def blanked(entry: AuditEntry, parts: Iterable[Part], told_by: int) -> AuditEntry:
    """Return an entry without its fields of some parts; the entry `told_by` tells of it."""
    for part in parts:
        if part is Part.ACTOR:
            event = replace(
                entry.event,
                agent=ERASED,
                policies=(),
                arguments_sha256="",
                syscall_id="",
                trace_id="",
                approval="",
                event_time=None,
            )
            entry = replace(entry, event=event, actor=Commitment(entry.actor.digest, "", told_by))
        else:
            event = replace(entry.event, resource="", reason="", note="")
            entry = replace(entry, event=event, subject=Commitment(entry.subject.digest, "", told_by))
    return entry


def erasure_digest(erased: Iterable[tuple[AuditEntry, Iterable[Part]]]) -> str:
    """Hash which entries, in order, lost which parts, with what stays of each: what an erasure commits to."""
    running = hashlib.sha256()
    for entry, parts in erased:
        for part in parts:
            running.update(_erasure_line(entry, part))
    return running.hexdigest()


@dataclass(slots=True)
class ChainVerifier:
    """Verifies a chain run by run. It begins behind `head`; `keys` finds the secret of a key."""

    head: AuditHead
    keys: FindKey
    whole: bool = True
    """Whether it begins with the first entry, so that every erasure in it can be judged."""
    count: int = 0
    fault: Fault = Fault.NONE
    problem: str = ""
    _erasures: dict[int, Any] = field(default_factory=dict)
    """A running hash for each erasure that blanked an entry seen before it."""

    @property
    def intact(self) -> bool:
        """Whether nothing was found so far."""
        return self.fault is Fault.NONE

    @property
    def awaits_erasure(self) -> bool:
        """Whether an entry that was seen is blank and the one that tells of it was not seen yet."""
        return bool(self._erasures)

    def feed(self, entries: Iterable[AuditEntry]) -> bool:
        """Take the next entries, in order; False, and `fault` set, when one of them does not fit."""
        for entry in entries:
            found = self._fault_of(entry)
            if found is not None:
                self.fault, self.problem = found
                return False
            self.head = head_of(entry)
            self.count += 1
        return True

    def missing(self, sequence: int) -> None:
        """Note that an entry is not there."""
        self.fault, self.problem = Fault.ENTRY_MISSING, f"the entry is missing: {sequence}"

    def finish(self) -> None:
        """Note what shows only at the end of a whole chain: that nothing seals it, or tells of an erasure."""
        if not self.intact:
            return
        if self._erasures:
            self.fault = Fault.ERASURE_UNTOLD
            self.problem = f"entries are blank, and entry {min(self._erasures)} does not tell of them"
        elif self.head.sequence and not self.head.key_id:
            self.fault, self.problem = Fault.UNSEALED, "the log is not sealed with a key"

    def result(self) -> Verification:
        """Return what was found so far."""
        broken = self.head.sequence + 1 if self.fault in _OF_NEXT else self.head.sequence
        return Verification(
            self.count,
            self.head,
            broken_sequence=0 if self.intact else broken,
            problem=self.problem,
            fault=self.fault,
        )

    def _fault_of(self, entry: AuditEntry) -> tuple[Fault, str] | None:
        if entry.sequence != self.head.sequence + 1:
            return (
                Fault.ENTRY_MISSING,
                f"the entry is missing: {entry.sequence} follows {self.head.sequence}",
            )
        if entry.previous_hash != self.head.hash:
            return Fault.ENTRY_CHANGED, "previous_hash is not the hash of the entry before"
        found = self._content_fault(entry)
        if found is not None:
            return found
        return self._erasure_fault(entry) if self.whole else None

    def _erasure_fault(self, entry: AuditEntry) -> tuple[Fault, str] | None:
        for part, kept in ((Part.ACTOR, entry.actor), (Part.SUBJECT, entry.subject)):
            if kept.erased_by:
                if kept.erased_by <= entry.sequence:
                    return Fault.ERASURE_UNTOLD, "the entry is blank, and no later one tells of it"
                self._erasures.setdefault(kept.erased_by, hashlib.sha256()).update(_erasure_line(entry, part))
        told = self._erasures.pop(entry.sequence, None)
        tells = entry.event.action == ERASE and told is not None
        if told is not None and not (tells and entry.event.arguments_sha256 == told.hexdigest()):
            return Fault.ERASURE_UNTOLD, "entries before it are blank that it does not tell of"
        return None

    def _content_fault(self, entry: AuditEntry) -> tuple[Fault, str] | None:
        if not entry.key_id:
            return self._plain_fault(entry)
        secret = self.keys(entry.key_id)
        if secret is None:
            return Fault.KEY_MISSING, f"the key {entry.key_id} is not in the key ring"
        if not hmac.compare_digest(entry.hash, _seal(entry, secret)):
            return Fault.ENTRY_CHANGED, "the entry does not give its hash"
        if not all(_holds(part, entry) for part in Part):
            return Fault.ENTRY_CHANGED, "the entry's fields are not those that its hash covers"
        return None

    def _plain_fault(self, entry: AuditEntry) -> tuple[Fault, str] | None:
        if self.head.key_id:
            return Fault.UNSEALED, "the entry is not sealed, and the one before it is"
        # What stays of a blanked one is vouched for by the erasure, and its hash by the entry after it.
        if not entry.actor.erased_by and entry.hash != _plain_digest(entry):
            return Fault.ENTRY_CHANGED, "the entry's fields do not give its hash"
        return None


_OF_NEXT: Final = frozenset({Fault.ENTRY_CHANGED, Fault.ENTRY_MISSING, Fault.KEY_MISSING, Fault.UNSEALED})
"""Faults of the entry after the last good one."""


def _seal(entry: AuditEntry, secret: bytes) -> str:
    """Return the keyed hash over an explicit list of fields, so that new ones change no old hash."""
    fields = [
        _SEALED,
        entry.previous_hash,
        entry.tenant,
        entry.sequence,
        micros(entry.create_time),
        entry.key_id,
        entry.event.kind.value,
        entry.event.method,
        entry.event.action,
        entry.event.outcome.value,
        entry.actor.digest,
        entry.subject.digest,
    ]
    return hmac.new(secret, _text(fields), "sha256").hexdigest()


def _commit(part: Part, event: Event, salt: str) -> str:
    return hashlib.sha256(_text([_SEALED, part.value, salt, *_fields(part, event)])).hexdigest()


def _fields(part: Part, event: Event) -> list[Any]:
    if part is Part.SUBJECT:
        return [event.resource, event.reason, event.note]
    return [
        event.agent,
        list(event.policies),
        event.arguments_sha256,
        event.syscall_id,
        event.trace_id,
        event.approval,
        micros(event.event_time) if event.event_time else None,
    ]


def _holds(part: Part, entry: AuditEntry) -> bool:
    """Tell whether the fields of a part are those committed to, or were blanked whole."""
    kept = entry.actor if part is Part.ACTOR else entry.subject
    if kept.erased_by:
        blank = blanked(replace(entry, actor=_NOTHING, subject=_NOTHING), [part], 0).event
        return not kept.salt and entry.event == blank
    return kept.digest == _commit(part, entry.event, kept.salt)


def _erasure_line(entry: AuditEntry, part: Part) -> bytes:
    stays = [
        entry.sequence,
        part.value,
        entry.hash,
        micros(entry.create_time),
        entry.event.kind.value,
        entry.event.method,
        entry.event.action,
        entry.event.outcome.value,
    ]
    return _text(stays) + b"\n"


def _plain_digest(entry: AuditEntry) -> str:
    event = entry.event
    fields = [
        _PLAIN,
        entry.previous_hash,
        entry.tenant,
        entry.sequence,
        micros(entry.create_time),
        event.agent,
        event.kind.value,
        event.method,
        event.action,
        event.resource,
        event.outcome.value,
        event.reason,
        list(event.policies),
        event.arguments_sha256,
        event.syscall_id,
        event.trace_id,
        event.approval,
        micros(event.event_time) if event.event_time else None,
    ]
    return hashlib.sha256(_text(fields)).hexdigest()


def _text(fields: list[Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
