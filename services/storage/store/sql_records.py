"""Uploads, collections and records in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.times import from_micros, micros
from services.storage.model import Collection, Piece, Record, Upload
from services.storage.store.scoped import Scoped
from services.storage.store.sql_nodes import from_piece, to_piece
from services.storage.store.tables import CHUNKS, COLLECTIONS, RECORDS, UPLOADS


class SqlUploads(Scoped):
    """The Uploads part of a transaction."""

    def upload(self, upload_id: str) -> Upload | None:
        """Return an upload."""
        row = self._row(UPLOADS, id=upload_id)
        return codec.decode(Upload, row.body) if row else None

    def put_upload(self, upload: Upload) -> None:
        """Insert or replace an upload."""
        body = codec.encode(upload)
        self._upsert(UPLOADS, [{"id": upload.id, "expires_at": micros(upload.expires_at), "body": body}])

    def add_chunk(self, upload_id: str, offset: int, piece: Piece) -> None:
        """Add a chunk."""
        self._insert(CHUNKS, [{"upload_id": upload_id, "position": offset, **from_piece(piece)}])

    def chunk(self, upload_id: str, offset: int) -> Piece | None:
        """Return the chunk at an offset, without its data."""
        wanted = sa.select(CHUNKS.c.piece, CHUNKS.c.size).where(
            self._mine(CHUNKS), CHUNKS.c.upload_id == upload_id, CHUNKS.c.position == offset
        )
        row = self._conn.execute(wanted).first()
        return Piece(row.piece, row.size) if row else None

    def chunks(self, upload_id: str) -> tuple[Piece, ...]:
        """Return all chunks in order."""
        found = self._select(CHUNKS, CHUNKS.c.upload_id == upload_id).order_by(CHUNKS.c.position)
        return tuple(to_piece(row) for row in self._rows(found))

    def drop_upload(self, upload_id: str) -> None:
        """Forget an upload and its chunks."""
        self._remove(CHUNKS, upload_id=upload_id)
        self._remove(UPLOADS, id=upload_id)

    def expired_uploads(self, now: datetime, *, limit: int) -> list[Upload]:
        """List uploads that expired."""
        due = self._select(UPLOADS, UPLOADS.c.expires_at <= micros(now)).limit(limit)
        return [codec.decode(Upload, row.body) for row in self._rows(due)]


class SqlRecords(Scoped):
    """The Records part of a transaction."""

    def collection(self, name: str) -> Collection | None:
        """Return a collection."""
        row = self._row(COLLECTIONS, name=name)
        return _to_collection(row) if row else None

    def collections(self, *, after: str, limit: int) -> list[Collection]:
        """List collections by name."""
        found = self._select(COLLECTIONS, COLLECTIONS.c.name > after)
        return [_to_collection(row) for row in self._rows(found.order_by(COLLECTIONS.c.name).limit(limit))]

    def put_collection(self, collection: Collection) -> None:
        """Insert or replace a collection's sums."""
        row = {
            "name": collection.name,
            "created_at": micros(collection.created_at),
            "updated_at": micros(collection.updated_at),
            "count": collection.count,
            "size": collection.size,
            "vector_length": collection.vector_length,
        }
        self._upsert(COLLECTIONS, [row])

    def drop_collection(self, name: str) -> None:
        """Forget a collection and its records."""
        self._remove(RECORDS, collection=name)
        self._remove(COLLECTIONS, name=name)

    def records_of(self, collection: str, keys: Sequence[str]) -> list[Record]:
        """Return the records that exist out of `keys`, by key."""
        found = self._select(RECORDS, RECORDS.c.collection == collection, RECORDS.c.key.in_(keys))
        return [_to_record(row) for row in self._rows(found.order_by(RECORDS.c.key))]

    def records(self, collection: str, *, after: str, limit: int) -> list[Record]:
        """List records by key."""
        found = self._select(RECORDS, RECORDS.c.collection == collection, RECORDS.c.key > after)
        return [_to_record(row) for row in self._rows(found.order_by(RECORDS.c.key).limit(limit))]

    def put_records(self, collection: str, records: Sequence[Record]) -> None:
        """Insert or replace records by key."""
        rows = [
            {
                "collection": collection,
                "key": record.key,
                "fields": record.fields,
                "text": record.text,
                "vector": record.vector,
                "created_at": micros(record.created_at),
                "updated_at": micros(record.updated_at),
                "revision": record.revision,
                "untrusted": record.untrusted,
            }
            for record in records
        ]
        self._upsert(RECORDS, rows)

    def drop_records(self, collection: str, keys: Sequence[str]) -> None:
        """Forget records."""
        for at in range(0, len(keys), _BATCH):
            part = keys[at : at + _BATCH]
            self._delete(RECORDS, RECORDS.c.collection == collection, RECORDS.c.key.in_(part))


_BATCH = 1000


def _to_collection(row: sa.Row[Any]) -> Collection:
    return Collection(
        name=row.name,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        count=row._mapping["count"],  # noqa: SLF001 - `count` is a method of rows
        size=row.size,
        vector_length=row.vector_length,
    )


def _to_record(row: sa.Row[Any]) -> Record:
    return Record(
        key=row.key,
        fields=row.fields,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        text=row.text,
        vector=bytes(row.vector),
        revision=row.revision,
        untrusted=row.untrusted,
    )
