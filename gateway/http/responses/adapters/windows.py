"""Fits conversations to a model's window by the context manager, in a context that lives for one call."""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aios.api.context.v1 import context_pb2, resources_pb2
from gateway.http.responses.model import Keeper, Window
from gateway.http.responses.service.keeping import scratch_name
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import KernelError

if TYPE_CHECKING:
    from aios.api.context.v1 import context_pb2_grpc

_SECONDS: Final = 10.0
_WINDOW_SECONDS: Final = 60.0
_AT_ONCE: Final = 1000
_STRATEGY: Final = {
    False: resources_pb2.WINDOW_STRATEGY_DROP_OLDEST,
    True: resources_pb2.WINDOW_STRATEGY_SUMMARIZE,
}


class ContextWindows:
    """The Windows port on ContextService."""

    def __init__(self, contexts: "context_pb2_grpc.ContextServiceAsyncStub") -> None:
        self._contexts = contexts

    async def fit(
        self,
        keeper: Keeper,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolDefinition],
        *,
        model: str,
        budget: int = 0,
        summarize: bool = False,
    ) -> Window:
        """Keep the conversation, have its window made, and forget it, whatever happened."""
        path = f"agents/me/contexts/{scratch_name(secrets.token_hex(16))}"
        try:
            await self._keep(keeper, path, messages)
            request = context_pb2.AssembleWindowRequest(
                name=path,
                model=model,
                token_budget=budget,
                strategy=_STRATEGY[summarize],
                tools=map(chat_wire.tool_proto, tools),
            )
            made = await self._contexts.AssembleWindow(
                request, metadata=keeper.metadata, timeout=_WINDOW_SECONDS
            )
        finally:
            await asyncio.shield(self._forget(keeper, path))
        kept = tuple(chat_wire.message(each.message) for each in made.messages)
        return Window(kept, made.token_count)

    async def _keep(self, keeper: Keeper, path: str, messages: Sequence[ChatMessage]) -> None:
        written = [resources_pb2.Message(message=chat_wire.message_proto(each)) for each in messages]
        context = resources_pb2.Context(name=path)
        first = context_pb2.CreateContextRequest(context=context, messages=written[:_AT_ONCE])
        await self._contexts.CreateContext(first, metadata=keeper.metadata, timeout=_SECONDS)
        for at in range(_AT_ONCE, len(written), _AT_ONCE):
            more = context_pb2.AppendMessagesRequest(name=path, messages=written[at : at + _AT_ONCE])
            await self._contexts.AppendMessages(more, metadata=keeper.metadata, timeout=_SECONDS)

    async def _forget(self, keeper: Keeper, path: str) -> None:
        """Delete the context. What fails here is left for the sweep of the agent's expired contexts."""
        request = context_pb2.DeleteContextRequest(name=path, allow_missing=True)
        with contextlib.suppress(KernelError):
            await self._contexts.DeleteContext(request, metadata=keeper.metadata, timeout=_SECONDS)
