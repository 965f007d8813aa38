"""The audit chain: any change of a kept entry shows."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.access.core import audit_chain
from services.access.model import AuditEntry, AuditOutcome, Event
from services.chassis.auth.identity import Kind
from services.chassis.times import micros

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVENT = Event(
    agent="planner",
    kind=Kind.AGENT,
    method="/aios.api.storage.v1.StorageService/DeleteFile",
    action="storage.delete",
    resource="agents/planner/files/x",
    policies=("policies/owner",),
    arguments_sha256="ab" * 32,
)


def entries(count: int) -> list[AuditEntry]:
    """Make a chain."""
    head, found = audit_chain.GENESIS, []
    for number in range(count):
        event = dataclasses.replace(EVENT, syscall_id=str(number))
        entry = audit_chain.next_entry("acme", head, event, NOW + timedelta(seconds=number))
        head = audit_chain.head_of(entry)
        found.append(entry)
    return found


def test_a_whole_chain_is_intact() -> None:
    result = audit_chain.verify(audit_chain.GENESIS, entries(5))

    assert result.intact
    assert result.verified_count == 5
    assert result.head.sequence == 5


def test_the_hash_of_a_known_entry_never_changes() -> None:
    entry = audit_chain.next_entry("acme", audit_chain.GENESIS, EVENT, NOW)

    assert entry.hash == "63451c9452663f12383419964b7e088ece97ff1782191cfc4051c238297c9c83"


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "critic"},
        {"kind": Kind.ADMIN},
        {"method": "/x"},
        {"action": "storage.read"},
        {"resource": "agents/critic/files/x"},
        {"outcome": AuditOutcome.DENIED},
        {"reason": "x"},
        {"policies": ()},
        {"arguments_sha256": ""},
        {"syscall_id": "other"},
        {"trace_id": "0" * 32},
        {"approval": "a1"},
        {"event_time": NOW},
    ],
)
def test_a_changed_field_breaks_the_chain_there(change: dict[str, Any]) -> None:
    kept = entries(3)
    kept[1] = dataclasses.replace(kept[1], event=dataclasses.replace(kept[1].event, **change))
    result = audit_chain.verify(audit_chain.GENESIS, kept)

    assert not result.intact
    assert result.broken_sequence == 2
    assert result.verified_count == 1


def test_a_removed_entry_breaks_the_chain() -> None:
    kept = entries(3)
    result = audit_chain.verify(audit_chain.GENESIS, [kept[0], kept[2]])

    assert result.broken_sequence == 2
    assert "missing" in result.problem


def test_an_entry_of_another_chain_does_not_fit() -> None:
    kept = entries(2)
    stranger = audit_chain.next_entry("acme", audit_chain.head_of(entries(1)[0]), EVENT, NOW)
    forged = dataclasses.replace(stranger, previous_hash="f" * 64)

    assert audit_chain.verify(audit_chain.GENESIS, [kept[0], forged]).broken_sequence == 2


def test_a_changed_time_or_tenant_shows() -> None:
    [entry] = entries(1)

    assert not audit_chain.verify(audit_chain.GENESIS, [dataclasses.replace(entry, tenant="other")]).intact
    later = dataclasses.replace(entry, create_time=NOW + timedelta(microseconds=1))
    assert not audit_chain.verify(audit_chain.GENESIS, [later]).intact


def test_times_count_in_whole_microseconds() -> None:
    assert micros(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=1, microseconds=3)) == 86_400_000_003
