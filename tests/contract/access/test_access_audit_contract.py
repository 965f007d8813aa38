"""The audit log, on every store; on SQL ones with rows changed behind its back."""

import asyncio
import dataclasses

import pytest
import sqlalchemy as sa

from services.access.errors import (
    AgentExists,
)
from services.access.model.audit import AuditOutcome, AuditQuery
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.agents import NewAgent
from services.access.service.audit_verifying import NotedHead
from services.access.store.sql import MIGRATIONS, SqlStore
from services.access.store.tables import audit, audit_heads
from services.chassis.db import Database
from services.chassis.rpc.errors import PermissionDenied
from tests.fakes.access_manager import (
    ADMIN,
    KERNEL_ADMIN,
    NEW,
    SERVICE,
    TENANT,
    Desk,
    agent,
    asked,
    whole_log,
)
from tests.fakes.databases import migrated
from tests.fakes.seal_keys import SEAL_KEYS

PLANNER = agent("planner")
CRITIC = agent("critic")


async def test_every_change_is_in_the_log_and_the_log_is_whole(desk: Desk) -> None:
    await desk.register("planner")
    await desk.manager.groups.create(ADMIN, "groups/g", title="", description="", asked=NEW)
    await desk.manager.agents.suspend(ADMIN, "planner", "misbehaved")
    log = await whole_log(desk)
    verified = await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())

    assert [entry.event.action for entry in log] == ["agent.register", "access.manage", "agent.control"]
    assert [entry.sequence for entry in log] == [1, 2, 3]
    assert verified.result.intact
    assert verified.result.head.hash == log[-1].hash
    assert len(verified.signature) == 64
    assert (
        await desk.manager.verifier.verify(ADMIN, 2, 2, NotedHead(log[0].hash))
    ).result.verified_count == 1


async def test_a_failed_change_leaves_no_trace(desk: Desk) -> None:
    await desk.register("planner")
    before = await desk.revision()
    with pytest.raises(AgentExists):
        await desk.register("planner")

    assert await desk.revision() == before
    assert len(await whole_log(desk)) == 1


async def test_a_cut_or_unknown_head_shows(desk: Desk) -> None:
    await desk.register("planner")
    verified = await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead("f" * 64))

    assert not verified.result.intact
    assert "expected head" in verified.result.problem
    with pytest.raises(PermissionDenied):
        await desk.manager.verifier.verify(PLANNER, 0, 0, NotedHead())


async def test_an_empty_log_is_intact(desk: Desk) -> None:
    verified = await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())

    assert verified.result.intact
    assert verified.result.head.sequence == 0


async def test_appended_entries_are_found_by_every_filter(desk: Desk) -> None:
    start = desk.clock.now()
    base = dataclasses.replace(
        dependencies.event(PLANNER, "X", "storage.delete", "agents/planner/files/a%b"),
        policies=("policies/owner",),
        event_time=start,
        syscall_id="s1",
    )
    denied = dataclasses.replace(base, outcome=AuditOutcome.DENIED, agent="critic", resource="tools/t")
    last = await desk.manager.audit.append(SERVICE, TENANT, [base, denied], asked("r"))
    desk.clock.advance(10)
    again = await desk.manager.audit.append(SERVICE, TENANT, [base, denied], asked("r"))
    await desk.manager.audit.append(SERVICE, TENANT, [base], NEW)

    async def found(**narrow: object) -> list[int]:
        query = AuditQuery(tenant=TENANT, **narrow)  # type: ignore[arg-type]
        page, token = await desk.manager.audit.query(ADMIN, query, 1, "")
        while token:
            more, token = await desk.manager.audit.query(ADMIN, query, 1, token)
            page += more
        return [entry.sequence for entry in page]

    assert (last, again) == (2, 2)
    assert await found() == [3, 2, 1]
    assert await found(oldest_first=True) == [1, 2, 3]
    assert await found(agent="critic") == [2]
    assert await found(action="storage.read") == []
    assert await found(resource_prefix="agents/planner/files/a%") == [3, 1]
    assert await found(resource_prefix="agents/planner/files/%") == []
    assert await found(outcome=AuditOutcome.DENIED) == [2]
    assert await found(start_time=desk.clock.now()) == [3]
    assert await found(end_time=desk.clock.now()) == [2, 1]
    assert await found(syscall_id="s2") == []
    page, _ = await desk.manager.audit.query(CRITIC, AuditQuery(tenant=TENANT), 0, "")
    assert [entry.event for entry in page] == [denied]
    with pytest.raises(PermissionDenied):
        await desk.manager.audit.query(CRITIC, AuditQuery(tenant=TENANT, agent="planner"), 0, "")


async def test_logs_of_two_tenants_are_two_chains(desk: Desk) -> None:
    await desk.register("planner")
    await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="x", tenant="globex"), NEW)

    def heads(tx: Transaction) -> list[int]:
        return [tx.audit.head(tenant).sequence for tenant in (TENANT, "globex", "nobody")]

    assert await desk.store.read(heads) == [1, 1, 0]


async def test_writers_at_once_lose_nothing(desk: Desk) -> None:
    await asyncio.gather(*(desk.register(f"a{number}") for number in range(12)))
    page, _ = await desk.manager.agents.page(ADMIN, "", 100, "")

    assert len(page) == 12
    assert sorted(one.revision for one in page) == list(range(1, 13))
    assert (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result.verified_count == 12


async def test_a_changed_row_of_the_log_is_named(desk: Desk, database: Database) -> None:
    for name in ("a", "b", "c"):
        await desk.register(name)
    forged = sa.update(audit).where(audit.c.sequence == 2).values(agent="mallory")
    await database.write(lambda conn: conn.execute(forged).close())
    result = (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result

    assert not result.intact
    assert (result.broken_sequence, result.verified_count) == (2, 1)


@pytest.mark.parametrize("gone", [1, 2, 3])
async def test_a_deleted_row_of_the_log_is_named(desk: Desk, database: Database, gone: int) -> None:
    for name in ("a", "b", "c"):
        await desk.register(name)
    await database.write(lambda conn: conn.execute(sa.delete(audit).where(audit.c.sequence == gone)).close())
    result = (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result

    assert not result.intact
    assert result.broken_sequence == gone


async def test_a_rewritten_tail_shows_against_the_noted_head(desk: Desk, database: Database) -> None:
    for name in ("a", "b"):
        await desk.register(name)
    noted = (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result.head
    [first, _] = await whole_log(desk)

    def cut(conn: sa.Connection) -> None:
        conn.execute(sa.delete(audit).where(audit.c.sequence == 2))
        conn.execute(sa.update(audit_heads).values(sequence=1, hash=first.hash))

    await database.write(cut)
    assert (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result.intact
    result = (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead(noted.hash))).result

    assert not result.intact


async def test_everything_is_there_after_a_restart(desk: Desk, database: Database, url: str) -> None:
    made = await desk.register("planner")
    async with migrated(url, MIGRATIONS, schema="access") as other:
        found = await SqlStore(other, SEAL_KEYS).read(lambda tx: tx.agents.get(TENANT, "planner"))

    assert await database.problem() is None
    assert found == made.agent
