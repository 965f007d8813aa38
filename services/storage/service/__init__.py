"""The use cases of storage: the order of blobs, transaction and wake-up, and what must end with a file.

Called by the servicer and by background tasks of `main`, on the event loop. No gRPC and no protobuf here.
"""

from dataclasses import dataclass
from datetime import timedelta

from services.storage.service.change_sets import ChangeSetService
from services.storage.service.changes import ChangeRunner
from services.storage.service.files import FileService
from services.storage.service.purging import PurgeService
from services.storage.service.reading import ReadingService
from services.storage.service.records import RecordService
from services.storage.service.search import SearchService
from services.storage.service.sharing import SharingService
from services.storage.service.upkeep import UpkeepService
from services.storage.service.uploads import UploadService
from services.storage.service.watching import WatchService

__all__ = ["ChangeRunner", "Lifetimes", "StorageService"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetimes:
    """How long things are kept, and how often watchers look."""

    trash: timedelta = timedelta(days=30)
    upload: timedelta = timedelta(days=1)
    blob_rest: timedelta = timedelta(hours=1)
    """How long a blob must not have been put before it may be collected."""
    poll: timedelta = timedelta(seconds=1)
    """How often a watcher looks for changes made by other processes."""
    heartbeat: timedelta = timedelta(seconds=15)
    """How long a watch stream stays silent at most."""


class StorageService:
    """All use cases, on one runner of changes."""

    def __init__(self, changes: ChangeRunner, lifetimes: Lifetimes) -> None:
        self.sharing = SharingService(changes)
        self.files = FileService(changes, trash_life=lifetimes.trash)
        self.change_sets = ChangeSetService(changes)
        self.reading = ReadingService(changes)
        self.uploads = UploadService(changes, lifetime=lifetimes.upload)
        self.search = SearchService(changes)
        self.records = RecordService(changes)
        self.watching = WatchService(
            changes,
            poll_seconds=lifetimes.poll.total_seconds(),
            heartbeat_seconds=lifetimes.heartbeat.total_seconds(),
        )
        self.purging = PurgeService(changes)
        self.upkeep = UpkeepService(changes, trash_life=lifetimes.trash, blob_rest=lifetimes.blob_rest)
