"""The audit chain: any change of a kept entry shows, whoever recomputes the hashes without the key."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.access.core import audit_chain
from services.access.core.audit_chain import ChainVerifier
from services.access.model.audit import (
    AuditEntry,
    AuditHead,
    AuditOutcome,
    Commitment,
    Event,
    Fault,
    Part,
    SealKey,
    Verification,
)
from services.chassis.auth.identity import Kind
from services.chassis.times import micros
from tests.fakes.seal_keys import FakeSealKeys

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEYS = FakeSealKeys("k1")
EVENT = Event(
    agent="planner",
    kind=Kind.AGENT,
    method="/aios.api.storage.v1.StorageService/DeleteFile",
    action="storage.delete",
    resource="agents/planner/files/x",
    policies=("policies/owner",),
    arguments_sha256="ab" * 32,
)


def following(head: AuditHead, event: Event, *, key: SealKey | None = None) -> AuditEntry:
    """Make the entry after a head."""
    moment = NOW + timedelta(seconds=head.sequence)
    salts = (f"a{head.sequence}", f"s{head.sequence}")
    return audit_chain.next_entry("acme", head, event, moment, key=key or KEYS.newest(), salts=salts)


def entries(count: int, *, key: SealKey | None = None) -> list[AuditEntry]:
    """Make a chain."""
    head, found = audit_chain.GENESIS, []
    for number in range(count):
        entry = following(head, dataclasses.replace(EVENT, syscall_id=str(number)), key=key)
        head = audit_chain.head_of(entry)
        found.append(entry)
    return found


def plain(count: int) -> list[AuditEntry]:
    """Make a chain as it was written before there were keys."""
    head, found = audit_chain.GENESIS, []
    for _ in range(count):
        entry = AuditEntry("acme", head.sequence + 1, NOW, EVENT, head.hash, "")
        entry = dataclasses.replace(entry, hash=audit_chain._plain_digest(entry))
        head = audit_chain.head_of(entry)
        found.append(entry)
    return found


def verify(found: Sequence[AuditEntry], keys: FakeSealKeys = KEYS) -> Verification:
    """Verify a whole chain."""
    chain = ChainVerifier(audit_chain.GENESIS, keys.find)
    chain.feed(found)
    chain.finish()
    return chain.result()


def forged(kept: Sequence[AuditEntry], position: int, **change: Any) -> list[AuditEntry]:
    """Change an entry and recompute everything after it, with a key of the forger's own under the same id."""
    found = list(kept[:position])
    key = SealKey(kept[0].key_id, b"guessed")
    for entry in kept[position:]:
        event = dataclasses.replace(entry.event, **change) if entry is kept[position] else entry.event
        head = audit_chain.head_of(found[-1]) if found else audit_chain.GENESIS
        found.append(following(head, event, key=key))
    return found


def erased(kept: Sequence[AuditEntry], agent: str) -> list[AuditEntry]:
    """Blank what a chain tells of an agent and add the entry that tells of it."""
    doomed = {entry: audit_chain.parts_about(entry, agent) for entry in kept}
    told_by = kept[-1].sequence + 1
    event = Event(
        "admin",
        Kind.ADMIN,
        "/EraseAudit",
        audit_chain.ERASE,
        arguments_sha256=audit_chain.erasure_digest((e, parts) for e, parts in doomed.items() if parts),
    )
    blank = [audit_chain.blanked(entry, doomed[entry], told_by) for entry in kept]
    return [*blank, following(audit_chain.head_of(kept[-1]), event)]


def test_a_whole_chain_is_intact() -> None:
    result = verify(entries(5))

    assert result.intact
    assert result.verified_count == 5
    assert result.head.sequence == 5


def test_the_hash_of_a_known_entry_never_changes() -> None:
    assert plain(1)[0].hash == "63451c9452663f12383419964b7e088ece97ff1782191cfc4051c238297c9c83"
    assert entries(1)[0].hash == "f6e0ac7023e37e84e2dcf04b91426077a879b749336a07664170d044e0846e36"


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
        {"note": "x"},
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
    result = verify(kept)

    assert result.fault is Fault.ENTRY_CHANGED
    assert (result.broken_sequence, result.verified_count) == (2, 1)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_who_recomputes_every_hash_without_the_key_is_found(position: int) -> None:
    result = verify(forged(entries(3), position, agent="critic"))

    assert result.fault is Fault.ENTRY_CHANGED
    assert result.broken_sequence == position + 1


def test_who_writes_the_log_anew_without_keys_is_found() -> None:
    assert verify(plain(3)).fault is Fault.UNSEALED
    assert verify([*entries(2), *plain(3)[2:]]).fault is not Fault.NONE


def test_an_unsealed_entry_after_sealed_ones_is_found() -> None:
    kept = entries(2)
    odd = AuditEntry("acme", 3, NOW, EVENT, kept[1].hash, "")
    odd = dataclasses.replace(odd, hash=audit_chain._plain_digest(odd))
    result = verify([*kept, odd])

    assert (result.fault, result.broken_sequence) == (Fault.UNSEALED, 3)


def test_a_sealed_entry_vouches_for_the_plain_ones_before_it() -> None:
    old = plain(2)
    whole = [*old, following(audit_chain.head_of(old[-1]), EVENT)]

    assert verify(whole).intact
    changed = dataclasses.replace(old[0], event=dataclasses.replace(EVENT, agent="critic"))
    changed = dataclasses.replace(changed, hash=audit_chain._plain_digest(changed))
    second = dataclasses.replace(old[1], previous_hash=changed.hash)
    second = dataclasses.replace(second, hash=audit_chain._plain_digest(second))
    assert verify([changed, second, whole[2]]).broken_sequence == 3


def test_entries_of_all_keys_of_the_ring_verify_and_of_no_other() -> None:
    keys = FakeSealKeys("k1", "k2")
    first = following(audit_chain.GENESIS, EVENT, key=keys.ring["k1"])
    second = following(audit_chain.head_of(first), EVENT, key=keys.ring["k2"])

    assert verify([first, second], keys).intact
    assert verify([first, second], FakeSealKeys("k1")).fault is Fault.KEY_MISSING


def test_a_removed_entry_breaks_the_chain() -> None:
    kept = entries(3)
    result = verify([kept[0], kept[2]])

    assert (result.fault, result.broken_sequence) == (Fault.ENTRY_MISSING, 2)


def test_an_entry_of_another_chain_does_not_fit() -> None:
    kept = entries(2)
    stranger = dataclasses.replace(
        following(audit_chain.head_of(entries(1)[0]), EVENT), previous_hash="f" * 64
    )

    assert verify([kept[0], stranger]).broken_sequence == 2


def test_a_changed_time_or_tenant_shows() -> None:
    [entry] = entries(1)

    assert not verify([dataclasses.replace(entry, tenant="other")]).intact
    later = dataclasses.replace(entry, create_time=NOW + timedelta(microseconds=1))
    assert not verify([later]).intact


def test_an_erased_agent_leaves_a_chain_that_verifies_and_tells_nothing_of_it() -> None:
    kept = entries(3)
    other = dataclasses.replace(EVENT, agent="critic", resource="agents/critic/files/y")
    kept.append(following(audit_chain.head_of(kept[-1]), other))
    found = erased(kept, "planner")

    assert verify(found).intact
    assert found[3] == kept[3]
    assert all("planner" not in repr(entry) for entry in found)
    assert {entry.actor.salt for entry in found[:3]} == {""}


def test_no_field_tells_of_an_erased_agent() -> None:
    texts: dict[str, Any] = dict.fromkeys(
        ("arguments_sha256", "syscall_id", "trace_id", "approval", "reason", "note"), "planner"
    )
    told = dataclasses.replace(
        EVENT,
        agent="planner",
        resource="agents/planner/files/x",
        policies=("policies/planner",),
        **texts,
    )
    found = erased([following(audit_chain.GENESIS, told)], "planner")

    assert verify(found).intact
    assert "planner" not in repr(found)


def test_what_a_person_did_to_an_erased_agent_keeps_the_person() -> None:
    act = dataclasses.replace(
        EVENT, agent="admin", kind=Kind.ADMIN, resource="agents/planner", note="planner misbehaved"
    )
    found = erased([following(audit_chain.GENESIS, act)], "planner")

    assert verify(found).intact
    assert found[0].event.agent == "admin"
    assert (found[0].event.resource, found[0].event.note) == ("", "")


def test_plain_entries_can_be_erased_too() -> None:
    old = plain(2)
    sealed = [
        *old,
        following(
            audit_chain.head_of(old[-1]), dataclasses.replace(EVENT, agent="critic", resource="tools/t")
        ),
    ]
    found = erased(sealed, "planner")

    assert verify(found).intact
    assert all("planner" not in repr(entry) for entry in found)


@pytest.mark.parametrize("told_by", [1, 3, 4, 99])
def test_entries_blanked_without_an_entry_that_tells_of_them_are_found(told_by: int) -> None:
    kept = entries(3)
    kept[0] = audit_chain.blanked(kept[0], list(Part), told_by)

    assert verify(kept).fault is Fault.ERASURE_UNTOLD


def test_one_more_entry_blanked_than_an_erasure_tells_of_is_found() -> None:
    kept = entries(2)
    kept.append(
        following(audit_chain.head_of(kept[-1]), dataclasses.replace(EVENT, agent="critic", resource="x"))
    )
    found = erased(kept, "planner")
    found[2] = audit_chain.blanked(found[2], [Part.ACTOR], 4)

    assert verify(found).fault is Fault.ERASURE_UNTOLD


def test_other_words_in_blanked_fields_are_found() -> None:
    found = erased(entries(2), "planner")
    found[0] = dataclasses.replace(found[0], event=dataclasses.replace(found[0].event, agent="critic"))

    assert verify(found).fault is Fault.ENTRY_CHANGED


def test_a_digest_cannot_be_guessed_without_its_salt() -> None:
    [one] = entries(1)
    two = audit_chain.next_entry(
        "acme", audit_chain.GENESIS, one.event, NOW, key=KEYS.newest(), salts=("other", "salts")
    )

    assert one.event == two.event
    assert one.actor.digest != two.actor.digest
    assert isinstance(one.subject, Commitment)


def test_times_count_in_whole_microseconds() -> None:
    assert micros(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=1, microseconds=3)) == 86_400_000_003
