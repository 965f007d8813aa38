"""Changes of notes inside one transaction: put, update, link, delete, expire.

Every change returns what the RAM must learn: the notes that are new and the keys that are gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from services.chassis.embedding import embed
from services.chassis.rpc.errors import QuotaExceeded
from services.chassis.text_search import words
from services.memory.errors import AlreadyExists, EtagMismatch, NoteNotFound
from services.memory.model import Entry, Fields, Link, Mode, Note, Nothing, Totals
from services.memory.ports import Transaction

T = TypeVar("T")

INDEXED_CHARACTERS = 32 * 1024
"""How much of a content search knows."""

MOST_LINKS = 256


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """What a change depends on beside its arguments."""

    now: datetime
    writer: str
    """Id of the agent that makes the change."""
    new_nonce: Callable[[], str]
    untrusted: bool = False
    """Whether nobody vouches for what the writer leaves."""


@dataclass(frozen=True, slots=True)
class Effect(Generic[T]):
    """What a change did."""

    answer: T
    changed: tuple[Note, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A note as written, without its content."""

    note: Note
    created: bool


def describe(fields: Fields) -> Entry:
    """Work out what search knows about a note. Takes milliseconds for a long text."""
    text = "\n".join((fields.content[:INDEXED_CHARACTERS], fields.context, *fields.keywords))
    found = words(text)
    return Entry(" ".join(found), embed(found))


def find(tx: Transaction, key: str, now: datetime, etag: str = "") -> Note:
    """Return a note.

    Raises NoteNotFound, and EtagMismatch when `etag` is given and stale.
    """
    note = tx.note(key)
    if note is None or note.expired(now):
        raise NoteNotFound.of(key)
    if etag and etag != note.etag:
        raise EtagMismatch.of(key, expected=etag, current=note.etag)
    return note


def put(
    tx: Transaction, key: str, fields: Fields, entry: Entry, *, mode: Mode, etag: str, around: ChangeContext
) -> Effect[Written]:
    """Write a whole note.

    Raises AlreadyExists, NoteNotFound, EtagMismatch and QuotaExceeded.
    """
    stored = tx.note(key)
    living = stored if stored and not stored.expired(around.now) else None
    if living is not None and mode is Mode.CREATE:
        raise AlreadyExists.of(key)
    if living is None and (etag or mode is Mode.REPLACE):
        raise NoteNotFound.of(key)
    if living is not None and etag and etag != living.etag:
        raise EtagMismatch.of(key, expected=etag, current=living.etag)
    if living is not None:
        note = replace(_next(living, fields, around), untrusted=around.untrusted)  # nothing of it stays
    else:
        now = around.now
        note = Note(key, fields, now, now, now, around.new_nonce(), around.writer, fields.size)
        note = replace(note, untrusted=around.untrusted)
    _account(tx, stored, note)
    tx.put(note, entry)
    return Effect(Written(note.bare(), created=living is None), (note,))


def update(
    tx: Transaction, key: str, changes: Mapping[str, Any], *, etag: str, around: ChangeContext
) -> Effect[Written]:
    """Change named fields of a note.

    Raises NoteNotFound, EtagMismatch and QuotaExceeded.
    """
    old = find(tx, key, around.now, etag)
    note = _next(old, replace(old.fields, **changes), around)
    _account(tx, old, note)
    searched = not changes.keys().isdisjoint({"content", "context", "keywords"})
    tx.put(note, describe(note.fields) if searched else None)
    return Effect(Written(note.bare(), created=False), (note,))


def link(
    tx: Transaction,
    key: str,
    add: Sequence[Link],
    remove: Sequence[str],
    *,
    both_ways: bool,
    etag: str,
    around: ChangeContext,
) -> Effect[Written]:
    """Add and remove links.

    Raises NoteNotFound (either end of a link that is added), EtagMismatch and QuotaExceeded.
    """
    old = find(tx, key, around.now, etag)
    for item in add:
        find(tx, item.key, around.now)
    before = {key: old}
    changed = _linked(old, add, remove)
    if both_ways:
        targets = dict.fromkeys((*(item.key for item in add), *remove))
        for other in tx.notes([target for target in targets if target != key]).values():
            before[other.key] = other
            back = [Link(key, item.kind, item.weight) for item in add if item.key == other.key]
            changed += _linked(other, back, [key] if other.key in remove else [])
    written: list[Note] = []
    for note in changed:
        count = len(note.fields.links)
        if count > MOST_LINKS:
            raise QuotaExceeded.of(tx.scope.agent, "links of one note", wanted=count, limit=MOST_LINKS)
        fresh = _next(note, note.fields, around)
        _account(tx, before[note.key], fresh)
        tx.put(fresh, None)
        written.append(fresh)
    answer = next((note for note in written if note.key == key), old)
    return Effect(Written(answer.bare(), created=False), tuple(written))


def delete(
    tx: Transaction, key: str, *, etag: str, allow_missing: bool, around: ChangeContext
) -> Effect[Nothing]:
    """Delete a note and the links that lead to it.

    Raises NoteNotFound (unless `allow_missing`) and EtagMismatch.
    """
    stored = tx.note(key)
    if stored is None or stored.expired(around.now):
        if allow_missing:
            return Effect(Nothing())
        raise NoteNotFound.of(key)
    find(tx, key, around.now, etag)
    return _remove(tx, [stored])


def expire(tx: Transaction, now: datetime, *, limit: int) -> Effect[int]:
    """Delete notes that have expired, with the links that lead to them; return how many."""
    doomed = tx.notes(tx.expired(now, limit=limit))
    effect = _remove(tx, list(doomed.values()))
    return Effect(len(doomed), effect.changed, effect.dropped)


def _next(old: Note, fields: Fields, around: ChangeContext) -> Note:
    return replace(
        old,
        fields=fields,
        size=fields.size,
        revision=old.revision + 1,
        updated_at=around.now,
        accessed_at=around.now,
        writer=around.writer,
        untrusted=old.untrusted or around.untrusted,
    )


def _linked(note: Note, add: Sequence[Link], remove: Sequence[str]) -> list[Note]:
    """Return the note with other links, or nothing when they are the same."""
    links = {item.key: item for item in note.fields.links if item.key not in remove}
    links |= {item.key: item for item in add}
    changed = tuple(links.values())
    if changed == note.fields.links:
        return []
    return [replace(note, fields=replace(note.fields, links=changed))]


def _remove(tx: Transaction, doomed: Sequence[Note]) -> Effect[Nothing]:
    keys = [note.key for note in doomed]
    changed: dict[str, Note] = {}
    for key in keys:
        tx.drop(key)
        for source in tx.pointing_at(key):
            note = changed.get(source) or tx.note(source)
            if note is None or source in keys:
                continue
            for shorter in _linked(note, [], [key]):
                changed[source] = replace(shorter, size=shorter.fields.size, revision=note.revision + 1)
    before = tx.totals()
    size, links = sum(note.size for note in doomed), sum(map(_link_count, doomed))
    for note in changed.values():
        stored = tx.note(note.key) or note
        size += stored.size - note.size
        links += _link_count(stored) - _link_count(note)
        tx.put(note, None)
    tx.put_totals(Totals(before.count - len(keys), before.bytes - size))
    tx.count(notes=-len(keys), note_bytes=-size, links=-links)
    return Effect(Nothing(), tuple(changed.values()), tuple(keys))


def _account(tx: Transaction, old: Note | None, new: Note) -> None:
    """Keep the sums."""
    before = tx.totals()
    grown, more = new.size - (old.size if old else 0), int(old is None)
    links = _link_count(new) - (_link_count(old) if old else 0)
    tx.put_totals(Totals(before.count + more, before.bytes + grown))
    tx.count(notes=more, note_bytes=grown, links=links)


def _link_count(note: Note) -> int:
    return len({link.key for link in note.fields.links})
