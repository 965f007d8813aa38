"""The audit log's hash chain: each entry's hash covers its fields and the hash before it. Pure."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from services.access.model import AuditEntry, AuditHead, Event, Verification
from services.chassis.times import micros

GENESIS: Final = AuditHead(sequence=0, hash="0" * 64)
"""What the first entry of a chain follows."""

_FORMAT: Final = "aios-audit-1"


def next_entry(tenant: str, head: AuditHead, event: Event, now: datetime) -> AuditEntry:
    """Make the entry that follows `head`."""
    return AuditEntry(
        tenant=tenant,
        sequence=head.sequence + 1,
        create_time=now,
        event=event,
        previous_hash=head.hash,
        hash=digest(tenant, head, event, now),
    )


def head_of(entry: AuditEntry) -> AuditHead:
    """Return the head of a chain that ends with `entry`."""
    return AuditHead(entry.sequence, entry.hash)


def digest(tenant: str, head: AuditHead, event: Event, now: datetime) -> str:
    """Hash the entry that follows `head`.

    SHA-256 over the JSON text of an explicit list of fields, so that neither a new field nor a new version
    of a serializer changes the hash of what is already written. Times are microseconds since 1970, UTC.
    """
    fields = [
        _FORMAT,
        head.hash,
        tenant,
        head.sequence + 1,
        micros(now),
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
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def verify(before: AuditHead, entries: Iterable[AuditEntry]) -> Verification:
    """Recompute a run of entries that should follow `before`; stop at the first that does not fit."""
    head = before
    for count, entry in enumerate(entries):
        problem = _problem(head, entry)
        if problem:
            return Verification(count, head, broken_sequence=head.sequence + 1, problem=problem)
        head = head_of(entry)
    return Verification(head.sequence - before.sequence, head)


def signed_text(tenant: str, head: AuditHead) -> bytes:
    """Return the bytes that the signature of a head covers."""
    return f"aios-audit:{tenant}:{head.sequence}:{head.hash}".encode()


def _problem(head: AuditHead, entry: AuditEntry) -> str:
    if entry.sequence != head.sequence + 1:
        return f"the entry is missing: {entry.sequence} follows {head.sequence}"
    if entry.previous_hash != head.hash:
        return "previous_hash is not the hash of the entry before"
    if entry.hash != digest(entry.tenant, head, entry.event, entry.create_time):
        return "the entry's fields do not give its hash"
    return ""
