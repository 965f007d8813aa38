"""Use case: finding notes by words and by meaning."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.db import rankings
from services.chassis.db.rankings import Ranked
from services.chassis.runtime.clock import Clock
from services.memory.core.ranking import Candidates, Search, follow, rank
from services.memory.model import Hit, Link, Note, SearchMode
from services.memory.ports import Meter, NoteStore, Transaction
from services.memory.service.agent_caches import AgentCaches

MOST_TEXTS: Final = 2_000
"""Notes that are scored by their words: the last changed of those that hold a word of the query."""
MOST_VECTORS: Final = 50_000
"""Notes that are scored by meaning: the last changed ones."""
_THREADED: Final = 200
"""Candidates whose ranking runs in a thread."""


@dataclass(frozen=True, slots=True)
class Found:
    """A note that was found and whether it is in RAM."""

    hit: Hit
    note: Note
    resident: bool


@dataclass(frozen=True, slots=True)
class Room:
    """What a page holds at most, but always one hit."""

    hits: int
    bytes: int


class Searching:
    """Finds notes of one agent. Everything written before the call is seen."""

    def __init__(self, *, store: NoteStore, clock: Clock, meter: Meter, caches: AgentCaches) -> None:
        self._store = store
        self._clock = clock
        self._meter = meter
        self._caches = caches

    async def find(
        self, scope: Scope, search: Search, *, skip: int, limit: int, room: int, ranking: str = ""
    ) -> tuple[list[Found], int | None]:
        """Return hits from rank `skip` on, and the rank where the next page begins, None when none follows.

        A page has up to `limit` hits and `room` bytes, at least one hit. The first page keeps its ranking
        under the id `ranking`, if given, and later ones go on with it: they neither skip nor repeat a note
        that did not change. Raises QueryInvalid, InvalidPageToken (the ranking is gone) and DataCorrupt.
        """
        if skip and ranking:
            body = await self._store.read(scope, lambda tx: tx.ranking(ranking))
            hits = [_hit(each) for each in rankings.decode(body)]
        else:
            hits = await self._rank(scope, search)

        def show(tx: Transaction) -> tuple[list[tuple[Hit, Note]], int | None]:
            return _page(tx, hits, skip, Room(limit, room), self._clock.now())

        found, following = await self._store.read(scope, show)
        if ranking and not skip and following is not None:
            kept = rankings.encode([_ranked(hit) for hit in hits])
            await self._store.write(scope, lambda tx: tx.keep_ranking(ranking, kept))
        agent = self._caches.of(scope)
        for _, note in found:
            agent.used[note.key] = self._clock.now()
        return [Found(hit, note, note.key in agent.notes) for hit, note in found], following

    async def _rank(self, scope: Scope, search: Search) -> list[Hit]:
        words = search.words
        lexical, semantic = search.mode is not SearchMode.SEMANTIC, search.mode is not SearchMode.LEXICAL

        def gather(tx: Transaction) -> Candidates:
            now = self._clock.now()
            texts = tx.matching(search.wanted, words, now=now, limit=MOST_TEXTS) if lexical else []
            vectors = tx.vectors(search.wanted, now=now, limit=MOST_VECTORS) if semantic else []
            return Candidates(texts, vectors, tx.totals().count)

        candidates = await self._store.read(scope, gather)
        count = len(candidates.texts) + len(candidates.vectors)
        self._meter.searched(search.mode.value, count)
        hits = (
            await asyncio.to_thread(rank, search, candidates)
            if count > _THREADED
            else rank(search, candidates)
        )

        if not search.link_depth:
            return hits
        return await self._store.read(
            scope,
            lambda tx: follow(hits, search.link_depth, search.limit, lambda keys: self._links(tx, keys)),
        )

    def _links(self, tx: Transaction, keys: Sequence[str]) -> Mapping[str, Sequence[Link]]:
        """Return the links of some notes to notes that exist."""
        links = {key: note.fields.links for key, note in tx.notes(keys).items()}
        targets = {link.key for some in links.values() for link in some}
        now = self._clock.now()
        living = {key for key, note in tx.notes(sorted(targets)).items() if not note.expired(now)}
        return {key: [link for link in some if link.key in living] for key, some in links.items()}


def _ranked(hit: Hit) -> Ranked:
    return Ranked(hit.key, (hit.score, hit.lexical, hit.semantic), hit.linked_from)


def _hit(ranked: Ranked) -> Hit:
    score, lexical, semantic = ranked.scores
    return Hit(ranked.key, score, lexical, semantic, linked_from=ranked.origin)


def _page(
    tx: Transaction, hits: Sequence[Hit], skip: int, room: Room, now: datetime
) -> tuple[list[tuple[Hit, Note]], int | None]:
    """Fetch the notes of a page; hits that were deleted meanwhile are left out."""
    shown: list[tuple[Hit, Note]] = []
    used = 0
    for number, hit in enumerate(hits[skip:], start=skip):
        if len(shown) == room.hits:
            return shown, number
        note = tx.note(hit.key)
        if note is None or note.expired(now):
            continue
        used += note.size
        if used > room.bytes and shown:
            return shown, number
        shown.append((hit, note))
    return shown, None
