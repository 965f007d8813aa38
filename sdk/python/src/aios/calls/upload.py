"""Big files: up in chunks, down to a local file."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from aios._transport import Transport
from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.errors import OutOfRange

Source: TypeAlias = bytes | Path | BinaryIO
"""Where the bytes come from; a BinaryIO must be able to seek."""

DEFAULT_CHUNK = 512 * 1024
MAX_CHUNK = 1024 * 1024


async def upload(
    transport: Transport, begin: pb.BeginUploadRequest, source: Source, timeout: float | None
) -> res.File:
    """Send `source` in chunks and return the committed file. Local reads run in threads."""
    stream = await asyncio.to_thread(_open, source)
    try:
        begin.total_bytes = await asyncio.to_thread(stream.seek, 0, io.SEEK_END)
        begun = await transport.call(begin, pb.BeginUploadResponse, timeout=timeout)
        name = begun.upload.name
        size = min(begun.chunk_bytes or DEFAULT_CHUNK, MAX_CHUNK)
        await _send(transport, name, stream, size, timeout)
        commit = pb.CommitUploadRequest(upload=name, sha256=await asyncio.to_thread(_digest, stream))
        return (await transport.call(commit, pb.CommitUploadResponse, timeout=timeout)).file
    finally:
        if isinstance(source, Path):
            await asyncio.to_thread(stream.close)


async def _send(transport: Transport, name: str, stream: BinaryIO, size: int, timeout: float | None) -> None:
    offset = 0
    while data := await asyncio.to_thread(_read_at, stream, offset, size):
        chunk = pb.UploadChunkRequest(
            upload=name, offset=offset, data=data, sha256=hashlib.sha256(data).hexdigest()
        )
        try:
            sent = await transport.call(chunk, pb.UploadChunkResponse, timeout=timeout)
            offset = sent.upload.offset
        except OutOfRange as error:
            # The kernel stands elsewhere, as after its restart from a backup: go on where it stands.
            expected = int(error.metadata.get("expected_offset", offset))
            if expected == offset:
                raise
            offset = expected


async def store(parts: AsyncIterator[bytes], target: Path) -> int:
    """Write pieces to a local file and return how many bytes they were.

    A file that is there is replaced by the whole or stays: pieces are collected beside it. A device or a pipe
    gets them as they come.
    """
    plain = await asyncio.to_thread(lambda: not target.exists() or target.is_file())
    written, scratch = 0, target.with_name(f".{target.name}.{os.getpid()}") if plain else target
    stream = await asyncio.to_thread(scratch.open, "wb")
    try:
        async for part in parts:
            written += await asyncio.to_thread(stream.write, part)
        await asyncio.to_thread(stream.close)
        if plain:
            scratch.replace(target)
    finally:
        await asyncio.to_thread(stream.close)
        if plain:
            scratch.unlink(missing_ok=True)
    return written


def _open(source: Source) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return source.open("rb") if isinstance(source, Path) else source


def _read_at(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while data := stream.read(MAX_CHUNK):
        digest.update(data)
    return digest.hexdigest()
