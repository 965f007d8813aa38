"""Saved KV states on disk: a file each, beside it a small JSON record that survives a restart."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import orjson

from services.tgi_local.core.snapshots import Catalogue, Miss, Snapshot


class SnapshotFiles:
    """Keeps snapshot files and the catalogue in step. One process owns the directory."""

    def __init__(
        self, directory: Path, catalogue: Catalogue, *, model: str, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._model = model
        self._now = now

    def load(self) -> None:
        """Read the records left by an earlier run; what has no good record, or is too old, is removed."""
        found = []
        for record in self._directory.glob("*.json"):
            snapshot = _read_record(record)
            data = self._directory / f"{record.stem}.bin"
            if snapshot is not None and data.is_file() and data.stat().st_size == snapshot.size:
                found.append(snapshot)
        known = {snapshot.handle for snapshot in found}
        for path in self._directory.iterdir():
            if path.stem not in known:
                path.unlink()
        for snapshot in sorted(found, key=lambda s: s.saved_at):
            self._remove(self._catalogue.add(snapshot))
        self._remove(self._catalogue.expired(self._now()))

    def new_handle(self) -> str:
        """Return an unguessable name; whoever knows it may restore the state."""
        return secrets.token_urlsafe(24)

    @staticmethod
    def file_name(handle: str) -> str:
        """Return the name the engine writes to."""
        return f"{handle}.bin"

    async def keep(self, handle: str, tokens: int) -> Snapshot | None:
        """Take over the file the engine wrote. Returns None when it is too large to keep."""
        snapshot = await asyncio.to_thread(self._taken_over, handle, tokens)
        if snapshot is None:
            return None
        gone = self._catalogue.expired(self._now())
        gone += self._catalogue.add(snapshot)
        await asyncio.to_thread(self._remove, gone)
        return snapshot

    async def collect(self) -> int:
        """Delete what is too old. Returns how many snapshots."""
        gone = self._catalogue.expired(self._now())
        await asyncio.to_thread(self._remove, gone)
        return len(gone)

    async def find(self, handle: str) -> Snapshot | Miss:
        """Return a snapshot that is fit to be restored: right model, in time, bytes unchanged."""
        found = self._catalogue.find(handle, self._now())
        if isinstance(found, Miss):
            await self.delete(handle)
            return found
        if await asyncio.to_thread(_digest, self._directory / self.file_name(handle)) != found.digest:
            await self.delete(handle)
            return Miss.CORRUPT
        return found

    async def delete(self, handle: str) -> bool:
        """Remove a snapshot. Returns whether it was known; a second call is harmless."""
        known = self._catalogue.remove(handle)
        if known:
            await self.discard(handle)
        return known

    async def discard(self, handle: str) -> None:
        """Remove the files of a handle of ours."""
        await asyncio.to_thread(self._remove, [handle])

    @property
    def count(self) -> int:
        """Snapshots kept."""
        return len(self._catalogue)

    @property
    def total_bytes(self) -> int:
        """Bytes kept."""
        return self._catalogue.total_bytes

    def _taken_over(self, handle: str, tokens: int) -> Snapshot | None:
        path = self._directory / self.file_name(handle)
        size = path.stat().st_size
        if not self._catalogue.admits(size):
            path.unlink()
            return None
        path.chmod(0o600)  # the engine writes it readable for all
        snapshot = Snapshot(handle, self._model, _digest(path), size, tokens, self._now())
        self._record(handle).write_bytes(orjson.dumps(asdict(snapshot)))
        return snapshot

    def _record(self, handle: str) -> Path:
        return self._directory / f"{handle}.json"

    def _remove(self, handles: list[str]) -> None:
        for handle in handles:
            self._record(handle).unlink(missing_ok=True)
            (self._directory / self.file_name(handle)).unlink(missing_ok=True)


def _read_record(path: Path) -> Snapshot | None:
    try:
        return Snapshot(**orjson.loads(path.read_bytes()))
    except (orjson.JSONDecodeError, TypeError):
        return None


def _digest(path: Path) -> str:
    """Return the digest of a file; empty when there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except FileNotFoundError:
        return ""
