"""Big files in chunks, resumable."""

from dataclasses import replace
from datetime import timedelta

from services.chassis.auth.identity import Scope
from services.storage.core import paths, uploading
from services.storage.core.content import PIECE_BYTES, cut, is_inline, sha256
from services.storage.core.file_tree import Written
from services.storage.core.unit_of_work import UnitOfWork
from services.storage.core.uploading import Begin
from services.storage.errors import ChecksumMismatch, UploadNotFound
from services.storage.model import Content, Piece, RequestContext, Upload
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner

CHUNK_BYTES = PIECE_BYTES
"""Best and largest size of a chunk."""


class UploadService:
    """Unfinished uploads of a scope."""

    def __init__(self, changes: ChangeRunner, *, lifetime: timedelta) -> None:
        self._changes = changes
        self._lifetime = lifetime

    async def begin(self, call: RequestContext, command: Begin) -> Upload:
        """Start an upload.

        Raises PathInvalid, QuotaExceeded and what a write of the file would raise now.
        """
        paths.check_entry(command.path)
        return await self._changes.change(
            call,
            "BeginUpload",
            {"command": command},
            Upload,
            lambda unit: uploading.begin(unit, command, self._lifetime),
            touches=(command.path,),
        )

    async def take(
        self, call: RequestContext, upload_id: str, offset: int, data: bytes, checksum: str
    ) -> Upload:
        """Add a chunk. It is safe to repeat: the offset tells a repeat from a new chunk.

        Raises UploadNotFound, OffsetMismatch, ChecksumMismatch, InvalidRequest and QuotaExceeded.
        """
        digest = sha256(data)
        if checksum and checksum != digest:
            raise ChecksumMismatch("the chunk does not match `sha256`", metadata={"sha256": digest})
        whole = Piece(digest, len(data), data)
        inline = is_inline(len(data))
        piece = whole if inline else Piece(digest, len(data))
        blob_upload = None if inline else self._changes.blob_upload(call.scope, [whole])
        return await self._changes.change(
            replace(call, request_id=""),
            "UploadChunk",
            {"upload": upload_id, "offset": offset, "sha256": digest},
            Upload,
            lambda unit: uploading.take(unit, upload_id, offset, piece, self._lifetime),
            blob_upload=blob_upload,
        )

    async def get(self, scope: Scope, upload_id: str) -> Upload:
        """Return how far an upload has come.

        Raises UploadNotFound.
        """
        return await self._changes.read(scope, lambda tx: uploading.find(tx, upload_id))

    async def commit(self, call: RequestContext, upload_id: str, checksum: str) -> Written:
        """Turn an upload into a version of its file.

        Raises UploadNotFound, UploadIncomplete, ChecksumMismatch, DataCorrupt and what a write raises.
        """
        seen = await self._changes.read(call.scope, lambda tx: _chunks(tx, upload_id))
        content, text = None, None
        if seen is not None:
            scanner, text = await self._changes.scan(call.scope, seen[1])
            content = Content(scanner.digest, scanner.size, seen[1] or cut(b"").pieces)

        def work(unit: UnitOfWork) -> Written:
            upload = uploading.find(unit.tx, upload_id)
            if seen is None or content is None or upload.received != seen[0].received:
                raise UploadNotFound(
                    "the upload changed while it was committed", metadata={"upload": upload_id}
                )
            uploading.check_complete(upload)
            if checksum and checksum != content.digest:
                raise ChecksumMismatch(
                    "the file does not match `sha256`", metadata={"sha256": content.digest}
                )
            return uploading.commit(unit, upload, content, text)

        return await self._changes.change(
            call, "CommitUpload", {"upload": upload_id, "sha256": checksum}, Written, work
        )

    async def abort(self, call: RequestContext, upload_id: str) -> None:
        """Throw an upload away; one that is gone is no error."""
        await self._changes.change(
            call,
            "AbortUpload",
            {"upload": upload_id},
            bool,
            lambda unit: uploading.abort(unit, upload_id),
        )


def _chunks(tx: Transaction, upload_id: str) -> tuple[Upload, tuple[Piece, ...]] | None:
    upload = tx.upload(upload_id)
    return (upload, tx.chunks(upload_id)) if upload else None
