"""The store in RAM: for tests and throw-away kernels. Nothing survives the process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Owner, Tab, Usage
from services.chassis.rpc.errors import IdempotencyMismatch
from services.tool.core import ledger
from services.tool.core.making import Draft, DraftState, Version
from services.tool.core.mcp_servers import KnownTool, McpServer
from services.tool.model import CallQuery, Narrowing, SealedSecret, Tool, ToolCall
from services.tool.ports import CallPlace, Transaction
from tests.fakes.stores.usage import MemoryBook

T = TypeVar("T")

_Request = tuple[str, str, str, str]


@dataclass(slots=True)
class _Data:
    """Everything; the keys say whose it is."""

    tools: dict[tuple[str, str], Tool] = field(default_factory=dict)
    secrets: dict[tuple[str, str], SealedSecret] = field(default_factory=dict)
    narrowings: dict[str, Narrowing] = field(default_factory=dict)
    calls: dict[tuple[Scope, str], ToolCall] = field(default_factory=dict)
    drafts: dict[tuple[Scope, str], Draft] = field(default_factory=dict)
    versions: dict[tuple[Scope, str, int], Version] = field(default_factory=dict)
    servers: dict[tuple[str, str], McpServer] = field(default_factory=dict)
    known: dict[tuple[str, str], tuple[KnownTool, ...]] = field(default_factory=dict)
    replies: dict[_Request, tuple[bytes, bytes]] = field(default_factory=dict)

    def copied(self) -> "_Data":
        """Copy every table, not the frozen rows in them."""
        return _Data(**{item.name: copy(getattr(self, item.name)) for item in fields(self)})


class InMemoryStore:
    """A Store that forgets everything with the process."""

    def __init__(self) -> None:
        self._data = _Data()
        self._book = MemoryBook()
        self._lock = asyncio.Lock()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy, so that what it writes is lost."""
        return work(_Transaction(self._data.copied(), scope, self._book.copy()))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy and keep the copy when it returns."""
        async with self._lock:
            draft, book = self._data.copied(), self._book.copy()
            result = work(_Transaction(draft, scope, book))
            self._data, self._book = draft, book
        return result

    async def calls_of(
        self, tenant: str, wanted: CallQuery, *, before: CallPlace | None, limit: int
    ) -> list[tuple[Scope, ToolCall]]:
        """List the calls of all agents of a tenant."""
        found = [
            (scope, call.without_answer())
            for (scope, _), call in self._data.calls.items()
            if scope.tenant == tenant
            and _takes(wanted, call)
            and (before is None or (call.created_at, scope.agent, call.id) < before)
        ]
        found.sort(key=lambda row: (row[1].created_at, row[0].agent, row[1].id), reverse=True)
        return found[:limit]

    async def unfinished(self, *, limit: int) -> list[tuple[Scope, ToolCall]]:
        """List calls of all agents that have not ended."""
        found = [(scope, call) for (scope, _), call in self._data.calls.items() if call.ended_at is None]
        return found[:limit]

    async def sealed_otherwise(
        self, key_id: str, *, after: tuple[str, str], limit: int
    ) -> list[tuple[str, SealedSecret]]:
        """List secrets that another key seals."""
        found = sorted((place, row) for place, row in self._data.secrets.items() if place > after)
        return [(tenant, row) for (tenant, _), row in found if row.key_id != key_id][:limit]

    async def tools_of(self, scope: Scope) -> list[str]:
        """Return the ids of an agent's tools."""
        return [
            tool
            for (tenant, tool), one in self._data.tools.items()
            if (tenant, one.owner) == (scope.tenant, scope.agent)
        ]

    async def servers_of(self, scope: Scope) -> list[str]:
        """Return the ids of an agent's MCP servers."""
        return [
            server
            for (tenant, server), one in self._data.servers.items()
            if (tenant, one.owner) == (scope.tenant, scope.agent)
        ]

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Forget an agent's tools, servers and calls."""
        for server in await self.servers_of(scope):
            del self._data.servers[scope.tenant, server]
            self._data.known.pop((scope.tenant, server), None)
        for tool in await self.tools_of(scope):
            del self._data.tools[scope.tenant, tool]
        tables: tuple[dict[Any, Any], ...] = (self._data.calls, self._data.drafts, self._data.versions)
        for table in tables:
            for key in [key for key in table if key[0] == scope]:
                del table[key]
        return {}

    async def collect(self, *, ended_before: datetime, limit: int) -> int:
        """Forget old calls."""
        async with self._lock:
            doomed = [
                key
                for key, call in self._data.calls.items()
                if call.ended_at is not None and call.ended_at < ended_before
            ][:limit]
            for key in doomed:
                size = _bytes(self._data.calls.pop(key))
                owner = Owner(key[0].tenant, key[0].agent, "")
                self._book.charge([(owner, {"calls": -1, "call_bytes": -size})], {})
        return len(doomed)


def _bytes(call: ToolCall) -> int:
    listed = call.without_answer()
    size = len(codec.encode(listed)) + (0 if listed == call else len(codec.encode(call)))
    return ledger.taken(call, size)


class _Transaction:
    """A Transaction on dictionaries."""

    def __init__(self, data: _Data, scope: Scope, book: MemoryBook) -> None:
        self._data = data
        self._scope = scope
        self._book = book
        self._tab = Tab()

    def tool(self, tool_id: str) -> Tool | None:
        """Return a tool."""
        return self._data.tools.get((self._scope.tenant, tool_id))

    def tools(self, *, after: str, limit: int) -> list[Tool]:
        """List tools by id."""
        mine = [tool for (tenant, _), tool in self._data.tools.items() if tenant == self._scope.tenant]
        return sorted((tool for tool in mine if tool.id > after), key=lambda tool: tool.id)[:limit]

    def put_tool(self, tool: Tool) -> None:
        """Insert or replace a tool."""
        self._data.tools[self._scope.tenant, tool.id] = tool

    def drop_tool(self, tool_id: str) -> None:
        """Forget a tool."""
        self._data.tools.pop((self._scope.tenant, tool_id), None)

    def narrowing(self) -> Narrowing:
        """Return what the tenant's administrators leave."""
        return self._data.narrowings.get(self._scope.tenant, Narrowing())

    def put_narrowing(self, narrowing: Narrowing) -> None:
        """Keep what they leave."""
        self._data.narrowings[self._scope.tenant] = narrowing

    def secret(self, name: str) -> SealedSecret | None:
        """Return a secret."""
        return self._data.secrets.get((self._scope.tenant, name))

    def secrets(self, *, after: str, limit: int) -> list[SealedSecret]:
        """List secrets by name."""
        mine = {
            name: row for (tenant, name), row in self._data.secrets.items() if tenant == self._scope.tenant
        }
        return [mine[name] for name in sorted(mine) if name > after][:limit]

    def put_secret(self, secret: SealedSecret) -> None:
        """Insert or replace a secret."""
        self._data.secrets[self._scope.tenant, secret.info.name] = secret

    def drop_secret(self, name: str) -> None:
        """Forget a secret."""
        self._data.secrets.pop((self._scope.tenant, name), None)

    def draft(self, name: str) -> Draft | None:
        """Return a draft."""
        return self._data.drafts.get((self._scope, name))

    def drafts(self, *, after: str, limit: int, state: DraftState | None = None) -> list[Draft]:
        """List drafts by name."""
        mine = [draft for (scope, _), draft in self._data.drafts.items() if scope == self._scope]
        found = [one for one in mine if one.name > after and (state is None or one.state is state)]
        return sorted(found, key=lambda one: one.name)[:limit]

    def put_draft(self, draft: Draft) -> int:
        """Insert or replace a draft."""
        self._data.drafts[self._scope, draft.name] = draft
        return len(codec.encode(draft))

    def draft_size(self, name: str) -> int:
        """Return how large a draft is."""
        found = self.draft(name)
        return 0 if found is None else len(codec.encode(found))

    def drop_draft(self, name: str) -> None:
        """Forget a draft."""
        self._data.drafts.pop((self._scope, name), None)

    def version(self, name: str, number: int) -> Version | None:
        """Return a version; number 0 is the newest."""
        if number:
            return self._data.versions.get((self._scope, name, number))
        return next(iter(self.versions(name, before=0, limit=1)), None)

    def versions(self, name: str, *, before: int, limit: int) -> list[Version]:
        """List versions, newest first."""
        found = [
            one
            for (scope, draft, number), one in self._data.versions.items()
            if (scope, draft) == (self._scope, name) and (not before or number < before)
        ]
        return sorted(found, key=lambda one: -one.number)[:limit]

    def put_version(self, version: Version) -> int:
        """Insert or replace a version."""
        key = (self._scope, version.draft, version.number)
        before = self._data.versions.get(key)
        self._data.versions[key] = version
        return len(codec.encode(version)) - (0 if before is None else len(codec.encode(before)))

    def server(self, server_id: str) -> McpServer | None:
        """Return an MCP server."""
        return self._data.servers.get((self._scope.tenant, server_id))

    def servers(self, *, after: str, limit: int) -> list[McpServer]:
        """List MCP servers by id."""
        mine = [one for (tenant, _), one in self._data.servers.items() if tenant == self._scope.tenant]
        return sorted((one for one in mine if one.id > after), key=lambda one: one.id)[:limit]

    def put_server(self, server: McpServer) -> None:
        """Insert or replace an MCP server."""
        self._data.servers[self._scope.tenant, server.id] = server

    def drop_server(self, server_id: str) -> None:
        """Forget an MCP server and what is known of its tools."""
        self._data.servers.pop((self._scope.tenant, server_id), None)
        self._data.known.pop((self._scope.tenant, server_id), None)

    def known_tools(self, server_id: str) -> list[KnownTool]:
        """Return what is known of a server's tools."""
        return list(self._data.known.get((self._scope.tenant, server_id), ()))

    def put_known_tools(self, server: McpServer, known: Sequence[KnownTool]) -> None:
        """Replace what is known of a server's tools."""
        self._data.known[self._scope.tenant, server.id] = tuple(sorted(known, key=lambda one: one.tool))

    def call(self, call_id: str) -> ToolCall | None:
        """Return a call."""
        return self._data.calls.get((self._scope, call_id))

    def calls(self, wanted: CallQuery, *, before: tuple[datetime, str] | None, limit: int) -> list[ToolCall]:
        """List calls without answers, newest first."""
        found = [
            call.without_answer()
            for (scope, _), call in self._data.calls.items()
            if scope == self._scope
            and _takes(wanted, call)
            and (before is None or (call.created_at, call.id) < before)
        ]
        return sorted(found, key=lambda call: (call.created_at, call.id), reverse=True)[:limit]

    def put_call(self, call: ToolCall) -> tuple[bool, int]:
        """Insert or replace a call; return whether it is new, and how many bytes more it takes."""
        before = self._data.calls.get((self._scope, call.id))
        self._data.calls[self._scope, call.id] = call
        return before is None, _bytes(call) - (0 if before is None else _bytes(before))

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        self._tab.add(self._scope.charged, changes)

    def charge(self, agent: str, **changes: int) -> None:
        """Note what an agent of the tenant has more, or less."""
        tree = self._scope.tree if agent == self._scope.agent else ""
        self._tab.add(Owner(self._scope.tenant, agent, tree), changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        self._book.charge(self._tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return self._book.told(self._scope.charged, caps)

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request, or None."""
        known = self._data.replies.get(self._request(actor)) if actor.request_id else None
        if known is None:
            return None
        if known[0] != actor.digest:
            raise IdempotencyMismatch(f"request_id {actor.request_id} was used for a different request")
        return known[1]

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        if actor.request_id:
            self._data.replies[self._request(actor)] = (actor.digest, reply)
            self._tab.add(actor.charged(self._scope.tenant), {REPLIES: 1})

    def _request(self, actor: RequestIdentity) -> _Request:
        return self._scope.tenant, actor.agent, actor.method, actor.request_id


def _takes(wanted: CallQuery, call: ToolCall) -> bool:
    return (
        (not wanted.tool or call.tool == wanted.tool)
        and (not wanted.states or call.state in wanted.states)
        and (wanted.created_after is None or call.created_at >= wanted.created_after)
        and (wanted.created_before is None or call.created_at < wanted.created_before)
    )
