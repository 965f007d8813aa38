"""Search over one scope and, if asked for, over what others share with the caller."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from services.chassis.auth.identity import Scope
from services.chassis.db import rankings
from services.chassis.db.rankings import MOST_RANKED, Ranked
from services.chassis.rpc import names
from services.chassis.rpc.errors import PermissionDenied
from services.storage.core import file_tree, paths
from services.storage.core import search as core_search
from services.storage.core.search import Gathered, Search
from services.storage.core.texts import query_words
from services.storage.errors import FileNotFound, PathInvalid
from services.storage.model import Hit, Node, RequestContext, ShareGrant
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner
from services.storage.service.vacated import Visit

READ = "storage.read"
MAX_SHARED = 32
"""Shares that one search looks into."""
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where to search: a directory of a scope, and one file in it or all."""

    scope: Scope
    directory: str
    only: str = ""

    @property
    def path(self) -> str:
        """The file or the directory."""
        return self.only or self.directory

    def holds(self, path: str) -> bool:
        """Tell whether a path is searched here."""
        return path == self.only if self.only else paths.contains(self.directory, path)


class SearchService:
    """Finds files."""

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes

    async def search(
        self, call: RequestContext, search: Search, *, shared: bool, skip: int, limit: int, ranking: str = ""
    ) -> list[Hit]:
        """Return the files of a ranking from rank `skip` on, best first.

        The first page keeps its ranking under the id `ranking`, if given, and later ones go on with it: they
        neither skip nor repeat a file that did not change. What is gone, or no longer shared, is left out.
        Raises PathInvalid, FileNotFound, QueryInvalid and InvalidPageToken (the ranking is gone).
        """
        paths.check(search.directory)
        query_words(search.query)
        given = await self._shared(call) if shared else []
        if skip and ranking:
            body = await self._changes.read(call.scope, lambda tx: tx.ranking(ranking))
            places = [Place(call.scope, search.directory), *given]
            hits = await self._found_again(call, places, rankings.decode(body), skip, limit)
        else:
            ranked = await self._rank(call, search, given)
            if ranking and len(ranked) >= skip + limit:
                body = rankings.encode([_ranked(hit) for hit in ranked])
                await self._changes.index.write(call.scope, lambda tx: tx.keep_ranking(ranking, body))
            hits = ranked[skip : skip + limit]
        return await self._illustrate(hits, search.query)

    async def _rank(self, call: RequestContext, search: Search, given: Sequence[Place]) -> list[Hit]:
        hits = await self._in_scope(call, search, search.directory)
        known = {(hit.scope, hit.node.id) for hit in hits}
        for place in given:
            there = RequestContext(place.scope, call.agent)
            found = await self._given(there, replace(search, directory=place.directory, only=place.only))
            hits += [hit for hit in found if (hit.scope, hit.node.id) not in known]
            known |= {(hit.scope, hit.node.id) for hit in found}
        if given:
            hits.sort(key=lambda hit: (-hit.score, hit.scope.agent, hit.node.path))
        return [replace(hit, rank=rank) for rank, hit in enumerate(hits[:MOST_RANKED])]

    async def _found_again(
        self, call: RequestContext, places: Sequence[Place], ranked: Sequence[Ranked], skip: int, limit: int
    ) -> list[Hit]:
        """Return the hits of a kept ranking from rank `skip` on that the caller may still find."""
        found: list[Hit] = []
        for at in range(skip, len(ranked), _BATCH):
            batch = list(enumerate(ranked[at : at + _BATCH], start=at))
            nodes: dict[tuple[str, str], Node] = {}
            for place in places:
                mine = [each.key for _, each in batch if each.origin == place.scope.agent]
                for node in await self._still_there(call, place, mine):
                    nodes[place.scope.agent, node.id] = node
            for rank, each in batch:
                node_now = nodes.get((each.origin, each.key))
                if node_now is not None:
                    scope = Scope(call.scope.tenant, each.origin)
                    score, lexical, semantic = each.scores
                    found.append(Hit(scope, node_now, score, lexical, semantic, rank=rank))
                if len(found) == limit:
                    return found
        return found

    async def _still_there(self, call: RequestContext, place: Place, node_ids: Sequence[str]) -> list[Node]:
        """Return the nodes that are live and in a place; none when the caller may not look there now."""

        def work(tx: Transaction) -> list[Node]:
            nodes = [tx.node_of(node_id) for node_id in node_ids]
            return [node for node in nodes if node and not node.trash_id and place.holds(node.path)]

        there = RequestContext(place.scope, call.agent)
        try:
            return await self._changes.read(place.scope, work, visit=Visit(there, (place.path,)))
        except PermissionDenied:
            if place.scope == call.scope:
                raise
            return []

    async def _given(self, call: RequestContext, search: Search) -> list[Hit]:
        """Search what a grant names; nothing when the name is no longer what it was given for."""
        try:
            return await self._in_scope(call, search, search.only or search.directory)
        except (PermissionDenied, FileNotFound):
            return []

    async def _in_scope(self, call: RequestContext, search: Search, path: str) -> list[Hit]:
        def work(tx: Transaction) -> Gathered:
            file_tree.find(tx, search.directory)
            return core_search.gather(tx, search)

        gathered = await self._changes.read(call.scope, work, visit=Visit(call, (path,)))
        return await asyncio.to_thread(core_search.rank, search, gathered)

    async def _illustrate(self, hits: list[Hit], query: str) -> list[Hit]:
        shown: dict[tuple[Scope, str], Hit] = {}
        for scope in {hit.scope for hit in hits}:
            own = [hit for hit in hits if hit.scope == scope]
            for hit in await self._changes.read(scope, _illustrator(own, query)):
                shown[hit.scope, hit.node.id] = hit
        return [shown[hit.scope, hit.node.id] for hit in hits]

    async def _shared(self, call: RequestContext) -> list[Place]:
        """List where else to search."""
        found: list[Place] = []
        for grant in await self._changes.access.grants():
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
            await self._changes.access.require(READ, grant.resource)
        except PermissionDenied:
            return False
        return True


def _illustrator(hits: list[Hit], query: str) -> Callable[[Transaction], list[Hit]]:
    return lambda tx: core_search.illustrate(tx, hits, query)


def _ranked(hit: Hit) -> Ranked:
    return Ranked(hit.node.id, (hit.score, hit.lexical, hit.semantic), hit.scope.agent)


def _place(grant: ShareGrant, call: RequestContext) -> Place | None:
    name = names.parse(grant.resource.rstrip("/"), field="grant")
    if READ not in grant.actions or name.collection != "files" or name.owner in ("", call.scope.agent):
        return None
    try:
        path = paths.check(name.id)
    except PathInvalid:
        return None
    scope = Scope(call.scope.tenant, name.owner)
    return Place(scope, path) if grant.prefix else Place(scope, paths.parent(path), path)
