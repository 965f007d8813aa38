"""gRPC reflection. Anybody may ask what a process serves, so what is open of it at once is little."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

MOST_STREAMS: Final = 16
"""Streams that are open at once."""


class Reflection:
    """Answers by the library; refuses what would be one stream too many."""

    def __init__(self, services: Sequence[str]) -> None:
        self._answers = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME])
        self._open = 0

    async def ServerReflectionInfo(  # noqa: N802 - the name in the contract
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        """Answer each question."""
        if self._open >= MOST_STREAMS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams are open")
        self._open += 1
        try:
            async for answer in self._answers.ServerReflectionInfo(requests, context):
                yield answer
        finally:
            self._open -= 1


def serve_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Let a server answer what it serves."""
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(Reflection(services), server)
