"""The file of exported heads: one JSON object a line, only ever added to, readable by its owner alone.

`head_line` and `read_head` are the format, which a webhook gets as well.
"""

import asyncio
import base64
import binascii
import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from services.access.core.audit_chain import signed_text
from services.access.model.audit import AuditHead, ExportedHead, Fault

_VERSION: Final = 1
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Size at which the file is put aside and a new one begun with the newest head of each log."""
_MOST_LINE: Final = 4096

IsSigned = Callable[[bytes, str, bytes], bool]


class HeadFile:
    """The HeadLog port on a file. `is_signed(message, kid, signature)` tells access's own signatures."""

    def __init__(self, path: Path, is_signed: IsSigned, *, most_bytes: int = _MOST_BYTES) -> None:
        self._path = path
        self._is_signed = is_signed
        self._most_bytes = most_bytes
        self._lock = asyncio.Lock()
        # Another machine has another file: what was told to that one is not missing here.
        self.exporter = hashlib.sha256(f"{socket.gethostname()}:{path}".encode()).hexdigest()[:16]

    async def put(self, heads: Sequence[ExportedHead]) -> None:
        """Add heads durably. Raises OSError."""
        async with self._lock:
            await asyncio.to_thread(self._append, heads)

    async def newest(self, tenant: str) -> tuple[ExportedHead | None, Fault]:
        """Return the newest head of a chain that is in the file, and what is wrong with the file."""
        async with self._lock:
            return await asyncio.to_thread(self._find, tenant)

    def _append(self, heads: Sequence[ExportedHead]) -> None:
        if self._path.exists() and self._path.stat().st_size > self._most_bytes:
            self._begin_anew()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = not self._path.exists()
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "ab") as file:
            lines = b"".join(head_line(head) + b"\n" for head in heads)
            # A crash may have left half a line, which must not swallow the next one.
            file.write(lines if _ends_whole(self._path) else b"\n" + lines)
            file.flush()
            os.fsync(file.fileno())
        if new:
            _sync_folder(self._path.parent)

    def _begin_anew(self) -> None:
        """Put the file aside; the new one begins with the newest head of every log in it."""
        newest = {head.tenant: head for head in sorted(_heads(self._path), key=lambda head: head.sequence)}
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.writelines(head_line(head) + b"\n" for head in newest.values())
            file.flush()
            os.fsync(file.fileno())
        kept = self._path.with_name(f"{self._path.name}.{self._path.stat().st_mtime_ns}")
        os.link(self._path, kept)
        fresh.replace(self._path)
        _sync_folder(self._path.parent)

    def _find(self, tenant: str) -> tuple[ExportedHead | None, Fault]:
        if not self._path.exists():
            return None, Fault.HEADS_MISSING
        mine = [head for head in _heads(self._path) if head.tenant == tenant]
        newest = max(mine, key=lambda head: head.sequence, default=None)
        if newest is None:
            return None, Fault.NONE
        text = signed_text(tenant, AuditHead(newest.sequence, newest.hash))
        good = self._is_signed(text, newest.kid, newest.signature)
        return newest, Fault.NONE if good else Fault.HEADS_CHANGED


def head_line(head: ExportedHead) -> bytes:
    """Write a head as one line of JSON, without its end."""
    return orjson.dumps(
        {
            "version": _VERSION,
            "tenant": head.tenant,
            "sequence": head.sequence,
            "hash": head.hash,
            "time": head.time.isoformat(),
            "kid": head.kid,
            "signature": base64.b64encode(head.signature).decode(),
        }
    )


def read_head(line: bytes) -> ExportedHead | None:
    """Read a line; None for one that is no head, such as half of one."""
    try:
        found: Any = orjson.loads(line)
        return ExportedHead(
            tenant=str(found["tenant"]),
            sequence=int(found["sequence"]),
            hash=str(found["hash"]),
            time=datetime.fromisoformat(found["time"]),
            kid=str(found["kid"]),
            signature=base64.b64decode(found["signature"], validate=True),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, binascii.Error):
        return None


def _heads(path: Path) -> list[ExportedHead]:
    """Read the newest head of each log, line by line: a file of any length costs little memory."""
    newest: dict[str, ExportedHead] = {}
    with path.open("rb") as file:
        while line := file.readline(_MOST_LINE):
            head = read_head(line)
            if head is not None and head.sequence >= getattr(newest.get(head.tenant), "sequence", 0):
                newest[head.tenant] = head
    return list(newest.values())


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
