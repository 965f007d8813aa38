"""Collections of records: put, query, delete, list."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from services.chassis.auth.identity import Scope
from services.chassis.db import rankings
from services.chassis.db.rankings import Ranked
from services.chassis.embedding import embed
from services.chassis.text_search import words
from services.storage.core import filters, rows
from services.storage.core.content import sha256
from services.storage.core.rows import Found, Put, Question, Row
from services.storage.model import Collection, Mode, RequestContext
from services.storage.service.changes import ChangeRunner


class RecordService:
    """The collections of a scope."""

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes

    async def put(self, call: RequestContext, collection: str, new: Sequence[Row], mode: Mode) -> Put:
        """Write records, all or none.

        Raises AlreadyExists, RecordNotFound, EtagMismatch, InvalidRequest and QuotaExceeded.
        """
        ready = await asyncio.to_thread(_embed, new)
        digests = [
            [row.key, row.fields, row.text, sha256(row.vector) if row.vector else "", row.etag] for row in new
        ]
        return await self._changes.change(
            call,
            "PutRecords",
            {"collection": collection, "rows": digests, "mode": mode},
            Put,
            lambda unit: rows.put(unit, collection, ready, mode),
        )

    async def query(
        self,
        scope: Scope,
        collection: str,
        question: Question,
        *,
        after: str,
        skip: int,
        limit: int,
        ranking: str = "",
    ) -> list[Found]:
        """Find records: by key after the key `after`, or by nearness from rank `skip` on.

        The first page of a ranking keeps it under the id `ranking`, if given, and later ones go on with it:
        they neither skip nor repeat a record that did not change. Raises QueryInvalid and InvalidPageToken
        (the ranking is gone).
        """
        filters.check(question.filters)
        if not question.ranked:
            return await self._changes.read(
                scope, lambda tx: rows.by_key(tx, collection, question, after=after, limit=limit)
            )
        if skip and ranking:
            body = await self._changes.read(scope, lambda tx: tx.ranking(ranking))
            known = rankings.decode(body)
            return await self._changes.read(
                scope,
                lambda tx: rows.found_again(tx, collection, question, known, skip=skip, limit=limit),
            )
        selected = await self._changes.read(scope, lambda tx: rows.select(tx, collection, question))
        ranked = await asyncio.to_thread(rows.rank, selected, question)
        if ranking and len(ranked) >= skip + limit:
            body = rankings.encode([Ranked(found.record.key, (found.score,)) for found in ranked])
            await self._changes.index.write(scope, lambda tx: tx.keep_ranking(ranking, body))
        return ranked[skip : skip + limit]

    async def delete(
        self, call: RequestContext, collection: str, question: Question, *, everything: bool
    ) -> int:
        """Delete the records that a question selects, or the whole collection; return how many.

        Raises QueryInvalid.
        """
        filters.check(question.filters)
        return await self._changes.change(
            call,
            "DeleteRecords",
            {"collection": collection, "question": question.arguments(), "everything": everything},
            int,
            lambda unit: rows.delete(unit, collection, question, everything=everything),
        )

    async def collections(self, scope: Scope, *, after: str, limit: int) -> list[Collection]:
        """List collections by name, after the name `after`."""
        return await self._changes.read(scope, lambda tx: tx.collections(after=after, limit=limit))


def _embed(new: Sequence[Row]) -> list[Row]:
    return [
        replace(row, embedding=embed(words(row.text))) if row.text and not row.vector else row for row in new
    ]
