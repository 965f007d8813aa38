"""The floors.

The same work straight at the backend, and a bare one-hop relay. `python -m ...floor relay|echo`.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import grpc

from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from services.chassis.runtime.server import server_options

GET_NOTE = "/aios.api.memory.v1.MemoryService/GetNote"


class EchoNotes(memory_pb2_grpc.MemoryServiceServicer):
    """Answers GetNote at once: what is left is the way there and back."""

    async def GetNote(self, request: memory_pb2.GetNoteRequest, context: Any) -> memory_pb2.GetNoteResponse:  # noqa: ARG002, N802 - gRPC's
        """Return a note of the asked name."""
        return memory_pb2.GetNoteResponse(note=memory_pb2.Note(name=request.name, content="x" * 100))


class Relay(grpc.GenericRpcHandler):
    """Copies the bytes of every call to one upstream and does nothing else."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the copying handler."""
        upstream: Any = self._channel.unary_stream(handler_call_details.method)

        async def forward(request: bytes, context: Any) -> AsyncGenerator[bytes, None]:
            async for message in upstream(request, timeout=context.time_remaining()):
                yield message

        return grpc.unary_stream_rpc_method_handler(forward)


async def serve(kind: str, upstream: str) -> None:
    """Serve until killed; the first line printed is the port."""
    server = grpc.aio.server(options=server_options())
    if kind == "relay":
        server.add_generic_rpc_handlers((Relay(grpc.aio.insecure_channel(upstream)),))
    else:
        memory_pb2_grpc.add_MemoryServiceServicer_to_server(
            EchoNotes(),  # type: ignore[abstract]  # one method is all it takes
            server,
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
