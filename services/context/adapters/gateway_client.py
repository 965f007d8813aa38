"""The Summarizer and Memory ports: on the gateway, on the caller's behalf, or on nothing."""

import hashlib
from collections.abc import Sequence
from typing import Final

import grpc

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from services.chassis.auth.identity import current_caller
from services.chassis.auth.processes import GATEWAY
from services.chassis.chat import ChatMessage
from services.chassis.rpc import chat_wire
from services.chassis.rpc.client import remaining
from services.chassis.rpc.errors import DeadlineExceeded
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.status import peer_error
from services.context.core.recall import MOST_NOTE
from services.context.errors import CapabilityMissing
from services.context.model import Note

_CLASSES: Final = {
    "batch": agent_pb2.SCHEDULING_CLASS_BATCH,
    "idle": agent_pb2.SCHEDULING_CLASS_IDLE,
}
_SEARCH_SECONDS: Final = 5.0
_LEAST_SECONDS: Final = 0.05
_LEFT: Final = 0.8
"""How much of the call's own time may pass before the window is made without."""


class NoPeers:
    """Writes and finds nothing: windows fall back to dropping the oldest messages."""

    async def write(
        self, _model: str, _chats: Sequence[ChatMessage], *, most_tokens: int, seconds: float
    ) -> str:
        """Raise CapabilityMissing."""
        raise CapabilityMissing.of(f"summarised in {most_tokens} tokens and {seconds:.0f} s")

    async def search(self, agent: str, _query: str, _limit: int) -> list[Note]:
        """Raise CapabilityMissing."""
        raise CapabilityMissing.of(f"recalled for {agent}")


class GatewaySummarizer:
    """Generates in a background class: the call waits for its turn like any other of the caller's."""

    def __init__(self, channel: grpc.aio.Channel, exchange: TokenExchange, scheduling_class: str) -> None:
        self._stub: inference_pb2_grpc.InferenceServiceAsyncStub = inference_pb2_grpc.InferenceServiceStub(
            channel
        )
        self._exchange = exchange
        self._class = _CLASSES[scheduling_class]

    async def write(
        self, model: str, chats: Sequence[ChatMessage], *, most_tokens: int, seconds: float
    ) -> str:
        """Answer a conversation.

        Equal requests have one id, so that windows made at once share one generation, and one that is made
        after a broken call finds its answer.
        """
        timeout = _bounded(seconds)
        request = inference_pb2.GenerateRequest(
            model=model,
            messages=[chat_wire.message_proto(chat) for chat in chats],
            max_tokens=most_tokens,
            hints=agent_pb2.SchedulingHints(scheduling_class=self._class),
        )
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
        request.request_id = f"summary-{digest[:40]}"
        metadata = await self._exchange.metadata(current_caller(), GATEWAY)
        try:
            response = await self._stub.Generate(request, metadata=metadata, timeout=timeout)
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
        return response.finished.message.content


class GatewayMemory:
    """Searches notes."""

    def __init__(self, channel: grpc.aio.Channel, exchange: TokenExchange) -> None:
        self._stub: memory_pb2_grpc.MemoryServiceAsyncStub = memory_pb2_grpc.MemoryServiceStub(channel)
        self._exchange = exchange

    async def search(self, agent: str, query: str, limit: int) -> list[Note]:
        """Return the notes of an agent that fit a text, best first."""
        request = memory_pb2.SearchNotesRequest(parent=f"agents/{agent}", query=query, limit=limit)
        timeout = _bounded(_SEARCH_SECONDS)
        metadata = await self._exchange.metadata(current_caller(), GATEWAY)
        try:
            response = await self._stub.SearchNotes(request, metadata=metadata, timeout=timeout)
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
        return [Note(hit.note.name, hit.note.content[:MOST_NOTE], hit.score) for hit in response.hits]


def _bounded(seconds: float) -> float:
    """Return how long a call may take, so that time is left for a window without it."""
    left = remaining(current_caller())
    bounded = seconds if left is None else min(seconds, left * _LEFT)
    if bounded < _LEAST_SECONDS:
        raise DeadlineExceeded("no time is left for a summary or for notes")
    return bounded
