"""`kernel.contexts`: conversations that the kernel keeps and fits to the model's window."""

from collections.abc import Collection, Mapping, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from aios._paging import pages
from aios._transport import Transport
from aios._wire import contexts as wire
from aios._wire import llm as llm_wire
from aios._wire.common import agent_name
from aios.api.context.v1 import context_pb2 as pb
from aios.api.context.v1 import resources_pb2 as res
from aios.errors import AlreadyExists
from aios.types.contexts import ContextInfo, ContextMessage, Window, WindowStrategy
from aios.types.llm import Messages, ToolSpec


class Contexts:
    """Keeps conversations. A context is named by its id, which the caller chooses, or by its full name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        context: str,
        messages: Messages = (),
        *,
        model: str = "",
        strategy: WindowStrategy = "unspecified",
        token_budget: int = 0,
        reserve_tokens: int = 0,
        title: str = "",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> ContextInfo:
        """Create a conversation, possibly with its first messages. Raises AlreadyExists, QuotaExceeded."""
        message = res.Context(
            name=wire.context_name(context),
            model=model,
            strategy=wire.strategy(strategy),
            token_budget=token_budget,
            reserve_tokens=reserve_tokens,
            title=title,
            labels=labels or {},
        )
        request = pb.CreateContextRequest(context=message, messages=wire.messages(messages))
        response = await self._transport.call(request, pb.CreateContextResponse, timeout=timeout)
        return wire.context(response.context)

    async def get_or_create(
        self,
        context: str,
        messages: Messages = (),
        *,
        model: str = "",
        strategy: WindowStrategy = "unspecified",
        token_budget: int = 0,
        reserve_tokens: int = 0,
        title: str = "",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> ContextInfo:
        """Return the conversation of that name as it is, created if it is not there yet.

        What else is given is for a new one. Raises QuotaExceeded.
        """
        try:
            return await self.create(
                context,
                messages,
                model=model,
                strategy=strategy,
                token_budget=token_budget,
                reserve_tokens=reserve_tokens,
                title=title,
                labels=labels,
                timeout=timeout,
            )
        except AlreadyExists:
            return await self.get(context, timeout=timeout)

    async def get(self, context: str, *, agent: str = "me", timeout: float | None = None) -> ContextInfo:
        """Return what a conversation is, without its messages. Raises NotFound."""
        request = pb.GetContextRequest(name=wire.context_name(context, agent))
        return wire.context(
            (await self._transport.call(request, pb.GetContextResponse, timeout=timeout)).context
        )

    async def update(
        self,
        context: str,
        *,
        model: str | None = None,
        strategy: WindowStrategy | None = None,
        token_budget: int | None = None,
        reserve_tokens: int | None = None,
        title: str | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> ContextInfo:
        """Change the fields that are given. Raises NotFound, EtagMismatch."""
        values = {
            "model": model,
            "strategy": strategy,
            "token_budget": token_budget,
            "reserve_tokens": reserve_tokens,
            "title": title,
            "labels": labels,
        }
        message = res.Context(
            name=wire.context_name(context),
            model=model or "",
            strategy=wire.strategy(strategy or "unspecified"),
            token_budget=token_budget or 0,
            reserve_tokens=reserve_tokens or 0,
            title=title or "",
            labels=labels or {},
            etag=etag,
        )
        mask = FieldMask(paths=[field for field, value in values.items() if value is not None])
        request = pb.UpdateContextRequest(context=message, update_mask=mask)
        response = await self._transport.call(request, pb.UpdateContextResponse, timeout=timeout)
        return wire.context(response.context)

    async def append(
        self,
        context: str,
        messages: Messages,
        *,
        pinned: Collection[int] = (),
        etag: str = "",
        timeout: float | None = None,
    ) -> ContextInfo:
        """Add messages at the end, all or none; `pinned`: the indexes of those that stay in every window.

        Raises NotFound, EtagMismatch, InvalidRequest for a tool result without its call, QuotaExceeded.
        """
        request = pb.AppendMessagesRequest(
            name=wire.context_name(context), messages=wire.messages(messages, pinned), etag=etag
        )
        response = await self._transport.call(request, pb.AppendMessagesResponse, timeout=timeout)
        return wire.context(response.context)

    async def messages(
        self,
        context: str,
        *,
        after_position: int = 0,
        newest_first: bool = False,
        limit: int | None = None,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Sequence[ContextMessage]:
        """Return a conversation's messages in order. Raises NotFound. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[ContextMessage], str]:
            request = pb.ListMessagesRequest(
                name=wire.context_name(context, agent),
                after_position=after_position,
                newest_first=newest_first,
                page_size=200,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListMessagesResponse, timeout=timeout)
            return [wire.message(message) for message in response.messages], response.next_page_token

        return await pages(page, limit)

    async def pin(
        self, context: str, position: int, *, pinned: bool = True, timeout: float | None = None
    ) -> ContextMessage:
        """Pin a message, so that it stays in every window, or let it go. Raises NotFound."""
        request = pb.PinMessageRequest(name=wire.context_name(context), position=position, pinned=pinned)
        response = await self._transport.call(request, pb.PinMessageResponse, timeout=timeout)
        return wire.message(response.message)

    async def window(
        self,
        context: str,
        *,
        model: str = "",
        token_budget: int = 0,
        reserve_tokens: int | None = None,
        strategy: WindowStrategy = "unspecified",
        tools: Sequence[ToolSpec] = (),
        dry: bool = False,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Window:
        """Return the messages to send to the model, fitted to its window; `llm.chat` takes `window.chat`.

        `reserve_tokens` is kept free for the answer; None: as the context says. `dry` only looks: no summary
        is written by the model for it.

        Raises NotFound, PreconditionFailed when system and pinned messages alone are too long.
        """
        request = pb.AssembleWindowRequest(
            name=wire.context_name(context, agent),
            model=model,
            token_budget=token_budget,
            reserve_tokens=reserve_tokens,
            strategy=wire.strategy(strategy),
            tools=llm_wire.tools_of(tools),
            dry=dry,
        )
        return wire.window(await self._transport.call(request, pb.AssembleWindowResponse, timeout=timeout))

    async def fork(
        self,
        context: str,
        fork: str,
        *,
        at_position: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> ContextInfo:
        """Make a new conversation that begins as a copy of another, whole or up to a message.

        Raises NotFound, AlreadyExists, InvalidRequest when the cut parts a tool call from its result.
        """
        request = pb.ForkContextRequest(
            name=wire.context_name(fork),
            source=wire.context_name(context, agent),
            at_position=at_position,
        )
        return wire.context(
            (await self._transport.call(request, pb.ForkContextResponse, timeout=timeout)).context
        )

    async def delete(
        self, context: str, *, missing_ok: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Delete a conversation. Raises NotFound unless `missing_ok`, EtagMismatch."""
        request = pb.DeleteContextRequest(
            name=wire.context_name(context), etag=etag, allow_missing=missing_ok
        )
        await self._transport.call(request, pb.DeleteContextResponse, timeout=timeout)

    async def list(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        agent: str = "me",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[ContextInfo]:
        """Return an agent's conversations by name. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[ContextInfo], str]:
            request = pb.ListContextsRequest(
                parent=agent_name(agent), labels=labels or {}, page_size=200, page_token=token
            )
            response = await self._transport.call(request, pb.ListContextsResponse, timeout=timeout)
            return [wire.context(context) for context in response.contexts], response.next_page_token

        return await pages(page, limit)
