"""The FileSearch port on the storage manager."""

from typing import Final

import grpc

from aios.api.storage.v1 import resources_pb2, storage_pb2, storage_pb2_grpc
from services.chassis.auth.identity import current_caller
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.status import peer_error
from services.tool.core.files import FileList, FileStat

_SECONDS: Final = 10.0


class StorageSearch:
    """Asks the storage manager on the caller's behalf, so with the caller's own rights."""

    def __init__(self, channel: grpc.aio.Channel, exchange: TokenExchange) -> None:
        self._stub: storage_pb2_grpc.StorageServiceAsyncStub = storage_pb2_grpc.StorageServiceStub(channel)
        self._exchange = exchange

    async def search(self, query: str, limit: int) -> FileList:
        """Return the files that match, best first, by paths as the agent knows them: `notes/todo.txt`.

        Raises what the storage manager refuses with.
        """
        caller = current_caller()
        root = f"agents/{caller.agent}/files"
        metadata = await self._exchange.metadata(caller, "storage")
        try:
            found = await self._stub.SearchFiles(
                storage_pb2.SearchFilesRequest(parent=root, query=query, page_size=limit),
                metadata=metadata,
                timeout=_SECONDS,
            )
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
        return FileList(tuple(_stat(root, hit.file) for hit in found.hits))


def _stat(root: str, file: resources_pb2.File) -> FileStat:
    path = file.name.removeprefix(f"{root}/")
    return FileStat(path, file.size_bytes, file.etag, untrusted=file.untrusted)
