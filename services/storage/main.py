"""The composition root of the storage manager: the only place where adapters are chosen."""

from pathlib import Path

from aios.api.access.v1 import access_pb2
from aios.api.storage.v1 import storage_pb2, storage_pb2_grpc
from services.chassis.quotas import caps_of
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.process import App, Process, make_private
from services.chassis.runtime.process import serve as serve_process
from services.chassis.runtime.server import Servicer
from services.chassis.shares import Openings
from services.storage.adapters.access_client import AccessClient
from services.storage.config import StorageConfig
from services.storage.metrics import StorageMetrics
from services.storage.model import StorageLimits
from services.storage.ports import Access, BlobStore, FileIndex, Meter
from services.storage.service import ChangeRunner, Lifetimes, StorageService
from services.storage.servicer import StorageServicer
from services.storage.store.directory import DirectoryBlobs
from services.storage.store.sql import MIGRATIONS, SqlIndex

NAME = "storage"


def build(
    config: StorageConfig,
    *,
    index: FileIndex,
    blobs: BlobStore,
    access: Access,
    meter: Meter,
    clock: Clock,
) -> StorageService:
    """Wire a storage service."""
    limits = StorageLimits(versions=config.max_versions, caps=caps_of(config))
    changes = ChangeRunner(index=index, blobs=blobs, access=access, clock=clock, meter=meter, limits=limits)
    lifetimes = Lifetimes(
        trash=config.trash_life,
        upload=config.upload_life,
        blob_rest=config.blob_rest,
        poll=config.watch_poll,
        heartbeat=config.watch_heartbeat,
    )
    return StorageService(changes, lifetimes)


def servicer(service: StorageService, openings: Openings | None = None) -> Servicer:
    """Return the servicer as ChassisServer takes it."""
    return (
        storage_pb2_grpc.add_StorageServiceServicer_to_server,
        StorageServicer(service, openings),
        storage_pb2.DESCRIPTOR,
    )


async def _blob_dir(config: StorageConfig, process: Process) -> Path:
    """Return the directory of the blobs; one outside the data directory is closed to others by itself."""
    if config.blob_dir is None:
        return process.data_dir / NAME / "blobs"
    await make_private(config.blob_dir.absolute(), "AIOS_STORAGE_BLOB_DIR")
    return config.blob_dir


async def assemble(process: Process) -> App:
    """Build the process: an index in its database, blobs in a directory, access over gRPC."""
    config = process.load(StorageConfig)
    database = await process.database(MIGRATIONS)
    channel = process.channel("access", access_pb2.DESCRIPTOR)
    service = build(
        config,
        index=SqlIndex(database, process.clock),
        blobs=DirectoryBlobs(await _blob_dir(config, process)),
        access=AccessClient(channel, process.authorizer, process.exchange),
        meter=StorageMetrics(process.registry),
        clock=process.clock,
    )
    process.follow_purges(service.purging.purge)
    process.tasks.every("sweep", config.sweep_interval.total_seconds(), service.upkeep.sweep)
    return App(servicers=[servicer(service, process.openings)], readiness={"database": database.problem})


async def serve() -> None:
    """Run the storage manager until it is told to stop."""
    await serve_process(NAME, assemble)
