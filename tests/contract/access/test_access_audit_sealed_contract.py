"""A sealed audit log on every store: rewritten, cut, erased, exported, moved from the time without keys."""

import dataclasses
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.access.core import audit_chain
from services.access.errors import AgentAlive
from services.access.model.audit import AuditEntry, AuditHead, Event, Fault, SealKey, Verification
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.audit_export import HeadExporter
from services.access.service.audit_verifying import NotedHead
from services.access.service.denials import PER_AGENT, PER_TENANT, WINDOW
from services.access.store import rows
from services.access.store.tables import audit, audit_heads
from services.chassis.db import Database
from services.chassis.rpc.errors import PermissionDenied
from tests.fakes.access_manager import ADMIN, SERVICE, TENANT, Desk, agent, asked, whole_log

PLANNER = agent("planner")


async def verified(desk: Desk) -> Verification:
    """Verify the whole log."""
    return (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result


def exporter(desk: Desk, rows_: int = 100) -> HeadExporter:
    """Make an exporter of heads."""
    return HeadExporter(desk.manager.ports, rows=rows_, every=timedelta(seconds=10))


async def written(desk: Desk, *names: str) -> None:
    """Register agents."""
    for name in names:
        await desk.manager.audit.append(
            SERVICE,
            TENANT,
            [dependencies.event(agent(name), "X", "storage.delete", f"agents/{name}")],
            asked(""),
        )


async def replace_log(database: Database, entries: list[AuditEntry]) -> None:
    """Write another log in the place of the one there, as somebody who has the database can."""

    def work(conn: sa.Connection) -> None:
        conn.execute(sa.delete(audit))
        conn.execute(sa.insert(audit), [rows.audit_values(entry) for entry in entries])
        last = entries[-1]
        head = {"sequence": last.sequence, "hash": last.hash, "key_id": last.key_id}
        conn.execute(sa.update(audit_heads).values(head))

    await database.write(work)


def rewritten(log: list[AuditEntry], key: SealKey) -> list[AuditEntry]:
    """Change the first entry, leave the last out, and recompute all hashes."""
    head = audit_chain.GENESIS
    found: list[AuditEntry] = []
    for entry in log[:-1]:
        event = entry.event if found else dataclasses.replace(entry.event, agent="mallory")
        made = audit_chain.next_entry(TENANT, head, event, entry.create_time, key=key, salts=("a", "b"))
        head = audit_chain.head_of(made)
        found.append(made)
    return found


async def test_who_deletes_the_newest_entry_and_recomputes_all_hashes_is_found(
    desk: Desk, database: Database
) -> None:
    await written(desk, "a", "b", "c")
    log = await whole_log(desk)
    await replace_log(database, rewritten(log, SealKey(log[0].key_id, b"not the key")))
    found = await verified(desk)

    assert (found.fault, found.broken_sequence) == (Fault.ENTRY_CHANGED, 1)


async def test_a_log_rewritten_with_the_very_key_does_not_match_its_exported_head(
    desk: Desk, database: Database
) -> None:
    await written(desk, "a", "b", "c")
    log = await whole_log(desk)
    await exporter(desk).look()
    key = (await desk.store.read(lambda tx: tx.audit.keys)).newest()
    await replace_log(database, rewritten([*log, log[-1]], key))

    assert (await verified(desk)).fault is Fault.REWRITTEN


async def test_a_cut_tail_is_found_by_the_exported_head(desk: Desk, database: Database) -> None:
    await written(desk, "a", "b", "c")
    await exporter(desk).look()
    await replace_log(database, (await whole_log(desk))[:2])
    found = await verified(desk)

    assert (found.fault, found.broken_sequence) == (Fault.TAIL_CUT, 3)


async def test_a_noted_head_tells_a_cut_tail_from_a_rewritten_log(desk: Desk) -> None:
    await written(desk, "a")
    [one] = await whole_log(desk)
    verify = desk.manager.verifier.verify

    assert (await verify(ADMIN, 0, 0, NotedHead(one.hash, 1))).result.intact
    assert (await verify(ADMIN, 0, 0, NotedHead(one.hash, 2))).result.fault is Fault.TAIL_CUT
    assert (await verify(ADMIN, 0, 0, NotedHead("f" * 64, 1))).result.fault is Fault.REWRITTEN


async def test_a_lost_rewound_or_changed_log_of_heads_is_told(desk: Desk) -> None:
    await written(desk, "a")
    assert (await verified(desk)).intact
    await exporter(desk).look()
    await written(desk, "b")
    await exporter(desk).look()
    assert (await verified(desk)).intact

    newest = desk.heads.heads.pop()
    assert (await verified(desk)).fault is Fault.HEADS_REWOUND
    desk.heads.heads = []
    assert (await verified(desk)).fault is Fault.HEADS_REWOUND
    desk.heads.fault = Fault.HEADS_MISSING
    assert (await verified(desk)).fault is Fault.HEADS_MISSING
    desk.heads.heads, desk.heads.fault = [newest], Fault.HEADS_CHANGED
    assert (await verified(desk)).fault is Fault.HEADS_CHANGED


async def test_heads_are_told_after_enough_entries_or_time_and_at_the_end(desk: Desk) -> None:
    export = exporter(desk, rows_=2)
    await written(desk, "a")
    await export.look()
    await written(desk, "b")
    await export.look()
    assert [head.sequence for head in desk.heads.heads] == [1]
    await written(desk, "c")
    await export.look()
    assert [head.sequence for head in desk.heads.heads] == [1, 3]
    await written(desk, "d")
    desk.clock.advance(10)
    await export.look()
    await export.look()
    assert [head.sequence for head in desk.heads.heads] == [1, 3, 4]
    await written(desk, "e")
    await export.look(everything=True)
    assert [head.sequence for head in desk.heads.heads] == [1, 3, 4, 5]

    newest = desk.heads.heads[-1]
    text = audit_chain.signed_text(TENANT, AuditHead(newest.sequence, newest.hash))
    assert desk.keys.is_signed(text, newest.kid, newest.signature)


async def test_heads_that_were_not_kept_are_told_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_heads: object) -> None:
        raise OSError("the disk is full")

    export = exporter(desk)
    await written(desk, "a")
    with monkeypatch.context() as patch:
        patch.setattr(desk.heads, "put", full)
        with pytest.raises(OSError, match="full"):
            await export.look()
    await export.look()

    assert [head.sequence for head in desk.heads.heads] == [1]


async def test_an_erased_agent_is_in_no_entry_and_the_log_verifies(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    await written(desk, "planner", "planner", "critic")
    with pytest.raises(AgentAlive):
        await desk.manager.eraser.erase(ADMIN, "planner", "asked for")
    with pytest.raises(PermissionDenied):
        await desk.manager.eraser.erase(PLANNER, "nobody", "")
    await desk.manager.agents.kill(ADMIN, "planner", "planner misbehaved")
    count = await desk.manager.eraser.erase(ADMIN, "planner", "asked for")
    log = await whole_log(desk)

    assert count == 4
    assert "planner" not in repr(log)
    assert sum(entry.event.agent == "critic" for entry in log) == 1
    assert (log[-1].event.agent, "asked for" in log[-1].event.note) == ("admin", True)
    assert (await verified(desk)).intact
    assert await desk.manager.eraser.erase(ADMIN, "planner", "") == 0


async def test_erasing_in_batches_verifies(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.access.service.erasing._BATCH", 2)
    await written(desk, *["a"] * 5, "b", "a")

    assert await desk.manager.eraser.erase(ADMIN, "a", "") == 6
    assert (await verified(desk)).intact


async def test_blanking_a_row_behind_the_log_s_back_is_found(desk: Desk, database: Database) -> None:
    await written(desk, "a", "b")
    [one, _] = await whole_log(desk)
    doomed = {one: audit_chain.parts_about(one, "a")}
    key = (await desk.store.read(lambda tx: tx.audit.keys)).newest()
    assert key.key_id == one.key_id
    await desk.store.write(lambda tx: tx.audit.blank(doomed, 2))

    assert await database.problem() is None
    assert (await verified(desk)).fault is Fault.ERASURE_UNTOLD


async def test_a_log_from_before_there_were_keys_is_sealed(desk: Desk, database: Database) -> None:
    await written(desk, "a", "b")
    head, old = audit_chain.GENESIS, []
    for entry in await whole_log(desk):
        plain = AuditEntry(TENANT, entry.sequence, entry.create_time, entry.event, head.hash, "")
        plain = dataclasses.replace(plain, hash=audit_chain._plain_digest(plain))
        head = audit_chain.head_of(plain)
        old.append(plain)
    await replace_log(database, old)
    assert (await verified(desk)).fault is Fault.UNSEALED

    assert await exporter(desk).seal() == 1
    assert await exporter(desk).seal() == 0
    await written(desk, "c")
    log = await whole_log(desk)
    assert [entry.event.action for entry in log[2:]] == [audit_chain.CHECKPOINT, "storage.delete"]
    assert (await verified(desk)).intact


async def test_an_agent_s_denials_are_written_up_to_its_share_and_then_counted(desk: Desk) -> None:
    await desk.register("planner")
    for number in range(PER_AGENT + 50):
        await desk.decide(PLANNER, "memory.read", f"agents/critic/notes/{number}")
    await desk.decide(agent("critic"), "memory.read", "agents/planner/notes/1")
    log = await whole_log(desk)
    assert len([entry for entry in log if entry.event.agent == "planner"]) == PER_AGENT
    assert len([entry for entry in log if entry.event.agent == "critic"]) == 1

    desk.clock.advance(WINDOW.total_seconds())
    [summary] = (await whole_log(desk))[len(log) :]
    assert (summary.event.agent, summary.event.reason) == ("planner", "and 50 more")


async def test_many_agents_of_a_tenant_have_a_share_together(desk: Desk) -> None:
    for number in range(PER_TENANT + 10):
        desk.manager.denials.deny(TENANT, _denial(f"a{number % 40}", number))
    desk.manager.denials.deny("globex", _denial("x", 1))

    assert len(await whole_log(desk)) == PER_TENANT
    await desk.manager.finish()
    heads = await desk.store.read(
        lambda tx: [tx.audit.head(tenant).sequence for tenant in (TENANT, "globex")]
    )
    assert heads == [PER_TENANT + 10, 1]


async def test_denials_that_were_not_written_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.manager.denials.deny(TENANT, _denial("a", 1))

    async def away(_work: object) -> None:
        raise OSError("away")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "write", away)
        with pytest.raises(OSError, match="away"):
            await desk.manager.flush()
    assert len(await whole_log(desk)) == 1


def _denial(name: str, number: int) -> Event:
    return dependencies.event(agent(name), "Check", "memory.read", f"agents/b/notes/{number}")


async def test_entries_are_sealed_with_the_newest_key_and_old_ones_verify(desk: Desk) -> None:
    await written(desk, "a")
    keys = await desk.store.read(lambda tx: tx.audit.keys)

    def key_ids(tx: Transaction) -> set[str]:
        return {entry.key_id for entry in tx.audit.between(TENANT, 1, 9)}

    assert await desk.store.read(key_ids) == {keys.newest().key_id}
    assert (await verified(desk)).intact
