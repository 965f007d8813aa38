"""Search over one scope and, if asked for, over what others share with the caller."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from services.chassis.auth.identity import Scope
from services.chassis.rpc import names
from services.chassis.rpc.errors import PermissionDenied
from services.storage.core import file_tree, paths
from services.storage.core import search as finding
from services.storage.core.search import Gathered, Search
from services.storage.core.texts import query_words
from services.storage.errors import FileNotFound, PathInvalid
from services.storage.model import Hit, RequestContext, ShareGrant
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner
from services.storage.service.vacated import Visit

READ = "storage.read"
MAX_SHARED = 32
"""Shares that one search looks into."""


class SearchService:
    """Finds files."""

    def __init__(self, engine: ChangeRunner) -> None:
        self._engine = engine

    async def search(
        self, call: RequestContext, search: Search, *, shared: bool, skip: int, limit: int
    ) -> list[Hit]:
        """Rank files, best first, without the first `skip`.

        Raises PathInvalid, FileNotFound and QueryInvalid.
        """
        paths.check(search.directory)
        query_words(search.query)
        hits = await self._in_scope(call, search, search.directory)
        if shared:
            known = {(hit.scope, hit.node.id) for hit in hits}
            for scope, place in await self._shared(call):
                given = RequestContext(scope, call.agent)
                found = await self._given(given, replace(search, directory=place[0], only=place[1]))
                hits += [hit for hit in found if (hit.scope, hit.node.id) not in known]
                known |= {(hit.scope, hit.node.id) for hit in found}
            hits.sort(key=lambda hit: (-hit.score, hit.scope.agent, hit.node.path))
        return await self._illustrate(hits[skip : skip + limit], search.query)

    async def _given(self, call: RequestContext, search: Search) -> list[Hit]:
        """Search what a grant names; nothing when the name is no longer what it was given for."""
        try:
            return await self._in_scope(call, search, search.only or search.directory)
        except (PermissionDenied, FileNotFound):
            return []

    async def _in_scope(self, call: RequestContext, search: Search, path: str) -> list[Hit]:
        def work(tx: Transaction) -> Gathered:
            file_tree.find(tx, search.directory)
            return finding.gather(tx, search)

        gathered = await self._engine.read(call.scope, work, visit=Visit(call, (path,)))
        return await asyncio.to_thread(finding.rank, search, gathered)

    async def _illustrate(self, hits: list[Hit], query: str) -> list[Hit]:
        shown: dict[tuple[Scope, str], Hit] = {}
        for scope in {hit.scope for hit in hits}:
            own = [hit for hit in hits if hit.scope == scope]
            for hit in await self._engine.read(scope, _illustrator(own, query)):
                shown[hit.scope, hit.node.id] = hit
        return [shown[hit.scope, hit.node.id] for hit in hits]

    async def _shared(self, call: RequestContext) -> list[tuple[Scope, tuple[str, str]]]:
        """List where else to search: a scope with a directory, and one file in it or all."""
        found: list[tuple[Scope, tuple[str, str]]] = []
        for grant in await self._engine.access.grants():
            place = _place(grant, call)
            if place is None or not await self._may_read(grant):
                continue
            found.append(place)
            if len(found) == MAX_SHARED:
                break
        return found

    async def _may_read(self, grant: ShareGrant) -> bool:
        """Tell whether the grant counts: a policy may forbid what it gives."""
        try:
            await self._engine.access.require(READ, grant.resource)
        except PermissionDenied:
            return False
        return True


def _illustrator(hits: list[Hit], query: str) -> Callable[[Transaction], list[Hit]]:
    return lambda tx: finding.illustrate(tx, hits, query)


def _place(grant: ShareGrant, call: RequestContext) -> tuple[Scope, tuple[str, str]] | None:
    name = names.parse(grant.resource.rstrip("/"), field="grant")
    if READ not in grant.actions or name.collection != "files" or name.owner in ("", call.scope.agent):
        return None
    try:
        path = paths.check(name.id)
    except PathInvalid:
        return None
    scope = Scope(call.scope.tenant, name.owner)
    return (scope, (path, "")) if grant.prefix else (scope, (paths.parent(path), path))
