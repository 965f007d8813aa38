"""Maintenance: uploads that expired, trash that is due, contents and blobs that nothing needs any more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from services.chassis.auth.identity import Scope
from services.storage.core import file_tree, uploading
from services.storage.core.unit_of_work import UnitOfWork
from services.storage.model import RequestContext
from services.storage.service.changes import ChangeRunner

MAINTAINER = "kernel"
"""Who deletes what is due."""

_BATCH = 100


class UpkeepService:
    """Sweeps all scopes, one small transaction after the other."""

    def __init__(self, changes: ChangeRunner, *, trash_life: timedelta, blob_rest: timedelta) -> None:
        self._changes = changes
        self._trash_life = trash_life
        self._blob_rest = blob_rest

    async def sweep(self) -> None:
        """Sweep every scope once."""
        self._changes.meter.collected("replies", await self._changes.index.forget_replies())
        position: Scope | None = None
        while scopes := await self._changes.index.scopes(after=position, limit=_BATCH):
            for scope in scopes:
                await self.sweep_scope(scope)
            position = scopes[-1]

    async def sweep_scope(self, scope: Scope) -> None:
        """Sweep one scope."""
        call = RequestContext(scope, MAINTAINER)
        removed = {
            "uploads": await self._until_done(call, "ExpireUploads", self._expire_uploads),
            "trash": await self._until_done(call, "PurgeTrash", self._purge_trash),
            "contents": await self._changes.index.write(scope, lambda tx: tx.drop_unused_contents()),
            "blobs": await self._collect_blobs(scope),
        }
        for what, count in removed.items():
            self._changes.meter.collected(what, count)

    async def _until_done(self, call: RequestContext, method: str, work: Callable[[UnitOfWork], int]) -> int:
        total = 0
        while done := await self._changes.change(call, method, {}, int, work):
            total += done
        return total

    def _expire_uploads(self, unit: UnitOfWork) -> int:
        expired = unit.tx.expired_uploads(unit.now, limit=_BATCH)
        for upload in expired:
            uploading.abort(unit, upload.id)
        return len(expired)

    def _purge_trash(self, unit: UnitOfWork) -> int:
        due = unit.tx.expired_trash(unit.now - self._trash_life, limit=_BATCH)
        return sum(file_tree.purge_deletion(unit, root.trash_id) for root in due)

    async def _collect_blobs(self, scope: Scope) -> int:
        idle = await asyncio.to_thread(
            self._changes.blobs.idle, scope, seconds=self._blob_rest.total_seconds(), limit=10_000
        )
        total = 0
        for at in range(0, len(idle), _BATCH):
            total += await self._changes.collect(scope, idle[at : at + _BATCH])
        return total
