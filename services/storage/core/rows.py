"""Collections of records inside one transaction: put, find, delete."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from services.chassis import text_search
from services.chassis.db.rankings import Ranked
from services.chassis.embedding import DIMENSIONS, cosines, embed
from services.chassis.rpc.errors import InvalidRequest
from services.storage.core.content import sha256
from services.storage.core.filters import Filter, passes
from services.storage.core.requests import fingerprint
from services.storage.core.texts import query_words
from services.storage.core.unit_of_work import UnitOfWork
from services.storage.errors import AlreadyExists, EtagMismatch, QueryInvalid, RecordNotFound
from services.storage.model import Collection, Mode, Record, SearchMode
from services.storage.ports import Records

_BATCH = 500
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A record to write."""

    key: str
    fields: str
    text: str = ""
    vector: bytes = b""
    """Given by the caller; empty when not."""
    embedding: bytes = b""
    """Of `text`, by the built-in embedding; used where the collection's vectors are of its length."""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """The outcome of a put."""

    etags: tuple[str, ...]
    created: int


@dataclass(frozen=True, slots=True)
class Found:
    """A record and how near it is: 1 is best, 0 when nothing was compared."""

    record: Record
    score: float = 0.0
    rank: int = 0
    """Where it stands in the whole ranking; 0 is the best."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which records, and how to rank them."""

    keys: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    text: str = ""
    vector: bytes = b""
    mode: SearchMode = SearchMode.HYBRID
    min_score: float = 0.0

    def arguments(self) -> list[object]:
        """Return what makes two questions the same one, for telling repeats."""
        conditions = [[each.field, each.operator, each.value] for each in self.filters]
        return [self.keys, conditions, self.text, sha256(self.vector), self.mode, self.min_score]

    def fingerprint(self) -> str:
        """Digest the question, to tie a page token to it."""
        return fingerprint("question", {"question": self.arguments()}).hex()

    @property
    def ranked(self) -> bool:
        """Whether the answer is ordered by nearness rather than by key."""
        return bool(self.text or self.vector)


@dataclass(frozen=True, slots=True)
class Selected:
    """The records that a question selects, not yet ranked."""

    collection: Collection | None
    records: tuple[Record, ...]


def put(unit: UnitOfWork, name: str, rows: Sequence[Row], mode: Mode) -> Put:
    """Write records, all or none; the collection comes into being with its first.

    Raises AlreadyExists, RecordNotFound, EtagMismatch and InvalidRequest (a key twice, a vector of another
    length).
    """
    if len({row.key for row in rows}) != len(rows):
        raise InvalidRequest.field("records", "a key is given twice")
    known = unit.tx.collection(name)
    collection = known or Collection(name, unit.now, unit.now)
    old = {record.key: record for record in unit.tx.records_of(name, [row.key for row in rows])}
    length = collection.vector_length
    new: list[Record] = []
    for row in rows:
        before = old.get(row.key)
        _check_row(name, row, before, mode)
        vector, length = _vector(row, length)
        new.append(_record(row, before, vector, unit))
    grown = sum(record.size for record in new) - sum(record.size for record in old.values())
    unit.tx.put_records(name, new)
    unit.tx.put_collection(
        replace(
            collection,
            updated_at=unit.now,
            count=collection.count + len(new) - len(old),
            size=collection.size + grown,
            vector_length=length,
        )
    )
    unit.add(records=grown)
    unit.count(records=len(new) - len(old), collections=0 if known else 1)
    return Put(tuple(record.etag for record in new), created=len(new) - len(old))


def delete(unit: UnitOfWork, name: str, question: Question, *, everything: bool) -> int:
    """Delete the records that a question selects, or everything with the collection; return how many."""
    collection = unit.tx.collection(name)
    if collection is None:
        return 0
    if everything:
        unit.tx.drop_collection(name)
        unit.add(records=-collection.size)
        unit.count(records=-collection.count, collections=-1)
        return collection.count
    doomed = list(_candidates(unit.tx, name, question))
    size = sum(record.size for record in doomed)
    unit.tx.drop_records(name, [record.key for record in doomed])
    unit.tx.put_collection(
        replace(
            collection,
            updated_at=unit.now,
            count=collection.count - len(doomed),
            size=collection.size - size,
        )
    )
    unit.add(records=-size)
    unit.count(records=-len(doomed))
    return len(doomed)


def by_key(tx: Records, name: str, question: Question, *, after: str, limit: int) -> list[Found]:
    """List the records that a question selects, by key, after the key `after`."""
    found: list[Found] = []
    for record in _candidates(tx, name, question, after):
        found.append(Found(record))
        if len(found) == limit:
            break
    return found


def select(tx: Records, name: str, question: Question) -> Selected:
    """Fetch the records that ranking needs."""
    return Selected(tx.collection(name), tuple(_candidates(tx, name, question)))


def rank(selected: Selected, question: Question) -> list[Found]:
    """Rank records, nearest first. Pure, but may take a while: call it in a thread.

    Raises QueryInvalid when the text or the vector cannot be compared with this collection.
    """
    if selected.collection is None:
        return []
    target = _target(question, selected.collection.vector_length)
    lexical = bool(question.text) and question.mode is not SearchMode.SEMANTIC
    meaning = _by_meaning(selected.records, target) if target else {}
    wording = _by_words(selected.records, question.text) if lexical else {}
    scores = _merge(wording, meaning) if lexical and target else wording or meaning
    known = {record.key: record for record in selected.records}
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    good = ((key, score) for key, score in ranked if score >= question.min_score)
    return [Found(known[key], score, rank) for rank, (key, score) in enumerate(good)]


def found_again(
    tx: Records, name: str, question: Question, ranked: Sequence[Ranked], *, skip: int, limit: int
) -> list[Found]:
    """Return the records of a kept ranking from rank `skip` on that the question still selects."""
    found: list[Found] = []
    for at in range(skip, len(ranked), _BATCH):
        batch = ranked[at : at + _BATCH]
        here = {record.key: record for record in tx.records_of(name, [each.key for each in batch])}
        for number, each in enumerate(batch, start=at):
            record = here.get(each.key)
            if record is not None and _selects(question, record):
                found.append(Found(record, each.scores[0], number))
            if len(found) == limit:
                return found
    return found


def _merge(*scores: Mapping[str, float]) -> Mapping[str, float]:
    return text_search.fuse(*(sorted(each, key=lambda key: (-each[key], key)) for each in scores))


def _by_words(records: Sequence[Record], text: str) -> dict[str, float]:
    query = query_words(text)
    wanted = set(query)
    texts = [(record.key, text_search.words(record.text)) for record in records]
    matching = [(key, found) for key, found in texts if not wanted.isdisjoint(found)]
    scores = text_search.relevance(query, [found for _, found in matching], total=len(records))
    return {key: score for (key, _), score in zip(matching, scores, strict=True)}


def _by_meaning(records: Sequence[Record], target: bytes) -> dict[str, float]:
    scores = cosines(target, [record.vector for record in records])
    return {record.key: score for record, score in zip(records, scores, strict=True) if score > 0.0}


def _target(question: Question, length: int) -> bytes:
    """Return the vector to compare with; empty when words alone decide."""
    if question.vector:
        if length and len(question.vector) != length * _FLOAT_BYTES:
            raise QueryInvalid(
                f"the collection's vectors have {length} numbers", metadata={"vector_length": str(length)}
            )
        return question.vector
    if question.mode is SearchMode.LEXICAL:
        return b""
    if length in (0, DIMENSIONS):
        return embed(text_search.words(question.text))
    if question.mode is SearchMode.SEMANTIC:
        raise QueryInvalid(
            f"the collection's vectors are the caller's own: give a vector of {length} numbers",
            metadata={"vector_length": str(length)},
        )
    return b""


def _candidates(tx: Records, name: str, question: Question, after: str = "") -> Iterator[Record]:
    if question.keys:
        keys = sorted(key for key in question.keys if key > after)
        batches: Iterator[list[Record]] = iter([tx.records_of(name, keys)])
    else:
        batches = _scan(tx, name, after)
    for batch in batches:
        for record in batch:
            if _selects(question, record):
                yield record


def _selects(question: Question, record: Record) -> bool:
    return not question.filters or passes(orjson.loads(record.fields), question.filters)


def _scan(tx: Records, name: str, after: str) -> Iterator[list[Record]]:
    while batch := tx.records(name, after=after, limit=_BATCH):
        yield batch
        after = batch[-1].key


def _check_row(name: str, row: Row, old: Record | None, mode: Mode) -> None:
    where = {"collection": name, "key": row.key}
    if old is None:
        if row.etag or mode is Mode.REPLACE:
            raise RecordNotFound(f"{name!r} has no record {row.key!r}", metadata=where)
        return
    if mode is Mode.CREATE:
        raise AlreadyExists(f"{name!r} has a record {row.key!r} already", metadata=where)
    if row.etag and row.etag != old.etag:
        raise EtagMismatch.at(f"{name}/{row.key}", row.etag, old.etag)


def _vector(row: Row, length: int) -> tuple[bytes, int]:
    """Choose a record's vector and return it with the collection's length of vectors."""
    if row.vector:
        given = len(row.vector) // _FLOAT_BYTES
        if length not in (0, given):
            raise InvalidRequest.field("records", f"record {row.key!r}: a vector has {length} numbers here")
        return row.vector, given
    if row.embedding and length in (0, DIMENSIONS):
        return row.embedding, DIMENSIONS
    return b"", length


def _record(row: Row, old: Record | None, vector: bytes, unit: UnitOfWork) -> Record:
    return Record(
        key=row.key,
        fields=row.fields,
        created_at=old.created_at if old else unit.now,
        updated_at=unit.now,
        text=row.text,
        vector=vector,
        revision=old.revision + 1 if old else 1,
        untrusted=unit.untrusted,
    )
