"""The store in RAM: for tests and throw-away kernels. Nothing survives the process."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.db.rankings import PER_AGENT
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Tab, Usage
from services.chassis.rpc.errors import IdempotencyMismatch
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.times import micros
from services.memory.model import Entry, Filter, Listed, Note, Order, Totals
from services.memory.ports import Position, Transaction
from tests.fakes.stores.usage import MemoryBook

T = TypeVar("T")

_Request = tuple[str, str, str]


@dataclass(slots=True)
class _Data:
    """Everything of one scope."""

    notes: dict[str, Note] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    rankings: dict[str, bytes] = field(default_factory=dict)
    replies: dict[_Request, tuple[bytes, bytes]] = field(default_factory=dict)

    def copied(self) -> "_Data":
        """Copy every table, not the frozen rows in them."""
        return _Data(**{item.name: copy(getattr(self, item.name)) for item in fields(self)})


class InMemoryStore:
    """A NoteStore that forgets everything with the process."""

    exclusive = True

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._data: defaultdict[Scope, _Data] = defaultdict(_Data)
        self._book = MemoryBook()
        self._lock = asyncio.Lock()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy, so that what it writes is lost."""
        return work(_Transaction(scope, self._copies(scope), self._book.copy()))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy and keep the copy when it returns."""
        async with self._lock:
            copies = self._copies(scope)
            book = self._book.copy()
            result = work(_Transaction(scope, copies, book))
            self._data.update(copies)
            self._book = book
        return result

    async def expiring(self, *, limit: int) -> list[Scope]:
        """Return scopes with expired notes."""
        now = self._clock.now()
        due = [
            scope
            for scope, data in self._data.items()
            if any(note.expired(now) for note in data.notes.values())
        ]
        return due[:limit]

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Forget a scope."""
        return {"notes": 1} if self._data.pop(scope, None) else {}

    async def written_by(self, writer: Scope, *, limit: int) -> list[Scope]:
        """Return scopes of others with notes that an agent wrote last."""
        return [
            scope
            for scope, data in self._data.items()
            if scope.tenant == writer.tenant
            and any(note.writer == writer.agent != scope.agent for note in data.notes.values())
        ][:limit]

    async def forget_writer(self, writer: Scope, owner: Scope) -> int:
        """Blank the writer of what an agent wrote in another scope."""
        notes = self._data[owner].notes
        theirs = [note for note in notes.values() if note.writer == writer.agent]
        notes.update({note.key: replace(note, writer="erased") for note in theirs})
        return len(theirs)

    async def collect(self) -> None:
        """Keep all answers: the process does not live that long."""

    def _copies(self, scope: Scope) -> "_Copies":
        return _Copies(self._data, scope.tenant)


class _Copies(dict[Scope, _Data]):
    """Copies of the scopes that a transaction touches, made when they are."""

    def __init__(self, data: Mapping[Scope, _Data], tenant: str) -> None:
        super().__init__()
        self._original = data
        self._tenant = tenant

    def of(self, agent: str) -> _Data:
        """Return the copy of an agent's data."""
        scope = Scope(self._tenant, agent)
        if scope not in self:
            self[scope] = self._original[scope].copied() if scope in self._original else _Data()
        return self[scope]


class _Transaction:
    """A Transaction on dictionaries."""

    def __init__(self, scope: Scope, copies: _Copies, book: MemoryBook) -> None:
        self._scope = scope
        self._book = book
        self._tab = Tab()
        self._copies = copies
        self._data = copies.of(scope.agent)

    @property
    def scope(self) -> Scope:
        """Whose notes they are."""
        return self._scope

    def note(self, key: str) -> Note | None:
        """Return a note."""
        return self._data.notes.get(key)

    def notes(self, keys: Sequence[str]) -> dict[str, Note]:
        """Return those notes that exist."""
        return {key: self._data.notes[key] for key in keys if key in self._data.notes}

    def etag(self, key: str) -> str:
        """Return the etag of a note."""
        note = self._data.notes.get(key)
        return note.etag if note else ""

    def put(self, note: Note, entry: Entry | None) -> None:
        """Insert or replace a note."""
        self._data.notes[note.key] = note
        if entry is not None:
            self._data.entries[note.key] = entry

    def drop(self, key: str) -> None:
        """Forget a note."""
        self._data.notes.pop(key, None)
        self._data.entries.pop(key, None)

    def pointing_at(self, key: str) -> list[str]:
        """Return the keys of the notes that link to a key."""
        notes = self._data.notes.values()
        return sorted(note.key for note in notes if any(link.key == key for link in note.fields.links))

    def listed(
        self, wanted: Filter, order: Order, *, after: Position | None, now: datetime, limit: int
    ) -> list[Listed]:
        """List notes that have not expired."""
        found = sorted(self._found(wanted, now), key=lambda note: _place(note, order))
        if after is not None:
            start = (-int(after[0]), after[1]) if order is Order.UPDATED else after
            found = [note for note in found if _place(note, order) > start]
        return [_listed(note) for note in found[:limit]]

    def matching(
        self, wanted: Filter, words: Sequence[str], *, now: datetime, limit: int
    ) -> list[tuple[Listed, str]]:
        """Return notes that hold any of `words`."""
        some = set(words)
        found = [(note, self._data.entries[note.key].words) for note in self._newest(wanted, now)]
        hits = [(_listed(note), text) for note, text in found if not some.isdisjoint(text.split())]
        return hits[:limit]

    def vectors(self, wanted: Filter, *, now: datetime, limit: int) -> list[tuple[Listed, bytes]]:
        """Return the embeddings of notes."""
        found = self._newest(wanted, now)[:limit]
        return [(_listed(note), self._data.entries[note.key].vector) for note in found]

    def keep_ranking(self, ranking: str, body: bytes) -> None:
        """Keep a ranking of a search under a new id."""
        self._data.rankings[ranking] = body
        for old in list(self._data.rankings)[:-PER_AGENT]:
            del self._data.rankings[old]

    def ranking(self, ranking: str) -> bytes | None:
        """Return a ranking that was kept, or None."""
        return self._data.rankings.get(ranking)

    def expired(self, now: datetime, *, limit: int) -> list[str]:
        """Return the keys of notes that have expired."""
        return sorted(note.key for note in self._data.notes.values() if note.expired(now))[:limit]

    def touch(self, times: Mapping[str, datetime]) -> None:
        """Note when some notes were last used."""
        for key, note in self.notes(list(times)).items():
            self._data.notes[key] = replace(note, accessed_at=times[key])

    def totals(self) -> Totals:
        """Return the running sums."""
        return self._data.totals

    def put_totals(self, totals: Totals) -> None:
        """Replace the running sums."""
        self._data.totals = totals

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        self._tab.add(self._scope.charged, changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        self._book.charge(self._tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return self._book.told(self._scope.charged, caps)

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request, or None."""
        replies = self._copies.of(actor.agent).replies
        known = replies.get(_request(actor)) if actor.request_id else None
        if known is None:
            return None
        if known[0] != actor.digest:
            raise IdempotencyMismatch(f"request_id {actor.request_id} was used for a different request")
        return known[1]

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        if actor.request_id:
            self._copies.of(actor.agent).replies[_request(actor)] = (actor.digest, reply)
            self._tab.add(actor.charged(self._scope.tenant), {REPLIES: 1})

    def _newest(self, wanted: Filter, now: datetime) -> list[Note]:
        return sorted(self._found(wanted, now), key=lambda note: _place(note, Order.UPDATED))

    def _found(self, wanted: Filter, now: datetime) -> Iterator[Note]:
        for note in self._data.notes.values():
            since = wanted.updated_after is None or note.updated_at >= wanted.updated_after
            if (
                since
                and not note.expired(now)
                and note.key.startswith(wanted.key_prefix)
                and wanted.category in ("", note.fields.category)
                and set(wanted.tags) <= set(note.fields.tags)
            ):
                yield note


def _request(actor: RequestIdentity) -> _Request:
    return actor.agent, actor.method, actor.request_id


def _listed(note: Note) -> Listed:
    return Listed(note.key, note.size, note.created_at, note.updated_at, note.fields.importance)


def _place(note: Note, order: Order) -> Position:
    if order is Order.KEY:
        return (note.key,)
    if order is Order.UPDATED:
        return (-micros(note.updated_at), note.key)
    return (micros(note.created_at), note.key)
