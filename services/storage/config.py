"""Settings of the storage manager. Read once, in main."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageConfig:
    """Limits and lifetimes of one storage process."""

    blob_dir: Path | None = None
    """Directory of the blobs, shared by all replicas. Default: storage/blobs in the data directory."""

    quota_bytes: int = 10 * 1024**3
    """What one agent may store: files, versions, trash, uploads and records. Unit: bytes."""

    quota_files: int = 100_000
    """Files and directories that one agent may have, the trash left out."""

    max_versions: int = 100
    """Versions kept of each file; older ones are dropped."""

    trash_life: timedelta = timedelta(days=30)
    """How long the trash keeps what was deleted. Unit: seconds."""

    upload_life: timedelta = timedelta(days=1)
    """How long an upload waits for its next chunk. Unit: seconds."""

    blob_rest: timedelta = timedelta(hours=1)
    """How long a blob that nothing refers to is left alone. Unit: seconds."""

    sweep_interval: timedelta = timedelta(minutes=10)
    """Time between two rounds of maintenance. Unit: seconds."""

    watch_poll: timedelta = timedelta(seconds=1)
    """How often a watch stream looks for changes made by other replicas. Unit: seconds."""

    watch_heartbeat: timedelta = timedelta(seconds=15)
    """Longest silence of a watch stream. Unit: seconds."""

    def __post_init__(self) -> None:
        """Refuse limits that allow nothing. Raises ValueError."""
        for name in ("quota_bytes", "quota_files", "max_versions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
