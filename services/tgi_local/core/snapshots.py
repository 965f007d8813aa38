"""The catalogue of saved KV states: size caps, expiry, least recently used first out. Pure."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum


class Miss(Enum):
    """Why a handle gives no snapshot. Values are metric labels."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    FOREIGN = "foreign"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One saved KV state. `handle` is unguessable; whoever knows it may use it."""

    handle: str
    model: str
    """SHA-256 of the model that made it."""

    digest: str
    """Digest of the saved file."""

    size: int
    """Bytes."""

    tokens: int
    """Tokens the state covers."""

    saved_at: float
    """Seconds since the epoch."""


class Catalogue:
    """Knows which snapshots exist; deleting their files is the caller's part."""

    def __init__(self, *, model: str, max_bytes: int, max_snapshot_bytes: int, ttl: float) -> None:
        self._model = model
        self._max_bytes = max_bytes
        self._max_snapshot_bytes = max_snapshot_bytes
        self._ttl = ttl
        self._entries: OrderedDict[str, Snapshot] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def total_bytes(self) -> int:
        """Bytes of all snapshots together."""
        return sum(entry.size for entry in self._entries.values())

    def admits(self, size: int) -> bool:
        """Whether a snapshot of this size may be kept at all."""
        return size <= min(self._max_snapshot_bytes, self._max_bytes)

    def add(self, snapshot: Snapshot) -> list[str]:
        """Keep a snapshot. Returns the handles that had to go to make room."""
        self._entries[snapshot.handle] = snapshot
        self._entries.move_to_end(snapshot.handle)
        gone = []
        while self.total_bytes > self._max_bytes:
            handle, _ = self._entries.popitem(last=False)
            gone.append(handle)
        return gone

    def find(self, handle: str, now: float) -> Snapshot | Miss:
        """Look a handle up and mark it as used."""
        entry = self._entries.get(handle)
        if entry is None:
            return Miss.UNKNOWN
        if now - entry.saved_at > self._ttl:
            return Miss.EXPIRED
        if entry.model != self._model:
            return Miss.FOREIGN
        self._entries.move_to_end(handle)
        return entry

    def remove(self, handle: str) -> bool:
        """Forget a snapshot. Returns whether it was known."""
        return self._entries.pop(handle, None) is not None

    def expired(self, now: float) -> list[str]:
        """Forget what is too old. Returns the handles."""
        old = [handle for handle, entry in self._entries.items() if now - entry.saved_at > self._ttl]
        for handle in old:
            del self._entries[handle]
        return old
