"""How an agent makes one more of each thing that has a quota, by manager."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2, context_pb2_grpc
from aios.api.context.v1 import resources_pb2 as context_resources
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from aios.api.storage.v1 import resources_pb2 as storage_resources
from aios.api.storage.v1 import storage_pb2, storage_pb2_grpc
from services.chassis.quotas import caps_of
from services.chassis.rpc.client import Metadata
from services.context.config import ContextConfig
from services.context.servicer import ContextServicer
from services.memory.config import MemoryConfig
from services.memory.servicer import MemoryServicer
from services.storage.config import StorageConfig
from services.storage.main import servicer as storage_servicer
from services.storage.model import StorageLimits
from tests.fakes.context import context_service
from tests.fakes.memory import memory_service
from tests.fakes.quotas import WithTrees, local_channel
from tests.fakes.storage import Kernel

UNIT: Final = 10_000
"""What one more takes of a quota of bytes, and up to a sixth less."""
_SIZE: Final = 9_000

Make = Callable[[Any, Metadata, int], Awaitable[Any]]
"""Makes one more, by a stub, as a caller; the number tells it from others."""


@dataclass(frozen=True)
class Manager:
    """A manager under test."""

    config: type[Any]
    build: Callable[[Any], Any]
    """Returns a stub of a manager with a config."""
    usage: Callable[[Any, Metadata], Awaitable[Any]]
    """Asks for the usage of the caller."""
    makes: dict[str, Make]
    """By quota."""


async def write(stub: Any, who: Metadata, number: int, **more: Any) -> None:
    request = storage_pb2.WriteFileRequest(name=f"agents/me/files/{number}", content=b"x" * _SIZE, **more)
    await stub.WriteFile(request, metadata=who)


async def delete(stub: Any, who: Metadata, number: int) -> None:
    await write(stub, who, number)
    await stub.DeleteFile(storage_pb2.DeleteFileRequest(name=f"agents/me/files/{number}"), metadata=who)


async def begin(stub: Any, who: Metadata, number: int) -> str:
    request = storage_pb2.BeginUploadRequest(file=f"agents/me/files/{number}")
    return str((await stub.BeginUpload(request, metadata=who)).upload.name)


async def chunk(stub: Any, who: Metadata, number: int) -> None:
    request = storage_pb2.UploadChunkRequest(upload=await begin(stub, who, number), data=b"x")
    await stub.UploadChunk(request, metadata=who)


async def record(stub: Any, who: Metadata, number: int, collection: str = "c") -> None:
    new = storage_resources.Record(key=f"r{number}")
    request = storage_pb2.PutRecordsRequest(collection=f"agents/me/collections/{collection}", records=[new])
    await stub.PutRecords(request, metadata=who)


async def collection(stub: Any, who: Metadata, number: int) -> None:
    await record(stub, who, number, f"c{number}")


async def note(stub: Any, who: Metadata, number: int, request_id: str = "") -> None:
    new = memory_pb2.Note(name=f"agents/me/notes/{number}", content="x" * _SIZE)
    await stub.PutNote(memory_pb2.PutNoteRequest(note=new, request_id=request_id), metadata=who)


async def link(stub: Any, who: Metadata, number: int) -> None:
    for key in (number, 1_000 + number):
        await note(stub, who, key)
    there = memory_pb2.NoteLink(note=f"agents/me/notes/{1_000 + number}")
    request = memory_pb2.LinkNotesRequest(name=f"agents/me/notes/{number}", add=[there])
    await stub.LinkNotes(request, metadata=who)


async def context(stub: Any, who: Metadata, number: int, request_id: str = "") -> None:
    said = chat_pb2.ChatMessage(role=chat_pb2.ROLE_USER, content="x" * _SIZE)
    request = context_pb2.CreateContextRequest(
        context=context_resources.Context(name=f"agents/me/contexts/c{number}"),
        messages=[context_resources.Message(message=said)],
        request_id=request_id,
    )
    await stub.CreateContext(request, metadata=who)


async def snapshot(stub: Any, who: Metadata, number: int) -> None:
    state = context_resources.Snapshot(
        name=f"agents/me/generations/g{number}", model="demo", prompt_text="x" * _SIZE, sequence=1
    )
    await stub.SaveSnapshot(context_pb2.SaveSnapshotRequest(snapshot=state), metadata=who)


def _storage(config: StorageConfig) -> Any:
    limits = StorageLimits(versions=config.max_versions, caps=caps_of(config))
    channel = local_channel(storage_servicer(Kernel(limits=limits).service))
    return storage_pb2_grpc.StorageServiceStub(channel)


def _memory(config: MemoryConfig) -> Any:
    servicer = MemoryServicer(memory_service(config=config))
    add = memory_pb2_grpc.add_MemoryServiceServicer_to_server
    return memory_pb2_grpc.MemoryServiceStub(local_channel((add, servicer, memory_pb2.DESCRIPTOR)))


def _context(config: ContextConfig) -> Any:
    servicer = ContextServicer(context_service(config=config, authorizer=WithTrees()))
    add = context_pb2_grpc.add_ContextServiceServicer_to_server
    return context_pb2_grpc.ContextServiceStub(local_channel((add, servicer, context_pb2.DESCRIPTOR)))


def _usage(pb: Any) -> Callable[[Any, Metadata], Awaitable[Any]]:
    return lambda stub, who: stub.GetUsage(pb.GetUsageRequest(name="agents/me"), metadata=who)


MANAGERS: Final = {
    "storage": Manager(
        StorageConfig,
        _storage,
        _usage(storage_pb2),
        {
            "bytes": write,
            "files": write,
            "versions": write,
            "trash": delete,
            "uploads": begin,
            "chunks": chunk,
            "collections": collection,
            "records": record,
            "replies": lambda stub, who, number: write(stub, who, number, request_id=f"r{number}"),
        },
    ),
    "memory": Manager(
        MemoryConfig,
        _memory,
        _usage(memory_pb2),
        {
            "notes": note,
            "note_bytes": note,
            "links": link,
            "replies": lambda stub, who, number: note(stub, who, number, f"r{number}"),
        },
    ),
    "context": Manager(
        ContextConfig,
        _context,
        _usage(context_pb2),
        {
            "contexts": context,
            "messages": context,
            "context_bytes": context,
            "snapshots": snapshot,
            "snapshot_bytes": snapshot,
            "replies": lambda stub, who, number: context(stub, who, number, f"r{number}"),
        },
    ),
}
