"""Add, list, look at, accept and remove MCP servers.

Whoever may add a server accepts its tools as they are then. What changes afterwards is suspended until a
person has seen it: an agent cannot accept it, also not by adding the server again under its name.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.tool.core import pins
from services.tool.core.mcp_servers import Definition, KnownTool, McpServer, Offer, ServerState
from services.tool.drivers.mcp.link import Links, look
from services.tool.drivers.mcp.terms import Dialled
from services.tool.errors import CapabilityMissing, EtagMismatch, McpServerFailed, ToolChanged, ToolExists
from services.tool.model import Nothing, Tool
from services.tool.ports import Transaction
from services.tool.service.dependencies import Dependencies
from services.tool.service.registry import Registry, Shown
from services.tool.service.server_book import missing, seen_as, suspend

SERVERS: Final = "mcp_servers"
TOOLS: Final = "tools"
MOST_ADDED: Final = 4
"""Servers of one tenant that are being added at once."""


@dataclass(frozen=True, slots=True)
class ShownServer:
    """A server, and how it stands."""

    server: McpServer
    state: ServerState
    problem: str


@dataclass(frozen=True, slots=True)
class Review:
    """What a person looks at: each tool that is not as it was accepted, and the digest of all of it."""

    shown: ShownServer
    changes: tuple[KnownTool, ...]
    offered_sha256: str


class Servers:
    """The MCP servers of each tenant."""

    def __init__(self, deps: Dependencies, registry: Registry, links: Links | None) -> None:
        self._deps = deps
        self._registry = registry
        self._known_links = links
        self._adding: Counter[str] = Counter()

    @property
    def _links(self) -> Links:
        if self._known_links is None:
            raise CapabilityMissing("this kernel does not connect MCP servers", metadata={"driver": "mcp"})
        return self._known_links

    async def add(
        self, scope: Scope, actor: RequestIdentity, server: McpServer, etag: str, *, person: bool
    ) -> tuple[ShownServer, list[Shown]]:
        """Connect a server, or with its etag replace it, and take its tools.

        Raises ToolExists, ServerNotFound, EtagMismatch, McpServerFailed, EgressDenied, SandboxUnavailable,
        CapabilityMissing, QuotaExceeded, PermissionDenied, InvalidRequest, IdempotencyMismatch.
        """
        known = await self._deps.store.read(scope, lambda tx: tx.recall(actor))
        if known is None:
            await self._deps.store.read(scope, lambda tx: self._may_add(tx, actor, server, etag))
            with self._added_beside(scope.tenant):
                await self._connected(scope, actor, server, etag, person=person)
        found = await self._deps.store.read(scope, lambda tx: tx.server(server.id))
        if found is None:  # added once, and removed meanwhile
            raise missing(server.id)
        return self._shown(scope, found), [await self._registry.show(scope, tool) for tool in found.tools]

    async def remove(
        self,
        scope: Scope,
        actor: RequestIdentity,
        server_id: str,
        etag: str,
        *,
        allow_missing: bool,
        person: bool,
    ) -> None:
        """Forget a server and its tools; calls of them that run are stopped.

        Raises ServerNotFound, EtagMismatch, PermissionDenied, ToolChanged, IdempotencyMismatch.
        """
        gone: list[str] = []

        def work(tx: Transaction) -> Nothing:
            gone.clear()
            known = tx.server(server_id)
            if known is None and allow_missing:
                return Nothing()
            server = _current(known, server_id, etag, actor)
            if server.altered and not person:
                # Else an agent could have what a person must see forgotten, and add the server anew.
                raise ToolChanged(
                    f"mcpservers/{server_id} has changed: a person has to look at it, or remove it"
                )
            gone.extend(_drop(tx, server_id))
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)
        await self.ended(scope.tenant, [server_id])
        for tool in gone:
            self._registry.has_gone(scope.tenant, tool)

    async def page(self, scope: Scope, *, after: str, limit: int) -> list[ShownServer]:
        """List servers by id."""
        found = await self._deps.store.read(scope, lambda tx: tx.servers(after=after, limit=limit))
        return [self._shown(scope, server) for server in found]

    async def review(self, scope: Scope, server_id: str) -> Review:
        """Return what a server offers otherwise than it was accepted. Raises ServerNotFound."""

        def work(tx: Transaction) -> tuple[McpServer, list[KnownTool]]:
            server = tx.server(server_id)
            if server is None:
                raise missing(server_id)
            return server, tx.known_tools(server_id)

        server, known = await self._deps.store.read(scope, work)
        changes = tuple(each for each in known if each.changed)
        return Review(self._shown(scope, server), changes, pins.offer_digest(server.offered_pin, known))

    async def accept(self, scope: Scope, actor: RequestIdentity, server_id: str, digest: str) -> Review:
        """Accept exactly what a person has seen of a server.

        Raises ServerNotFound, EtagMismatch, QuotaExceeded, IdempotencyMismatch.
        """
        gone: list[str] = []

        def work(tx: Transaction) -> Nothing:
            gone.clear()
            server = tx.server(server_id)
            if server is None:
                raise missing(server_id)
            known = tx.known_tools(server_id)
            if pins.offer_digest(server.offered_pin, known) != digest:
                raise EtagMismatch(f"mcpservers/{server_id} offers something else by now; look at it again")
            before = set(server.tools)
            now = replace(server, version=server.version + 1, pin=server.offered_pin)
            taken = self._take(
                tx, now, [Definition(each.tool, each.offered) for each in known if each.offered]
            )
            gone.extend(before - set(taken.tools))
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)
        for tool in gone:
            self._registry.has_gone(scope.tenant, tool)
        review = await self.review(scope, server_id)
        link = self._links.known(scope.tenant, server_id)
        if link is not None and link.opened is not None:
            link.opened.server = review.shown.server
        return review

    def end_owner(self, owner: Scope) -> None:
        """Remove the servers of an agent that was killed: nobody answers for them any more."""
        if self._known_links is not None:
            self._known_links.keep(asyncio.create_task(self._without_owner(owner)))

    async def ended(self, tenant: str, servers: Sequence[str]) -> None:
        """End the sessions with servers that are no more."""
        if self._known_links is not None:
            for server_id in servers:
                await self._known_links.forget(tenant, server_id)

    async def stop(self) -> None:
        """End all sessions."""
        if self._known_links is not None:
            await self._known_links.stop()

    async def sweep(self) -> None:
        """End the sessions that nobody uses."""
        if self._known_links is not None:
            await self._known_links.sweep()

    async def _without_owner(self, owner: Scope) -> None:
        for server_id in await self._deps.store.servers_of(owner):
            # A kill that is missed is made up for by the purge.
            gone = await self._deps.write(owner, partial(_drop, server_id=server_id))
            await self.ended(owner.tenant, [server_id])
            for tool in gone:
                self._registry.has_gone(owner.tenant, tool)

    def _may_add(self, tx: Transaction, actor: RequestIdentity, server: McpServer, etag: str) -> None:
        """Refuse, before anything is reached, what would be refused afterwards."""
        if problem := pins.server_id_problem(server.id):
            raise InvalidRequest.field("server.name", problem)
        known = tx.server(server.id)
        if etag:
            _current(known, server.id, etag, actor)
        elif known is not None:
            raise ToolExists(f"mcpservers/{server.id} exists already")
        elif others := [tool for tool in tx.tools(after=f"{server.id}.", limit=1) if _below(tool, server.id)]:
            # They would look like the server's own.
            raise ToolExists(
                f"tools/{others[0].id} is none of the server's", metadata={"tool": f"tools/{others[0].id}"}
            )
        reached_before = known.stdio if known is not None else None
        if server.stdio is not None and not actor.admin and server.stdio != reached_before:
            raise PermissionDenied(
                "only administrators say which programs are run on the kernel's machine",
                metadata={"field": "server.stdio"},
            )

    @contextmanager
    def _added_beside(self, tenant: str) -> Iterator[None]:
        """Bound how many servers are being reached that nobody counts yet. Raises McpServerFailed."""
        if self._adding[tenant] >= MOST_ADDED:
            raise McpServerFailed("too many MCP servers are being added at once", retry_after=1.0)
        self._adding[tenant] += 1
        try:
            yield
        finally:
            self._adding[tenant] -= 1
            self._adding += Counter()  # forgets those that are at zero

    async def _connected(
        self, scope: Scope, actor: RequestIdentity, server: McpServer, etag: str, *, person: bool
    ) -> None:
        dialled = await self._links.dials.dial(scope.tenant, server)
        try:
            offer = await look(dialled, server)
            kept = await self._deps.once(
                scope, actor, McpServer, lambda tx: self._keep(tx, actor, server, etag, offer, person=person)
            )
        except BaseException:
            await dialled.session.close()
            raise
        await self._use(scope.tenant, kept, dialled, offer)

    def _keep(
        self,
        tx: Transaction,
        actor: RequestIdentity,
        server: McpServer,
        etag: str,
        offer: Offer,
        *,
        person: bool,
    ) -> McpServer:
        self._may_add(tx, actor, server, etag)
        known = tx.server(server.id)
        now = self._deps.clock.now()
        if known is None:
            tx.charge(actor.agent, **{SERVERS: 1})
            made = replace(server, owner=actor.agent, created_at=now, version=1, pin=offer.pin)
        else:
            made = replace(
                server,
                owner=known.owner,
                created_at=known.created_at,
                version=known.version + 1,
                pin=offer.pin if person else known.pin,
                tools=known.tools,
            )
        seen = pins.compared(tx.known_tools(server.id), offer.definitions)
        made = seen_as(made, seen, offer)
        if known is None or person:
            return self._take(tx, made, offer.definitions)
        return self._retake(tx, made, seen)

    def _take(self, tx: Transaction, server: McpServer, offered: Sequence[Definition]) -> McpServer:
        """Accept what a server offers: its tools become these."""
        before = {tool: tx.tool(tool) for tool in server.tools}
        tools: dict[str, Tool] = {}
        accepted: list[KnownTool] = []
        passed = list(server.passed_over)
        for each in offered:
            tool = pins.tool_of(server, each)
            standing = tx.tool(tool.id)
            if standing is not None and tool.id not in before:
                passed.append(f"{each.tool}: tools/{tool.id} exists already")
                accepted.append(KnownTool(each.tool, each.text, each.text))
                continue
            accepted.append(KnownTool(each.tool, each.text, each.text))
            old = before.get(tool.id)
            tools[tool.id] = replace(
                tool,
                created_at=old.created_at if old is not None else self._deps.clock.now(),
                updated_at=self._deps.clock.now(),
                version=old.version + 1 if old is not None else 1,
            )
        for gone in before.keys() - tools.keys():
            tx.drop_tool(gone)
        for tool in tools.values():
            tx.put_tool(tool)
        tx.charge(server.owner, **{TOOLS: len(tools) - len(before)})
        kept = replace(
            server,
            tools=tuple(sorted(tools)),
            changed=tuple(each.tool for each in accepted if each.changed),
            passed_over=tuple(passed),
        )
        tx.put_server(kept)
        tx.put_known_tools(kept, accepted)
        return kept

    def _retake(self, tx: Transaction, server: McpServer, seen: tuple[KnownTool, ...]) -> McpServer:
        """Give a server other settings, and leave what was accepted of it as it is."""
        for each in seen:
            old = tx.tool(pins.tool_id(server.id, each.tool)) if each.accepted else None
            if old is not None:
                tool = pins.tool_of(server, Definition(each.tool, each.accepted))
                tx.put_tool(replace(tool, created_at=old.created_at, version=old.version + 1))
        tx.put_server(server)
        tx.put_known_tools(server, seen)
        suspend(tx, server, seen)
        return server

    async def _use(self, tenant: str, server: McpServer, dialled: Dialled, offer: Offer) -> None:
        """Let calls have the session that was opened to look at the server."""
        await self._links.forget(tenant, server.id)
        link = self._links.of(tenant, server.id)
        self._links.make_room(link)
        link.adopt(dialled, server, offer)

    def _shown(self, scope: Scope, server: McpServer) -> ShownServer:
        link = self._known_links.known(scope.tenant, server.id) if self._known_links is not None else None
        problems = [f"{name} is not as it was accepted" for name in server.changed]
        if server.pin != server.offered_pin:
            problems.insert(0, "the server itself is not the one that was accepted")
        problems += server.passed_over
        state = ServerState.CHANGED if server.altered else ServerState.READY
        if self._known_links is not None and self._known_links.dials.problem:
            state, problems = ServerState.FAILED, [self._known_links.dials.problem]
        elif link is not None and link.problem:
            state, problems = ServerState.FAILED, [link.problem, *problems]
        elif link is not None and link.connecting and not server.altered:
            state = ServerState.CONNECTING
        return ShownServer(server, state, pins.problem_text(problems))


def _drop(tx: Transaction, server_id: str) -> tuple[str, ...]:
    """Forget a server with its tools; returns their ids."""
    server = tx.server(server_id)
    if server is None:
        return ()
    for tool in server.tools:
        tx.drop_tool(tool)
    tx.drop_server(server_id)
    tx.charge(server.owner, **{SERVERS: -1, TOOLS: -len(server.tools)})
    return server.tools


def _below(tool: Tool, server_id: str) -> bool:
    return tool.id.startswith(f"{server_id}.")


def _current(known: McpServer | None, server_id: str, etag: str, actor: RequestIdentity) -> McpServer:
    if known is None:
        raise missing(server_id)
    if known.owner != actor.agent and not actor.admin:
        raise PermissionDenied(f"mcpservers/{server_id} belongs to agents/{known.owner}")
    if etag and etag != str(known.version):
        raise EtagMismatch(
            f"mcpservers/{server_id} has changed; read it again", metadata={"etag": str(known.version)}
        )
    return known
