"""What every Store of the tool manager must do; each adapter runs the same suite."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import IdempotencyMismatch
from services.tool.core.mcp_servers import HttpServer, KnownTool, McpServer, OAuthClient, StdioServer
from services.tool.model import (
    CallError,
    CallQuery,
    CallState,
    ContentPart,
    Driver,
    DriverKind,
    Effect,
    Narrowing,
    SealedSecret,
    SecretInfo,
    Tool,
    ToolCall,
)
from services.tool.ports import Store, Transaction
from services.tool.store import tables
from services.tool.store.sql import MIGRATIONS, SqlStore
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.stores.tool import InMemoryStore

PLANNER = Scope("acme", "planner")
CRITIC = Scope("acme", "critic")
NAMESAKE = Scope("other", "planner")
CLOCK = FakeClock()
NOW = CLOCK.now()


def tool(id_: str, *, owner: str = "planner") -> Tool:
    return Tool(
        id=id_,
        description="ünï \u0000",
        parameters_schema='{"maximum": 100000000000000000000000000}',
        effect=Effect.REVERSIBLE,
        driver=Driver(DriverKind.PROVIDER, lease_seconds=2.5),
        locks=("browser-{profile}",),
        labels={"kind": "x"},
        owner=owner,
        created_at=NOW,
        updated_at=NOW,
    )


def call(
    id_: str, *, minute: int = 0, state: CallState = CallState.SUCCEEDED, of: str = "search"
) -> ToolCall:
    at = NOW + timedelta(minutes=minute)
    return ToolCall(
        id=id_,
        tool=of,
        arguments_sha256="0" * 64,
        effect=Effect.PURE,
        created_at=at,
        state=state,
        ended_at=at if state.ended else None,
    )


def secret(name: str, *, version: int = 1, key: str = "k1") -> SealedSecret:
    info = SecretInfo(name=name, version=version, bound_to="https://h", created_at=NOW, updated_at=NOW)
    return SealedSecret(info=info, key_id=key, sealed=bytes(range(256)))


async def put(store: Store, scope: Scope, *items: Tool | ToolCall) -> None:
    def work(tx: Transaction) -> None:
        for item in items:
            if isinstance(item, Tool):
                tx.put_tool(item)
            else:
                tx.put_call(item)

    await store.write(scope, work)


class StoreContract:
    """Subclasses supply `store`."""

    async def test_a_tool_comes_back_as_it_was_put_and_belongs_to_the_tenant(self, store: Store) -> None:
        await put(store, PLANNER, tool("send"))
        changed = replace(tool("send"), version=2, title="Send")
        await put(store, PLANNER, changed)

        assert await store.read(CRITIC, lambda tx: tx.tool("send")) == changed
        assert await store.read(NAMESAKE, lambda tx: tx.tool("send")) is None

    async def test_tools_are_listed_by_id_in_byte_order(self, store: Store) -> None:
        await put(store, PLANNER, *(tool(id_) for id_ in ("b", "B", "a-1", "a.1", "a", "a_1")))

        found = await store.read(PLANNER, lambda tx: tx.tools(after="B", limit=4))
        assert [item.id for item in found] == ["a", "a-1", "a.1", "a_1"]

    async def test_a_dropped_tool_is_gone_for_its_tenant_only(self, store: Store) -> None:
        await put(store, PLANNER, tool("send"))
        await put(store, NAMESAKE, tool("send"))
        await store.write(PLANNER, lambda tx: tx.drop_tool("send"))
        await store.write(PLANNER, lambda tx: tx.drop_tool("unheard-of"))

        assert await store.read(PLANNER, lambda tx: tx.tool("send")) is None
        assert await store.read(NAMESAKE, lambda tx: tx.tool("send")) is not None

    async def test_tools_are_counted_by_owner_and_tenant(self, store: Store) -> None:
        await put(store, PLANNER, tool("a"), tool("b"), tool("c", owner="critic"))

    async def test_mcp_servers_come_back_as_they_were_put_and_belong_to_the_tenant(
        self, store: Store
    ) -> None:
        program = StdioServer(command=("/usr/bin/node", "ü.js"), secret_environment={"K": "k"})
        web = HttpServer(url="https://h/mcp", oauth=OAuthClient(token_url="https://t", client_id="c"))
        servers = [
            McpServer(id="b", stdio=program, owner="planner", created_at=NOW, changed=("x",), pin="1"),
            McpServer(id="a", http=web, owner="critic", default_effect=Effect.REVERSIBLE),
        ]

        def put_all(tx: Transaction) -> None:
            for server in servers:
                tx.put_server(server)

        await store.write(PLANNER, put_all)

        assert await store.read(CRITIC, lambda tx: tx.server("b")) == servers[0]
        assert await store.read(CRITIC, lambda tx: tx.servers(after="", limit=9)) == servers[::-1]
        assert await store.read(CRITIC, lambda tx: tx.servers(after="a", limit=9)) == servers[:1]
        assert await store.read(NAMESAKE, lambda tx: tx.server("b")) is None
        assert await store.servers_of(PLANNER) == ["b"]

    async def test_what_is_known_of_a_servers_tools_is_replaced_and_goes_with_it(self, store: Store) -> None:
        server = McpServer(id="a", owner="planner")
        known = [KnownTool("x", '{"a":"\ud800\u202e"}'.replace("\ud800", ""), ""), KnownTool("y", "", "2")]
        await store.write(PLANNER, lambda tx: tx.put_server(server))
        await store.write(PLANNER, lambda tx: tx.put_known_tools(server, known))
        assert await store.read(CRITIC, lambda tx: tx.known_tools("a")) == known

        await store.write(CRITIC, lambda tx: tx.put_known_tools(server, known[1:]))
        assert await store.read(PLANNER, lambda tx: tx.known_tools("a")) == known[1:]
        await store.write(PLANNER, lambda tx: tx.drop_server("a"))

        assert await store.read(PLANNER, lambda tx: tx.known_tools("a")) == []
        assert await store.read(PLANNER, lambda tx: tx.server("a")) is None

    async def test_mcp_servers_go_with_the_agent_that_added_them(self, store: Store) -> None:
        server = McpServer(id="a", owner="planner")
        await store.write(PLANNER, lambda tx: tx.put_server(server))
        await store.write(PLANNER, lambda tx: tx.put_known_tools(server, [KnownTool("x", "1", "1")]))
        await store.write(CRITIC, lambda tx: tx.put_server(McpServer(id="b", owner="critic")))

        await store.purge(PLANNER)

        assert await store.read(CRITIC, lambda tx: [one.id for one in tx.servers(after="", limit=9)]) == ["b"]
        assert await store.read(CRITIC, lambda tx: tx.known_tools("a")) == []

    async def test_a_secret_comes_back_as_it_was_put_and_belongs_to_the_tenant(self, store: Store) -> None:
        first, changed = secret("github"), secret("github", version=2, key="k2")
        await store.write(PLANNER, lambda tx: tx.put_secret(first))
        await store.write(CRITIC, lambda tx: tx.put_secret(changed))

        assert await store.read(PLANNER, lambda tx: tx.secret("github")) == changed
        assert await store.read(NAMESAKE, lambda tx: tx.secret("github")) is None

        await store.write(NAMESAKE, lambda tx: tx.drop_secret("github"))
        assert await store.read(PLANNER, lambda tx: tx.secret("github")) == changed
        await store.write(PLANNER, lambda tx: tx.drop_secret("github"))
        assert await store.read(PLANNER, lambda tx: tx.secret("github")) is None

    async def test_secrets_are_listed_by_name(self, store: Store) -> None:
        for name in ("b", "a-1", "a.1", "a", "a_1"):
            kept = secret(name)
            await store.write(PLANNER, lambda tx, kept=kept: tx.put_secret(kept))  # type: ignore[misc]

        found = await store.read(CRITIC, lambda tx: tx.secrets(after="a", limit=3))
        assert [one.info.name for one in found] == ["a-1", "a.1", "a_1"]

    async def test_secrets_that_another_key_seals_are_found_in_all_tenants(self, store: Store) -> None:
        for scope, name, key in (
            (PLANNER, "a", "k1"),
            (PLANNER, "b", "k2"),
            (PLANNER, "c", "k1"),
            (NAMESAKE, "a", "k1"),
        ):
            kept = secret(name, key=key)
            await store.write(scope, lambda tx, kept=kept: tx.put_secret(kept))  # type: ignore[misc]

        found = await store.sealed_otherwise("k2", after=("", ""), limit=2)
        assert [(tenant, row.info.name) for tenant, row in found] == [("acme", "a"), ("acme", "c")]
        rest = await store.sealed_otherwise("k2", after=("acme", "c"), limit=2)
        assert [(tenant, row.info.name) for tenant, row in rest] == [("other", "a")]

    async def test_where_tools_may_send_to_is_kept_for_the_tenant(self, store: Store) -> None:
        assert await store.read(PLANNER, lambda tx: tx.narrowing()) == Narrowing()
        some = Narrowing(origins=("https://a",), version=1, updated_at=NOW)
        for kept in (some, Narrowing(origins=(), version=2)):
            await store.write(PLANNER, lambda tx, kept=kept: tx.put_narrowing(kept))  # type: ignore[misc]
            assert await store.read(CRITIC, lambda tx: tx.narrowing()) == kept

        await store.purge(PLANNER)

        assert (await store.read(CRITIC, lambda tx: tx.narrowing())).version == 2
        assert await store.read(NAMESAKE, lambda tx: tx.narrowing()) == Narrowing()

    async def test_secrets_outlive_the_agents_that_use_them(self, store: Store) -> None:
        await store.write(PLANNER, lambda tx: tx.put_secret(secret("github")))
        await store.purge(PLANNER)

        assert await store.read(CRITIC, lambda tx: tx.secret("github")) is not None

    async def test_a_call_comes_back_as_it_was_put_and_belongs_to_its_agent(self, store: Store) -> None:
        await put(store, PLANNER, call("c1", state=CallState.RUNNING))
        settled = replace(
            call("c1", state=CallState.FAILED),
            error=CallError("TOOL_FAILED", "ö \u0000", Code.FAILED_PRECONDITION, '{"a": 1}'),
            pieces=(ContentPart(text="t"), ContentPart(data_base64="AA==", media_type="image/png")),
            result_json='{"x": 1}',
            attempts=2,
            started_at=NOW,
            repeatable=True,
        )
        await put(store, PLANNER, settled)

        assert await store.read(PLANNER, lambda tx: tx.call("c1")) == settled
        assert await store.read(CRITIC, lambda tx: tx.call("c1")) is None
        assert await store.read(NAMESAKE, lambda tx: tx.call("c1")) is None

    async def test_calls_are_listed_newest_first_and_page_by_page(self, store: Store) -> None:
        await put(store, PLANNER, call("a", minute=1), call("c", minute=2), call("b", minute=2), call("d"))
        await put(store, CRITIC, call("x", minute=9))

        first = await store.read(PLANNER, lambda tx: tx.calls(CallQuery(), before=None, limit=2))
        position = first[-1].created_at, first[-1].id
        rest = await store.read(PLANNER, lambda tx: tx.calls(CallQuery(), before=position, limit=9))

        assert [item.id for item in first + rest] == ["c", "b", "a", "d"]

    async def test_what_tools_answered_is_not_listed(self, store: Store) -> None:
        ended = replace(
            call("c1", state=CallState.SUCCEEDED),
            error=CallError("TOOL_FAILED", "m", Code.FAILED_PRECONDITION, '{"a": 1}'),
            pieces=(ContentPart(text="t"),),
            result_json='{"x": 1}',
        )
        await put(store, PLANNER, ended)
        listed = await store.read(PLANNER, lambda tx: tx.calls(CallQuery(), before=None, limit=2))

        assert listed == [ended.without_answer()]
        assert await store.read(PLANNER, lambda tx: tx.call("c1")) == ended

    async def test_calls_are_found_by_tool_state_and_time(self, store: Store) -> None:
        await put(
            store,
            PLANNER,
            call("a", of="send"),
            call("b", state=CallState.RUNNING),
            call("c", state=CallState.FAILED, minute=5),
        )

        async def ids(query: CallQuery) -> list[str]:
            found = await store.read(PLANNER, lambda tx: tx.calls(query, before=None, limit=9))
            return [item.id for item in found]

        assert await ids(CallQuery(tool="send")) == ["a"]
        assert await ids(CallQuery(states=frozenset({CallState.RUNNING, CallState.FAILED}))) == ["c", "b"]
        assert await ids(CallQuery(created_after=NOW + timedelta(minutes=5))) == ["c"]
        assert await ids(CallQuery(created_before=NOW + timedelta(minutes=5))) == ["b", "a"]

    async def test_the_calls_of_a_whole_tenant_are_listed_newest_first_and_page_by_page(
        self, store: Store
    ) -> None:
        answered = replace(call("a", minute=3), result_json="1", arguments='{"x":1}', arguments_bytes=7)
        await put(store, PLANNER, answered, call("c", minute=2, of="send"))
        await put(store, CRITIC, call("b", minute=2))
        await put(store, NAMESAKE, call("foreign", minute=9))
        first = await store.calls_of("acme", CallQuery(), before=None, limit=2)
        scope, last = first[-1]
        place = last.created_at, scope.agent, last.id
        rest = await store.calls_of("acme", CallQuery(), before=place, limit=9)
        sent = await store.calls_of("acme", CallQuery(tool="send"), before=None, limit=9)

        assert first[0] == (PLANNER, answered.without_answer())
        assert [(scope.agent, item.id) for scope, item in first + rest] == [
            ("planner", "a"),
            ("planner", "c"),
            ("critic", "b"),
        ]
        assert [item.id for _, item in sent] == ["c"]

    async def test_unfinished_calls_of_all_agents_are_found(self, store: Store) -> None:
        running = call("b", state=CallState.RUNNING)
        queued = call("q", state=CallState.QUEUED)
        await put(store, PLANNER, call("a"), running)
        await put(store, NAMESAKE, queued)

        found = await store.unfinished(limit=9)
        assert sorted(found, key=lambda item: item[1].id) == [(PLANNER, running), (NAMESAKE, queued)]
        assert len(await store.unfinished(limit=1)) == 1

    async def test_collecting_forgets_calls_that_ended_long_ago_and_nothing_else(self, store: Store) -> None:
        await put(store, PLANNER, call("old"), call("young", minute=5))
        await put(store, CRITIC, call("old"), call("running", state=CallState.RUNNING))

        cut = NOW + timedelta(minutes=1)
        assert await store.collect(ended_before=cut, limit=1) == 1
        assert await store.collect(ended_before=cut, limit=9) == 1
        assert await store.read(PLANNER, lambda tx: tx.call("old")) is None
        assert await store.read(PLANNER, lambda tx: tx.call("young")) is not None
        assert await store.read(CRITIC, lambda tx: tx.call("running")) is not None

    async def test_a_failed_transaction_changes_nothing(self, store: Store) -> None:
        def work(tx: Transaction) -> None:
            tx.put_tool(tool("send"))
            tx.put_call(call("c1"))
            raise ValueError("planned")

        with pytest.raises(ValueError, match="planned"):
            await store.write(PLANNER, work)

        assert await store.read(PLANNER, lambda tx: tx.tool("send")) is None
        assert await store.read(PLANNER, lambda tx: tx.call("c1")) is None

    async def test_a_repeated_request_gets_its_first_answer(self, store: Store) -> None:
        actor = RequestIdentity("planner", "RegisterTool", "r1", b"digest")
        await store.write(PLANNER, lambda tx: tx.remember(actor, b"answer"))

        assert await store.write(PLANNER, lambda tx: tx.recall(actor)) == b"answer"
        assert await store.write(PLANNER, lambda tx: tx.recall(replace(actor, method="Other"))) is None
        assert await store.write(NAMESAKE, lambda tx: tx.recall(actor)) is None
        with pytest.raises(IdempotencyMismatch):
            await store.write(PLANNER, lambda tx: tx.recall(replace(actor, digest=b"other")))

    async def test_a_request_without_an_id_is_not_remembered(self, store: Store) -> None:
        actor = RequestIdentity("planner", "RegisterTool")
        await store.write(PLANNER, lambda tx: tx.remember(actor, b"answer"))

        assert await store.write(PLANNER, lambda tx: tx.recall(actor)) is None


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return InMemoryStore()


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with migrated(f"sqlite:///{tmp_path}/tool.db", MIGRATIONS) as database:
            yield SqlStore(database, CLOCK)


@pytest.mark.postgres
class TestPostgres(StoreContract):
    @pytest.fixture
    async def store(self, lent_postgres_url: str) -> AsyncIterator[Store]:
        async with migrated(lent_postgres_url, MIGRATIONS, schema="tool") as database:
            yield SqlStore(database, CLOCK)


async def test_listing_calls_reads_nothing_of_what_tools_answered(tmp_path: Path) -> None:
    async with migrated(f"sqlite:///{tmp_path / 'tool.db'}", MIGRATIONS) as database:
        large = replace(call("c1", state=CallState.SUCCEEDED), result_json="x" * 100_000)
        await put(SqlStore(database), PLANNER, large)
        sizes = await database.read(
            lambda conn: conn.execute(sa.select(sa.func.length(tables.calls.c.body))).scalars().all()
        )

    assert max(sizes) < 1_000
