"""Keeps conversations and records in the caller's own contexts, by the caller's own calls."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2, resources_pb2
from gateway.http.responses.model import Keeper, Name, Place, Shelved
from services.chassis.chat import ChatMessage
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import KernelError

if TYPE_CHECKING:
    from aios.api.context.v1 import context_pb2_grpc

SECONDS: Final = 10.0
"""Longest time of one call."""
MARK: Final = "aios-record"
"""The speaker's name in messages that hold a piece of a record. They stand behind all others."""
_PIECE: Final = 262_144
"""Characters of a record in one message, which takes 1 MiB."""
_PIECES: Final = 16
_PAGE: Final = 500
_FEW: Final = 4
_GONE: Final = "CONTEXT_NOT_FOUND"
_LABELS: Final = ["labels"]


class ContextShelf:
    """The Shelf port on ContextService."""

    def __init__(self, contexts: "context_pb2_grpc.ContextServiceAsyncStub") -> None:
        self._contexts = contexts

    async def put(
        self,
        keeper: Keeper,
        name: Name,
        messages: Sequence[ChatMessage],
        record: bytes,
        after: Place | None = None,
    ) -> bool:
        """Keep messages and a record, by one change, or by a fork and one change under its etag."""
        written = [*_messages(messages), *_pieces(record)]
        if after is None or not after.count:
            context = resources_pb2.Context(name=_path(name))
            request = context_pb2.CreateContextRequest(context=context, messages=written)
            try:
                await self._contexts.CreateContext(request, metadata=keeper.metadata, timeout=SECONDS)
            except KernelError as error:
                if error.reason != "ALREADY_EXISTS":
                    raise
                return False
            return True
        etag = await self._forked(keeper, name, after)
        if not etag:
            return False
        more = context_pb2.AppendMessagesRequest(name=_path(name), messages=written, etag=etag)
        try:
            await self._contexts.AppendMessages(more, metadata=keeper.metadata, timeout=SECONDS)
        except KernelError as error:
            if error.reason != "ETAG_MISMATCH":
                raise
            return False
        return True

    async def record(self, keeper: Keeper, name: Name) -> bytes | None:
        """Read the messages from the end as far as they are pieces of a record."""
        pieces: list[str] = []
        async for message in self._newest(keeper, name):
            if message.name != MARK or len(pieces) == _PIECES:
                break
            pieces.append(message.content)
        return "".join(reversed(pieces)).encode() if pieces else None

    async def messages(self, keeper: Keeper, name: Name, most: int) -> Sequence[ChatMessage] | None:
        """Read page by page."""
        found: list[ChatMessage] = []
        token = ""
        while len(found) <= most:
            request = context_pb2.ListMessagesRequest(name=_path(name), page_size=_PAGE, page_token=token)
            try:
                page = await self._contexts.ListMessages(request, metadata=keeper.metadata, timeout=SECONDS)
            except KernelError as error:
                if error.reason != _GONE:
                    raise
                return None
            found += [chat_wire.message(each.message) for each in page.messages if each.message.name != MARK]
            token = page.next_page_token
            if not token:
                break
        return found

    async def page(
        self, keeper: Keeper, name: Name, *, after: int, most: int, newest_first: bool
    ) -> Sequence[tuple[int, ChatMessage]]:
        """Read one page. Backwards the context manager knows no `before`, so what is newer is read over."""
        found: list[tuple[int, ChatMessage]] = []
        token = ""
        while len(found) < most:
            request = context_pb2.ListMessagesRequest(
                name=_path(name),
                after_position=0 if newest_first else after,
                newest_first=newest_first,
                page_size=_PAGE,
                page_token=token,
            )
            page = await self._contexts.ListMessages(request, metadata=keeper.metadata, timeout=SECONDS)
            found += [
                (each.position, chat_wire.message(each.message))
                for each in page.messages
                if not newest_first or not after or each.position < after
            ]
            token = page.next_page_token
            if not token:
                break
        return found[:most]

    async def open(self, keeper: Keeper, name: Name, labels: Mapping[str, str]) -> Shelved:
        """Create it."""
        request = context_pb2.CreateContextRequest(
            context=resources_pb2.Context(name=_path(name), labels=labels)
        )
        made = await self._contexts.CreateContext(request, metadata=keeper.metadata, timeout=SECONDS)
        return _shelved(made.context)

    async def append(self, keeper: Keeper, name: Name, messages: Sequence[ChatMessage], once: str) -> int:
        """Append under a request id."""
        request = context_pb2.AppendMessagesRequest(
            name=_path(name), messages=_messages(messages), request_id=once
        )
        done = await self._contexts.AppendMessages(request, metadata=keeper.metadata, timeout=SECONDS)
        return done.first_position

    async def look(self, keeper: Keeper, name: Name) -> Shelved | None:
        """Get it."""
        request = context_pb2.GetContextRequest(name=_path(name))
        try:
            found = await self._contexts.GetContext(request, metadata=keeper.metadata, timeout=SECONDS)
        except KernelError as error:
            if error.reason != _GONE:
                raise
            return None
        return _shelved(found.context)

    async def label(self, keeper: Keeper, name: Name, labels: Mapping[str, str], etag: str = "") -> bool:
        """Update the labels alone."""
        request = context_pb2.UpdateContextRequest(
            context=resources_pb2.Context(name=_path(name), labels=labels, etag=etag),
            update_mask={"paths": _LABELS},
        )
        try:
            await self._contexts.UpdateContext(request, metadata=keeper.metadata, timeout=SECONDS)
        except KernelError as error:
            if error.reason not in {_GONE, "ETAG_MISMATCH"}:
                raise
            return False
        return True

    async def remove(self, keeper: Keeper, name: Name) -> bool:
        """Delete it."""
        request = context_pb2.DeleteContextRequest(name=_path(name))
        try:
            await self._contexts.DeleteContext(request, metadata=keeper.metadata, timeout=SECONDS)
        except KernelError as error:
            if error.reason != _GONE:
                raise
            return False
        return True

    async def everything(self, keeper: Keeper) -> Sequence[Shelved]:
        """List them all; an agent has a bounded number."""
        found: list[Shelved] = []
        token = ""
        while True:
            request = context_pb2.ListContextsRequest(parent="agents/me", page_size=_PAGE, page_token=token)
            page = await self._contexts.ListContexts(request, metadata=keeper.metadata, timeout=SECONDS)
            found += [_shelved(each) for each in page.contexts]
            token = page.next_page_token
            if not token:
                return found

    async def _forked(self, keeper: Keeper, name: Name, after: Place) -> str:
        """Fork, and return the etag; empty when the name is taken, unless by a fork that got no further."""
        request = context_pb2.ForkContextRequest(
            name=_path(name), source=_path(after.name), at_position=after.count
        )
        try:
            made = await self._contexts.ForkContext(request, metadata=keeper.metadata, timeout=SECONDS)
        except KernelError as error:
            if error.reason != "ALREADY_EXISTS":
                raise
        else:
            return made.context.etag
        seen = context_pb2.GetContextRequest(name=_path(name))
        there = (await self._contexts.GetContext(seen, metadata=keeper.metadata, timeout=SECONDS)).context
        bare = there.parent.endswith(f"/{after.name}") and there.message_count == there.forked_at
        return there.etag if bare else ""

    async def _newest(self, keeper: Keeper, name: Name) -> AsyncIterator[chat_pb2.ChatMessage]:
        """Yield the messages from the last one on; none when there is no such context."""
        token = ""
        while True:
            request = context_pb2.ListMessagesRequest(
                name=_path(name), newest_first=True, page_size=_FEW, page_token=token
            )
            try:
                page = await self._contexts.ListMessages(request, metadata=keeper.metadata, timeout=SECONDS)
            except KernelError as error:
                if error.reason != _GONE:
                    raise
                return
            for each in page.messages:
                yield each.message
            token = page.next_page_token
            if not token:
                return


def _path(name: Name) -> str:
    return f"agents/me/contexts/{name}"


def _messages(messages: Sequence[ChatMessage]) -> list[resources_pb2.Message]:
    return [resources_pb2.Message(message=chat_wire.message_proto(each)) for each in messages]


def _pieces(record: bytes) -> list[resources_pb2.Message]:
    """Cut a record into messages. They count nothing: no window is ever made of them."""
    text = record.decode()
    cuts = range(0, len(text), _PIECE)
    return [
        resources_pb2.Message(
            message=chat_pb2.ChatMessage(
                role=chat_pb2.ROLE_ASSISTANT, name=MARK, content=text[at : at + _PIECE]
            ),
            token_count=1,
        )
        for at in cuts
    ]


def _shelved(context: resources_pb2.Context) -> Shelved:
    return Shelved(
        name=Name(context.name.rpartition("/")[2]),
        created_at=context.create_time.ToMicroseconds() / 1e6,
        count=context.message_count,
        labels=dict(context.labels),
        etag=context.etag,
    )
