"""Settings of the storage manager. Read once, in main."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.chassis.quotas import Cap


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageConfig:
    """Limits and lifetimes of one storage process."""

    blob_dir: Path | None = None
    """Directory of the blobs, shared by all replicas. Default: storage/blobs in the data directory."""

    quota_bytes: Cap = Cap.of(10 * 1024**3)
    """What agents may store: files, versions, trash, uploads and records. Unit: bytes."""

    quota_files: Cap = Cap.of(100_000)
    """Files and directories, the trash left out."""

    quota_trash: Cap = Cap.of(200_000)
    """Files and directories in the trash."""

    quota_versions: Cap = Cap.of(1_000_000)
    """Versions of all files, those in the trash included."""

    quota_uploads: Cap = Cap.of(1_000)
    """Unfinished uploads."""

    quota_chunks: Cap = Cap.of(100_000)
    """Chunks of all unfinished uploads."""

    quota_collections: Cap = Cap.of(10_000)
    """Collections of records."""

    quota_records: Cap = Cap.of(1_000_000)
    """Records of all collections."""

    quota_replies: Cap = Cap.of(1_000_000)
    """Answers remembered for repeated requests, each kept for a day; charged to who asked."""

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
        if self.max_versions < 1:
            raise ValueError("max_versions must be at least 1")
