"""Uploads inside one transaction: begin, take a chunk, commit, abort."""

from dataclasses import dataclass, replace
from datetime import timedelta

from services.chassis.rpc.errors import InvalidRequest, QuotaExceeded
from services.storage.core.file_tree import Text, Write, Written, check_target, write
from services.storage.core.unit_of_work import BlobVanished, UnitOfWork
from services.storage.errors import OffsetMismatch, UploadIncomplete, UploadNotFound
from services.storage.model import Attributes, Content, Mode, Piece, Upload
from services.storage.ports import Uploads

MAX_CHUNKS = 20_000
"""Most chunks of one upload."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A big file that is about to arrive."""

    path: str
    total: int
    mode: Mode
    etag: str
    label: Attributes
    comment: str


def find(tx: Uploads, upload_id: str) -> Upload:
    """Return an upload.

    Raises UploadNotFound.
    """
    upload = tx.upload(upload_id)
    if upload is None:
        raise UploadNotFound(f"no upload {upload_id!r}", metadata={"upload": upload_id})
    return upload


def begin(unit: UnitOfWork, command: Begin, lifetime: timedelta) -> Upload:
    """Start an upload and reserve what was announced.

    Raises what a write of the file would raise now.
    """
    check_target(unit.tx, command.path, command.mode, command.etag)
    upload = Upload(
        id=unit.new_id(),
        path=command.path,
        created_at=unit.now,
        expires_at=unit.now + lifetime,
        writer=unit.writer,
        total=command.total,
        mode=command.mode,
        etag=command.etag,
        label=command.label,
        comment=command.comment,
        untrusted=unit.untrusted,
    )
    unit.tx.put_upload(upload)
    unit.add(uploads=upload.reserved)
    unit.count(uploads=1)
    return upload


def take(unit: UnitOfWork, upload_id: str, offset: int, piece: Piece, lifetime: timedelta) -> Upload:
    """Add a chunk; one that is already there changes nothing.

    Raises UploadNotFound, OffsetMismatch, InvalidRequest (more than announced), QuotaExceeded and
    BlobVanished.
    """
    upload = find(unit.tx, upload_id)
    if offset < upload.received:
        known = unit.tx.chunk(upload_id, offset)
        if known is not None and (known.digest, known.size) == (piece.digest, piece.size):
            return upload
    if offset != upload.received:
        raise OffsetMismatch.at(upload.received, offset)
    if upload.total and offset + piece.size > upload.total:
        raise InvalidRequest.field("data", f"the upload was announced with {upload.total} bytes")
    if piece.data is None and not unit.has_blob(piece.digest):
        raise BlobVanished(piece.digest)
    _check_chunks(unit.tx.scope.agent, upload.chunks + 1)
    new = replace(
        upload,
        received=offset + piece.size,
        chunks=upload.chunks + 1,
        expires_at=unit.now + lifetime,
        untrusted=upload.untrusted or unit.untrusted,
    )
    unit.tx.add_chunk(upload_id, offset, piece)
    unit.tx.put_upload(new)
    unit.add(uploads=new.reserved - upload.reserved)
    unit.count(chunks=1)
    return new


def check_complete(upload: Upload) -> None:
    """Refuse to commit fewer bytes than were announced.

    Raises UploadIncomplete.
    """
    if upload.received < upload.total:
        raise UploadIncomplete(
            f"{upload.received} of {upload.total} bytes arrived",
            metadata={"expected_offset": str(upload.received), "total_bytes": str(upload.total)},
        )


def commit(unit: UnitOfWork, upload: Upload, content: Content, text: Text | None) -> Written:
    """Turn an upload into a version of its file.

    Raises what a write raises.
    """
    _drop(unit, upload)
    command = Write(upload.path, content, text, upload.mode, upload.etag, upload.label, upload.comment)
    done = write(unit, replace(command, untrusted=upload.untrusted))
    return replace(done, exposes=done.exposes or (upload.untrusted and upload.writer != unit.writer))


def abort(unit: UnitOfWork, upload_id: str) -> bool:
    """Throw an upload away; tell whether it was there."""
    upload = unit.tx.upload(upload_id)
    if upload is None:
        return False
    _drop(unit, upload)
    return True


def _drop(unit: UnitOfWork, upload: Upload) -> None:
    unit.tx.drop_upload(upload.id)
    unit.add(uploads=-upload.reserved)
    unit.count(uploads=-1, chunks=-upload.chunks)


def _check_chunks(agent: str, chunks: int) -> None:
    if chunks > MAX_CHUNKS:
        raise QuotaExceeded.of(agent, "chunks of one upload", wanted=chunks, limit=MAX_CHUNKS)
