"""Register, change, find and forget tools."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from services.chassis.aside import aside
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import PermissionDenied
from services.tool.core.made_tools import own_tools, visible
from services.tool.core.schemas import check_schema
from services.tool.core.tool_search import ToolSearch
from services.tool.errors import (
    CapabilityMissing,
    EtagMismatch,
    ProviderLost,
    ToolExists,
    ToolNotFound,
)
from services.tool.model import DriverKind, Nothing, Tool, ToolQuery
from services.tool.ports import Access, Transaction
from services.tool.service.dependencies import Dependencies
from services.tool.service.leases import LeaseManager
from services.tool.service.tool_changes import ToolChanges

CALL: Final = "tool.call"
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """A tool, and whether it can be called now."""

    tool: Tool
    unavailable: str
    """Why not, as an error reason; empty: it can."""
    isolation: str = ""
    """What keeps its code in; empty: it runs in no sandbox of the kernel's."""


class Registry:
    """The tools of each tenant, on top of those that come with the kernel."""

    def __init__(
        self, deps: Dependencies, leases: LeaseManager, access: Access, given: Sequence[Tool]
    ) -> None:
        self._deps = deps
        self._given = {tool.id: tool for tool in given}
        self._leases = leases
        self._access = access
        self.changes = ToolChanges(deps)
        self._watchers: list[Callable[[str, str], None]] = []

    def watch(self, removed: Callable[[str, str], None]) -> None:
        """Call `removed(tenant, tool)` after a tool has gone."""
        self._watchers.append(removed)

    def has_gone(self, tenant: str, tool_id: str) -> None:
        """Tell those who watch that a tool has gone."""
        for removed in self._watchers:
            removed(tenant, tool_id)

    async def register(
        self, scope: Scope, actor: RequestIdentity, tool: Tool, etag: str, *, allow_breaking: bool = False
    ) -> Shown:
        """Register a tool, or change it when `etag` is its current one.

        `allow_breaking`: also where that breaks calls under way. Raises ToolExists, ToolNotFound,
        EtagMismatch, SchemaInvalid, CapabilityMissing, ToolInUse, QuotaExceeded, PermissionDenied,
        IdempotencyMismatch.
        """
        tool = await self.prepare(scope, actor, tool)
        breach = await self.changes.breach(scope, tool, etag) if etag else None
        refusal = None if allow_breaking else self.changes.refusal(scope, tool, breach)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Tool:
            known = tx.tool(tool.id)
            _must_not_be_drafted(tx, tool.id, actor.agent)
            _none_of_a_servers(tx, tool.id)
            if etag:
                current = _current(known, tool.id, etag, actor)
                if refusal is not None:
                    raise refusal
                made = replace(
                    tool,
                    owner=current.owner,
                    created_at=current.created_at,
                    updated_at=now,
                    version=current.version + 1,
                )
            else:
                if known is not None:
                    raise ToolExists(f"tools/{tool.id} exists already", metadata={"tool": f"tools/{tool.id}"})
                tx.charge(actor.agent, tools=1)
                made = replace(tool, owner=actor.agent, created_at=now, updated_at=now, version=1)
            tx.put_tool(made)
            return made

        kept = await self._deps.once(scope, actor, Tool, work)
        if breach is not None:
            self.changes.has_broken(scope, kept)
        return self._shown(scope, kept)

    async def prepare(self, scope: Scope, actor: RequestIdentity, tool: Tool) -> Tool:
        """Check a tool that is to be registered and return it as it is kept.

        Raises ToolExists for a name of the kernel's own, SchemaInvalid, CapabilityMissing, PermissionDenied,
        and what its driver refuses with.
        """
        # In a thread: the longest schemas take some hundredths of a second.
        await asyncio.to_thread(check_schema, tool.parameters_schema, "parameters_schema", of_object=True)
        await asyncio.to_thread(check_schema, tool.result_schema, "result_schema", of_object=False)
        if tool.id in self._given:
            raise ToolExists(f"tools/{tool.id} comes with the kernel", metadata={"tool": f"tools/{tool.id}"})
        if tool.vouched and not actor.admin:
            raise PermissionDenied("only administrators vouch for a tool", metadata={"field": "tool.vouched"})
        if tool.driver.http is not None and tool.driver.http.secret_headers and not actor.admin:
            # Whoever chooses path and method of a request with the operator's key acts with that key.
            text = "only administrators send secrets with a tool's calls"
            raise PermissionDenied(text, metadata={"field": "tool.http.secret_headers"})
        if tool.driver.kind is DriverKind.PYTHON and not actor.admin:
            raise PermissionDenied(
                "an agent makes a Python tool as a draft: DraftTool, TestDraft and, for others, ShareDraft",
                metadata={"field": "tool.python"},
            )
        if tool.driver.kind is not DriverKind.PROVIDER:
            tool = await self._deps.driver(tool.driver.kind).prepare(scope, tool)
        return tool

    async def unregister(
        self, scope: Scope, actor: RequestIdentity, tool_id: str, etag: str, *, allow_missing: bool
    ) -> None:
        """Forget a tool. Raises ToolNotFound, EtagMismatch, PermissionDenied, IdempotencyMismatch."""
        if tool_id in self._given:
            raise PermissionDenied(f"tools/{tool_id} comes with the kernel")

        def work(tx: Transaction) -> Nothing:
            known = tx.tool(tool_id)
            _none_of_a_servers(tx, tool_id)
            if known is not None or not allow_missing:
                gone = _current(known, tool_id, etag, actor)
                tx.drop_tool(tool_id)
                tx.charge(gone.owner, tools=-1)
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)
        self.has_gone(scope.tenant, tool_id)

    async def get(self, scope: Scope, tool_id: str) -> Tool:
        """Return a tool. Raises ToolNotFound."""
        if tool_id in self._given:
            return self._given[tool_id]
        found = await self._deps.store.read(scope, lambda tx: visible(tx, scope.agent, tool_id))
        if found is None:
            raise _missing(tool_id)
        return found

    async def show(self, scope: Scope, tool_id: str) -> Shown:
        """Return a tool and whether it can be called. Raises ToolNotFound."""
        return self._shown(scope, await self.get(scope, tool_id))

    async def page(self, scope: Scope, query: ToolQuery, *, after: str, limit: int) -> list[Shown]:
        """List the tools that the caller may call, by id."""
        found: list[Shown] = []
        last = after
        while len(found) < limit:
            batch = await self._batch(scope, last)
            wanted = [tool for tool in batch if self._matches(scope, query, tool)]
            allowed = await asyncio.gather(*(self._access.may(CALL, f"tools/{tool.id}") for tool in wanted))
            found += [self._shown(scope, tool) for tool, may in zip(wanted, allowed, strict=True) if may]
            if len(batch) < _BATCH:
                break
            last = batch[-1].id
        return found[:limit]

    async def search(self, scope: Scope, query: ToolQuery, words: str, *, limit: int) -> list[Shown]:
        """List the tools that the caller may call and that have some of the words, best first."""
        search, last = ToolSearch(words), ""
        while not search.full:
            batch = await self._batch(scope, last)
            wanted = [tool for tool in batch if self._matches(scope, query, tool)]
            await aside(partial(search.add, wanted))
            if len(batch) < _BATCH:
                break
            last = batch[-1].id
        best = await aside(search.best)
        found: list[Shown] = []
        for start in range(0, len(best), limit):
            ids = best[start : start + limit]
            allowed = await asyncio.gather(*(self._access.may(CALL, f"tools/{name}") for name in ids))
            found += await self._still(scope, [name for name, may in zip(ids, allowed, strict=True) if may])
            if len(found) >= limit:
                break
        return found[:limit]

    async def _still(self, scope: Scope, ids: Sequence[str]) -> list[Shown]:
        """Return the tools of some ids, in their order, as far as they are still registered."""
        own = await self._deps.store.read(
            scope, lambda tx: {name: visible(tx, scope.agent, name) for name in ids}
        )
        found = [self._given.get(name) or own[name] for name in ids]
        return [self._shown(scope, tool) for tool in found if tool is not None]

    async def _batch(self, scope: Scope, after: str) -> Sequence[Tool]:
        def look(tx: Transaction) -> dict[str, Tool]:
            everybodys = {tool.id: tool for tool in tx.tools(after=after, limit=_BATCH)}
            own = {tool.id: tool for tool in own_tools(tx, scope.agent, after=after, limit=_BATCH)}
            return everybodys | own

        registered = await self._deps.store.read(scope, look)
        given = [tool for tool in self._given.values() if tool.id > after]
        return sorted([*given, *registered.values()], key=lambda tool: tool.id)[:_BATCH]

    def _matches(self, scope: Scope, query: ToolQuery, tool: Tool) -> bool:
        text = f"{tool.id} {tool.title} {tool.description}".lower()
        return (
            (not query.ids or tool.id in query.ids)
            and query.labels.items() <= tool.labels.items()
            and all(word in text for word in query.words)
            and not (query.available_only and self._unavailable(scope, tool))
        )

    def _shown(self, scope: Scope, tool: Tool) -> Shown:
        isolation = self._deps.isolation() if tool.driver.is_sandboxed else ""
        return Shown(tool, self._unavailable(scope, tool), isolation)

    def _unavailable(self, scope: Scope, tool: Tool) -> str:
        if tool.driver.kind is DriverKind.PROVIDER:
            return "" if self._leases.connected(scope.tenant, tool) else ProviderLost.reason
        driver = self._deps.drivers.get(tool.driver.kind)
        return CapabilityMissing.reason if driver is None else driver.problem(scope, tool)


def _none_of_a_servers(tx: Transaction, tool_id: str) -> None:
    """Refuse to touch, or to look like, a tool of an MCP server. Raises PermissionDenied."""
    server, dot, _ = tool_id.partition(".")
    if dot and tx.server(server) is not None:
        raise PermissionDenied(
            f"tools whose names begin with {server}. come from mcpservers/{server} alone",
            metadata={"server": f"mcpservers/{server}"},
        )


def _current(known: Tool | None, tool_id: str, etag: str, actor: RequestIdentity) -> Tool:
    if known is None:
        raise _missing(tool_id)
    if known.made is not None:
        raise PermissionDenied(
            f"tools/{tool_id} is a version of a draft: ShareDraft, RollBackTool and RevokeTool change it",
            metadata={"tool": f"tools/{tool_id}"},
        )
    if known.owner != actor.agent and not actor.admin:
        raise PermissionDenied(f"tools/{tool_id} belongs to agents/{known.owner}")
    if etag and etag != str(known.version):
        raise EtagMismatch(
            f"tools/{tool_id} has changed; read it again", metadata={"etag": str(known.version)}
        )
    return known


def _must_not_be_drafted(tx: Transaction, tool_id: str, agent: str) -> None:
    owner, _, name = tool_id.rpartition(".")
    if owner == agent and tx.draft(name) is not None:
        raise ToolExists(f"tools/{tool_id} is a draft", metadata={"tool": f"tools/{tool_id}"})


def _missing(tool_id: str) -> ToolNotFound:
    return ToolNotFound(f"there is no tool tools/{tool_id}", metadata={"tool": f"tools/{tool_id}"})
