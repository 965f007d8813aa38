"""The conversations of a fake kernel: lists, and windows that drop the oldest."""

from collections.abc import Iterable

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2 as pb
from aios.api.context.v1 import resources_pb2 as res
from aios.errors import AlreadyExists, NotFound
from aios.testing.caller import Caller
from aios.testing.inference import pieces

WINDOW = 8192


class FakeContexts:
    """Keeps conversations in memory. A word is a token; a window too long loses its oldest messages."""

    def __init__(self) -> None:
        self._contexts: dict[str, res.Context] = {}
        self._messages: dict[str, list[res.Message]] = {}

    async def create_context(
        self, request: pb.CreateContextRequest, caller: Caller
    ) -> pb.CreateContextResponse:
        name = self._new(request.context.name, caller)
        self._contexts[name] = request.context
        self._append(name, request.messages)
        return pb.CreateContextResponse(context=self._contexts[name])

    async def get_context(self, request: pb.GetContextRequest, caller: Caller) -> pb.GetContextResponse:
        return pb.GetContextResponse(context=self._find(caller.resolve(request.name)))

    async def append_messages(
        self, request: pb.AppendMessagesRequest, caller: Caller
    ) -> pb.AppendMessagesResponse:
        name = caller.resolve(request.name, write=True)
        first = self._find(name).message_count + 1
        self._append(name, request.messages)
        return pb.AppendMessagesResponse(context=self._contexts[name], first_position=first)

    async def list_messages(self, request: pb.ListMessagesRequest, caller: Caller) -> pb.ListMessagesResponse:
        """ListMessages, in one page."""
        name = caller.resolve(request.name)
        self._find(name)
        found = [one for one in self._messages[name] if one.position > request.after_position]
        return pb.ListMessagesResponse(messages=reversed(found) if request.newest_first else found)

    async def pin_message(self, request: pb.PinMessageRequest, caller: Caller) -> pb.PinMessageResponse:
        name = caller.resolve(request.name, write=True)
        self._find(name)
        message = self._messages[name][request.position - 1]
        message.pinned = request.pinned
        return pb.PinMessageResponse(message=message)

    async def assemble_window(
        self, request: pb.AssembleWindowRequest, caller: Caller
    ) -> pb.AssembleWindowResponse:
        name = caller.resolve(request.name)
        context = self._find(name)
        budget = request.token_budget or context.token_budget or WINDOW
        kept = list(self._messages[name])
        dropped = []
        while sum(one.token_count for one in kept) > budget and any(_may_go(one) for one in kept):
            gone = next(one for one in kept if _may_go(one))
            kept.remove(gone)
            place = gone.position
            dropped.append(
                pb.DroppedMessages(first_position=place, last_position=place, reason=pb.DROP_REASON_NO_ROOM)
            )
        used = sum(one.token_count for one in kept)
        return pb.AssembleWindowResponse(
            messages=kept,
            token_count=used,
            token_budget=budget,
            available_tokens=max(budget - used, 0),
            dropped=dropped,
            exact_count=True,
            strategy=res.WINDOW_STRATEGY_DROP_OLDEST,
            etag=context.etag,
        )

    async def fork_context(self, request: pb.ForkContextRequest, caller: Caller) -> pb.ForkContextResponse:
        source = caller.resolve(request.source)
        found = self._find(source)
        name = self._new(request.name, caller)
        fork = res.Context()
        fork.CopyFrom(found)
        fork.name, fork.parent, fork.message_count = name, source, 0
        fork.forked_at = request.at_position or found.message_count
        self._contexts[name] = fork
        self._append(name, self._messages[source][: fork.forked_at])
        return pb.ForkContextResponse(context=fork)

    async def delete_context(
        self, request: pb.DeleteContextRequest, caller: Caller
    ) -> pb.DeleteContextResponse:
        name = caller.resolve(request.name, write=True)
        if not (request.allow_missing and name not in self._contexts):
            self._find(name)
            del self._contexts[name]
        return pb.DeleteContextResponse()

    async def list_contexts(self, request: pb.ListContextsRequest, caller: Caller) -> pb.ListContextsResponse:
        """ListContexts, in one page."""
        parent = caller.resolve(request.parent)
        found = [one for name, one in sorted(self._contexts.items()) if name.startswith(f"{parent}/")]
        return pb.ListContextsResponse(contexts=found)

    def _new(self, name: str, caller: Caller) -> str:
        resolved = caller.resolve(name, write=True)
        if resolved in self._contexts:
            raise AlreadyExists(f"{resolved} exists")
        self._messages[resolved] = []
        return resolved

    def _find(self, name: str) -> res.Context:
        if name not in self._contexts:
            raise NotFound(f"no {name}", reason="CONTEXT_NOT_FOUND")
        return self._contexts[name]

    def _append(self, name: str, messages: Iterable[res.Message]) -> None:
        kept = self._messages[name]
        for one in messages:
            message = res.Message()
            message.CopyFrom(one)
            message.position = len(kept) + 1
            message.token_count = len(pieces(one.message.content))
            kept.append(message)
        context = self._contexts[name]
        context.name = name
        context.message_count = len(kept)
        context.token_count = sum(one.token_count for one in kept)
        context.etag = str(len(kept))


def _may_go(message: res.Message) -> bool:
    return not message.pinned and message.message.role != chat_pb2.ROLE_SYSTEM
