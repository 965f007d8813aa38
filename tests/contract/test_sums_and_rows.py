"""The sums that quotas are judged by are what a count of the rows says, whatever two agents of a tree did."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from services.access.config import AccessConfig
from services.access.service.grants import NewGrant
from services.access.service.tokens import Target
from services.access.store.sql import MIGRATIONS as ACCESS
from services.access.store.sql import SqlStore as AccessStore
from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.chat import ChatMessage, Role
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap, caps_of
from services.chassis.rpc.errors import KernelError
from services.context.config import ContextConfig
from services.context.model import Draft, Save, Settings
from services.context.store.sql import MIGRATIONS as CONTEXT
from services.context.store.sql import SqlStore as ContextStore
from services.memory.config import MemoryConfig
from services.memory.model import Fields, Link, Mode
from services.memory.store.sql import MIGRATIONS as MEMORY
from services.memory.store.sql import SqlStore as MemoryStore
from services.tool.config import ToolConfig
from services.tool.model import CallRequest, Driver, DriverKind, Effect, Tool
from services.tool.service.sharing import TakenBack
from services.tool.store.sql import MIGRATIONS as TOOL
from services.tool.store.sql import SqlStore as ToolStore
from tests.fakes.access_manager import ADMIN, SERVICE, asked, desk
from tests.fakes.access_manager import agent as as_agent
from tests.fakes.approvals import wanted
from tests.fakes.clock import FakeClock
from tests.fakes.context import context_service
from tests.fakes.databases import migrated
from tests.fakes.memory import memory_service
from tests.fakes.seal_keys import SEAL_KEYS
from tests.fakes.sums import agree
from tests.fakes.tool import tool_service
from tests.fakes.tool_making import FakePython, FreeQueue, PeopleWhoAgree, draft

STEPS: Final = 60
TREES: Final = {"critic": "planner"}
SHOWN: Final = "SUM(json_extract(CAST(body AS TEXT), '$.message_count'))"
"""How many messages contexts show, on SQLite."""


def rows(
    quota: str, table: str, *, used: str = "COUNT(*)", agent: str = "agent", where: str = "1 = 1"
) -> str:
    """Select what the rows of a table say of a quota."""
    chosen = f"SELECT tenant, {agent} AS agent, '{quota}' AS quota, {used} AS used"
    return f"{chosen} FROM {table} WHERE {where} GROUP BY tenant, {agent}"


REPLIES: Final = rows("replies", "idempotency")

Step = Callable[["Chance"], Awaitable[Any]]


class Chance(random.Random):
    """Dice, and the caller of one step; its tree is not always told."""

    def next(self, number: int) -> None:
        self.agent = self.choice(("planner", "critic"))
        tree = self.choice(("", "planner"))
        self.scope = Scope("acme", self.agent, tree)
        self.actor = RequestIdentity(self.agent, "Test", self.choice(("", f"r{number}")), tree=tree)
        set_caller(Caller(self.agent, "acme", owner=self.agent, tree=tree))

    def key(self) -> str:
        return f"k{self.randrange(5)}"


async def walk(seed: int, *steps: Step) -> None:
    """Do things one after another; what is refused changes nothing."""
    chance, refused = Chance(seed), 0
    for number in range(STEPS):
        chance.next(number)
        try:
            await chance.choice(steps)(chance)
        except KernelError:
            refused += 1
    assert 0 < refused < STEPS / 2


async def test_notes(tmp_path: Path) -> None:
    clock = FakeClock()
    async with migrated(f"sqlite:///{tmp_path}/memory.db", MEMORY) as database:
        config = MemoryConfig(quota_notes=Cap.of(3), quota_note_bytes=Cap.of(400))
        both = memory_service(config=config, store=MemoryStore(database, clock), clock=clock)
        notes = both.notes

        async def put(now: Chance) -> None:
            links = tuple(Link(now.key()) for _ in range(now.randrange(3)))
            life = now.choice((None, clock.now() + timedelta(seconds=60)))
            fields = Fields(content="x" * now.randrange(90), links=links, expires_at=life)
            await notes.put(now.scope, now.actor, now.key(), fields, mode=Mode.ANY, etag="")

        async def update(now: Chance) -> None:
            await notes.update(now.scope, now.actor, now.key(), {"content": "y" * now.randrange(90)}, etag="")

        async def link(now: Chance) -> None:
            add, ways = [Link(now.key())], now.random() < 0.5
            await notes.link(
                now.scope, now.actor, now.key(), add=add, remove=[now.key()], both_ways=ways, etag=""
            )

        async def delete(now: Chance) -> None:
            await notes.delete(now.scope, now.actor, now.key(), etag="", allow_missing=True)

        async def sweep(_now: Chance) -> None:
            clock.advance(50_000)
            await notes.sweep()

        await walk(1, put, put, update, link, link, delete, sweep)
        kept = [
            rows("notes", "notes"),
            rows("note_bytes", "notes", used="SUM(size_bytes)"),
            rows("links", "note_links"),
            REPLIES,
        ]
        await agree(database, " UNION ALL ".join(kept), TREES)


async def test_contexts_and_snapshots(tmp_path: Path) -> None:
    clock = FakeClock()
    async with migrated(f"sqlite:///{tmp_path}/context.db", CONTEXT) as database:
        config = ContextConfig(quota_contexts=Cap.of(3), quota_messages=Cap.of(20), quota_snapshots=Cap.of(3))
        service = context_service(config=config, store=ContextStore(database, clock), clock=clock)
        contexts, snapshots = service.conversations, service.snapshots

        def said(now: Chance) -> list[Draft]:
            return [Draft(ChatMessage(Role.USER, "x" * now.randrange(90))) for _ in range(now.randint(1, 3))]

        async def create(now: Chance) -> None:
            await contexts.create(now.scope, now.actor, now.key(), Settings(), said(now))

        async def append(now: Chance) -> None:
            await contexts.append(now.scope, now.actor, now.key(), said(now), "")

        async def fork(now: Chance) -> None:
            source = (now.choice(("planner", "critic")), now.key())
            await contexts.fork(now.scope, now.actor, now.key(), source, now.randrange(3))

        async def pin(now: Chance) -> None:
            await contexts.pin(now.scope, now.actor, now.key(), 1, "", pinned=now.random() < 0.5)

        async def delete(now: Chance) -> None:
            await contexts.delete(now.scope, now.actor, now.key(), "", allow_missing=True)

        async def save(now: Chance) -> None:
            await snapshots.save(now.scope, Save(now.key(), now.randrange(9), base=b"x" * now.randrange(90)))

        async def drop(now: Chance) -> None:
            await snapshots.delete(now.scope, now.actor, now.key(), 0)

        async def collect(_now: Chance) -> None:
            clock.advance(1_800)
            await snapshots.collect()

        await walk(2, create, append, fork, pin, delete, save, save, drop, collect)
        kept = [
            rows("contexts", "contexts"),
            rows("context_bytes", "contexts", used="SUM(size_bytes)"),
            rows("messages", "contexts", used=SHOWN),
            rows("snapshots", "snapshots", where="NOT deleted"),
            rows("snapshot_bytes", "snapshots", used="SUM(size_bytes)"),
            REPLIES,
        ]
        await agree(database, " UNION ALL ".join(kept), TREES)


async def test_tools_and_calls(tmp_path: Path) -> None:
    clock = FakeClock()
    async with migrated(f"sqlite:///{tmp_path}/tool.db", TOOL) as database:
        config = ToolConfig(quota_tools=Cap.of(2), quota_calls=Cap.of(8))
        service = tool_service(config=config, store=ToolStore(database, clock), clock=clock)

        async def register(now: Chance) -> None:
            driver = Driver(DriverKind.BUILTIN, "clock")
            effect = now.choice((Effect.PURE, Effect.REVERSIBLE))
            tool = Tool(id=f"{now.agent}-{now.key()}", description="x", effect=effect, driver=driver)
            await service.registry.register(now.scope, now.actor, tool, "")

        async def unregister(now: Chance) -> None:
            name = f"{now.agent}-{now.key()}"
            await service.registry.unregister(now.scope, now.actor, name, "", allow_missing=True)

        async def call(now: Chance) -> None:
            tool = now.choice(("clock", f"planner-{now.key()}", f"critic-{now.key()}"))
            request = CallRequest(tool=tool, arguments={}, call_id=now.choice(("", now.key())))
            async for _ in service.calls.call(now.scope, request):
                pass

        async def collect(_now: Chance) -> None:
            clock.advance(20_000)
            await service.calls.collect()

        await walk(3, register, unregister, call, call, call, collect)
        kept = [
            rows("tools", "tools", agent="owner"),
            rows("calls", "calls"),
            rows("call_bytes", "calls", used="SUM(LENGTH(body) + COALESCE(LENGTH(whole), 0))"),
            REPLIES,
        ]
        await agree(database, " UNION ALL ".join(kept), TREES)


async def test_drafts_and_versions(tmp_path: Path) -> None:
    clock = FakeClock()
    async with migrated(f"sqlite:///{tmp_path}/tool.db", TOOL) as database:
        config = ToolConfig(quota_drafts=Cap.of(3), quota_tool_versions=Cap.of(6))
        service = tool_service(
            config=config,
            store=ToolStore(database, clock),
            clock=clock,
            drivers={DriverKind.PYTHON: FakePython()},
            sharing=PeopleWhoAgree(),
            queue=FreeQueue(),
        )

        async def drafted(now: Chance) -> None:
            new = draft(now.choice(("# double", "# order")), agent=now.agent, name=now.key())
            known = await service.making._deps.store.read(now.scope, lambda tx: tx.draft(new.name))
            etag = now.choice(("", str(known.etag) if known else ""))
            await service.making.draft(now.scope, now.actor, new, etag)

        async def shared(now: Chance) -> None:
            name = now.key()
            await service.making.test(now.scope, name, "", own=False)
            await service.sharing.share(now.scope, name, "")

        async def taken_back(now: Chance) -> None:
            by, name = TakenBack(now.actor, "why"), now.key()
            if now.random() < 0.5:
                await service.sharing.roll_back(now.scope, by, name, 1)
            else:
                await service.sharing.revoke(now.scope, by, name)

        async def deleted(now: Chance) -> None:
            await service.making.delete(now.scope, now.actor, now.key(), "", allow_missing=True)

        await walk(5, drafted, drafted, drafted, deleted, shared, shared, taken_back)
        kept = [
            rows("tools", "tools", agent="owner"),
            rows("drafts", "drafts"),
            rows("tool_versions", "tool_versions"),
            REPLIES,
        ]
        bytes_kept = (
            "SELECT tenant, agent, 'draft_bytes' AS quota, SUM(size_bytes) AS used FROM "
            "(SELECT tenant, agent, size_bytes FROM drafts "
            "UNION ALL SELECT tenant, agent, size_bytes FROM tool_versions) GROUP BY tenant, agent"
        )
        await agree(database, " UNION ALL ".join([*kept, bytes_kept]), TREES)


async def test_agents_grants_approvals_and_revocations(tmp_path: Path) -> None:
    few = Cap.of(3)
    config = AccessConfig(quota_grants=few, quota_approval_rows=few, quota_revocations=few)
    async with migrated(f"sqlite:///{tmp_path}/access.db", ACCESS) as database:
        store = AccessStore(database, SEAL_KEYS)
        made = await asyncio.to_thread(desk, store, tmp_path, caps=caps_of(config))
        manager = made.manager
        await made.register("planner")
        await made.register("critic", by=as_agent("planner"))

        async def register(now: Chance) -> None:
            await made.register(f"{now.agent}-{now.key()}", by=as_agent(now.agent))

        async def kill(now: Chance) -> None:
            await manager.agents.kill(ADMIN, f"{now.agent}-{now.key()}", "")

        async def grant(now: Chance) -> None:
            life = now.choice((None, made.clock.now() + timedelta(hours=1)))
            resource = f"agents/{now.agent}/notes/{now.key()}"
            new = NewGrant(
                grantee="agents/planner",
                resource=resource,
                actions=frozenset({"memory.read"}),
                expire_time=life,
            )
            await manager.grants.create(as_agent(now.agent), new, asked(now.actor.request_id))

        async def revoke_grant(now: Chance) -> None:
            who = as_agent(now.agent)
            found, _ = await manager.grants.page(who, grantee="", resource="", size=9, token="")
            if found:
                await manager.grants.revoke(
                    who, f"grants/{now.choice(found).id}", asked(now.actor.request_id)
                )

        async def ask(now: Chance) -> None:
            call = replace(wanted(sha=now.key()), agent=now.agent, arguments_preview="")
            await manager.approvals.request(SERVICE, call, timedelta(hours=1), asked(now.actor.request_id))

        async def revoke(now: Chance) -> None:
            everything = now.random() < 0.2
            target = Target(everything=True) if everything else Target(token_id=now.key())
            await manager.tokens.revoke(as_agent(now.agent), "", target, asked(""))

        async def forget(now: Chance) -> None:
            made.clock.advance(now.choice((4_000, 16 * 86_400)))
            await manager.forget()

        await walk(4, register, register, kill, grant, grant, revoke_grant, ask, ask, revoke, revoke, forget)
        kept = [
            rows("agents", "agents", agent="parent", where="state <> 'killed'"),
            rows("agent_rows", "agents", agent="parent"),
            rows("grants", "grants", agent="owner", where="NOT revoked"),
            rows("grant_rows", "grants", agent="owner"),
            rows("approval_rows", "approvals"),
            rows("revocations", "revocations", agent="charged", where="charged <> ''"),
            REPLIES,
        ]
        await agree(database, " UNION ALL ".join(kept), TREES)
