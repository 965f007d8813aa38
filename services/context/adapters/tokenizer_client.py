"""The TokenCounter port: on the gateway's inference service, or on nothing."""

from collections.abc import Iterator, Sequence
from typing import Final

import grpc

from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from services.chassis.auth.identity import current_caller
from services.chassis.auth.processes import GATEWAY
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.rpc import chat_wire
from services.chassis.rpc.client import remaining
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.status import peer_error
from services.chassis.runtime.logs import logger
from services.context.core import estimate

_log = logger(__name__)

_TEXTS: Final = 256
_TEXT_CHARACTERS: Final = 16 * 1024  # at most 64 KiB, which is the most of one text
_REQUEST_BYTES: Final = 1024 * 1024
_MESSAGES: Final = 1_024
_TOOLS: Final = 128
_SECONDS: Final = 5.0
_TOO_LONG: Final = "PROMPT_TOO_LONG"
_AWAY: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})
_REFUSED: Final = frozenset({Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.INTERNAL})


class NoTokenizer:
    """Counts nothing: windows are fitted by estimate."""

    async def window(self, _model: str) -> int | None:
        """Return None."""
        return None

    async def each(self, _model: str, _chats: Sequence[ChatMessage]) -> list[int] | None:
        """Return None."""
        return None

    async def together(
        self, _model: str, _chats: Sequence[ChatMessage], _tools: Sequence[ToolDefinition]
    ) -> int | None:
        """Return None."""
        return None


class GatewayTokenizer:
    """Asks the gateway on the caller's behalf.

    A gateway that cannot be asked, or will not count for this caller, means an estimate; any other error,
    such as MODEL_NOT_FOUND, is the caller's to know.
    """

    def __init__(self, channel: grpc.aio.Channel, exchange: TokenExchange) -> None:
        self._exchange = exchange
        self._stub: inference_pb2_grpc.InferenceServiceAsyncStub = inference_pb2_grpc.InferenceServiceStub(
            channel
        )

    async def window(self, model: str) -> int | None:
        """Return the model's window as ListModels tells it."""
        try:
            response = await self._stub.ListModels(
                inference_pb2.ListModelsRequest(page_size=1000),
                metadata=await self._exchange.metadata(current_caller(), GATEWAY),
                timeout=_timeout(),
            )
        except (grpc.aio.AioRpcError, KernelError) as failure:
            _settle(failure)
            return None
        sizes = [
            known.max_total_tokens
            for known in response.models
            if (known.name == model if model else known.is_default)
        ]
        return sizes[0] if sizes else None

    async def each(self, model: str, chats: Sequence[ChatMessage]) -> list[int] | None:
        """Count each message as a text of its own, and add the template's marks."""
        counts = [estimate.MARKS * (1 + len(chat.tool_calls)) for chat in chats]
        for batch in _batches([_text(chat) for chat in chats]):
            request = inference_pb2.CountTokensRequest(model=model, texts=[text for _, text in batch])
            response = await self._count(request)
            if response is None:
                return None
            for (index, _), count in zip(batch, response.text_token_counts, strict=True):
                counts[index] += count
        return counts

    async def together(
        self, model: str, chats: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> int | None:
        """Count a conversation with the chat template; None when it is too long to be counted."""
        size = sum(chat.size for chat in chats)
        if len(chats) > _MESSAGES or len(tools) > _TOOLS or size > _REQUEST_BYTES:
            return None
        request = inference_pb2.CountTokensRequest(
            model=model,
            messages=[chat_wire.message_proto(chat) for chat in chats],
            tools=map(chat_wire.tool_proto, tools),
        )
        response = await self._count(request)
        return None if response is None else response.token_count

    async def _count(
        self, request: inference_pb2.CountTokensRequest
    ) -> inference_pb2.CountTokensResponse | None:
        try:
            metadata = await self._exchange.metadata(current_caller(), GATEWAY)
            return await self._stub.CountTokens(request, metadata=metadata, timeout=_timeout())
        except (grpc.aio.AioRpcError, KernelError) as failure:
            _settle(failure)
            return None


def _settle(failure: grpc.aio.AioRpcError | KernelError) -> None:
    """Return when an estimate will do; raise what the caller must know."""
    error = failure if isinstance(failure, KernelError) else peer_error(failure)
    if error.reason == _TOO_LONG:
        return  # it is not counted because it cannot fit by far: the estimate says so too
    if error.code not in _AWAY | _REFUSED:
        raise error
    _log.warning("no tokenizer, tokens are estimated", reason=error.reason)


def _timeout() -> float:
    left = remaining(current_caller())
    return _SECONDS if left is None else min(_SECONDS, left / 2)


def _text(chat: ChatMessage) -> str:
    calls = "".join(f'\n{{"name": "{call.name}", "arguments": {call.arguments}}}' for call in chat.tool_calls)
    return f"{chat.name} {chat.content}{calls}" if chat.name else f"{chat.content}{calls}"


def _batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Cut texts to size and put them together into requests, each piece with the index of its text."""
    batch: list[tuple[int, str]] = []
    size = 0
    for index, text in enumerate(texts):
        for start in range(0, len(text), _TEXT_CHARACTERS):
            piece = text[start : start + _TEXT_CHARACTERS]
            length = len(piece.encode())
            if batch and (len(batch) == _TEXTS or size + length > _REQUEST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append((index, piece))
            size += length
    if batch:
        yield batch
