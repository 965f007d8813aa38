"""Several files of a scope changed as one write."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.storage.core import change_sets, paths
from services.storage.core.change_sets import ChangeSet, Removal
from services.storage.core.file_tree import Write
from services.storage.model import RequestContext
from services.storage.service.changes import ChangeRunner, PreparedContent
from services.storage.service.vacated import file_name


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of one file."""

    path: str
    etag: str
    """What it was read at; empty: there must be no such file."""
    data: bytes | None
    """Its new bytes; None: it goes to the trash."""


class ChangeSetService:
    """Makes changes that hold together or not at all."""

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes

    async def commit(self, call: RequestContext, edits: Sequence[Edit], comment: str) -> ChangeSet:
        """Make all changes, or none.

        Raises PathInvalid, InvalidRequest, PermissionDenied, FileNotFound, AlreadyExists, WrongFileKind,
        EtagMismatch, QuotaExceeded and IdempotencyMismatch.
        """
        for edit in edits:
            paths.check_entry(edit.path)
        await self._require(call, edits)
        prepared = [None if edit.data is None else await self._changes.prepare(edit.data) for edit in edits]
        commands = tuple(_command(*pair, comment) for pair in zip(edits, prepared, strict=True))
        change_sets.check(commands)
        blobs = [piece for content in prepared if content for piece in content.blobs]
        arguments = {
            "edits": [
                (edit.path, edit.etag, content.content.digest if content else None)
                for edit, content in zip(edits, prepared, strict=True)
            ],
            "comment": comment,
        }
        return await self._changes.change(
            call,
            "WriteFiles",
            arguments,
            ChangeSet,
            lambda unit: change_sets.apply(unit, commands),
            blob_upload=self._changes.blob_upload(call.scope, blobs),
            touches=tuple(edit.path for edit in edits),
        )

    async def _require(self, call: RequestContext, edits: Sequence[Edit]) -> None:
        """Ask for each file: a right on the directory does not outweigh a rule about one file in it."""
        wanted = [("storage.delete" if edit.data is None else "storage.write", edit.path) for edit in edits]
        require = self._changes.access.require
        await asyncio.gather(*(require(action, file_name(call.scope, path)) for action, path in wanted))


def _command(edit: Edit, content: PreparedContent | None, comment: str) -> Write | Removal:
    if content is None:
        return Removal(edit.path, edit.etag)
    return Write(edit.path, content.content, content.text, etag=edit.etag, comment=comment)
