"""Answers `/v1/conversations`: conversations with an id of their own, each one context of the caller's.

Messages never change, so an item can be added and read, but not taken out; the whole conversation can be
deleted.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from gateway.http.answers import json_response
from gateway.http.dialect import Route, tell_openai
from gateway.http.errors import NotFound, UnsupportedParameter
from gateway.http.responses import ids, said
from gateway.http.responses.answer import Json
from gateway.http.responses.desk import Desk
from gateway.http.responses.items import InputReader
from gateway.http.responses.model import Keeper, Shelved
from gateway.http.responses.offered import Offered
from gateway.http.responses.owner import keeper as keeper_of
from gateway.http.responses.paging import Asked, page_of
from gateway.http.responses.request import metadata
from gateway.http.responses.schema import Conversation, Item, Items
from gateway.http.responses.service.keeping import MOST_AT_ONCE, MOST_MESSAGES, conversation_name
from gateway.http.visit import Visit
from services.chassis.chat import ChatMessage
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import IdempotencyMismatch, InvalidRequest, KernelError

_GONE: Final = "CONTEXT_NOT_FOUND"
_DIGEST: Final = "aios-digest"
"""Label that holds the digest of the request that began a conversation."""


class ConversationRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shelf = desk.shelf

    @property
    def routes(self) -> tuple[Route, ...]:
        """Return them with their paths."""
        every, one = "/v1/conversations", "/v1/conversations/{conversation}"
        item = f"{one}/items/{{item}}"
        return (
            Route("POST", every, self.create, tell_openai),
            Route("GET", one, self.get, tell_openai),
            Route("POST", one, self.update, tell_openai),
            Route("DELETE", one, self.delete, tell_openai),
            Route("GET", f"{one}/items", self.items, tell_openai),
            Route("POST", f"{one}/items", self.add, tell_openai),
            Route("GET", item, self.item, tell_openai),
            Route("DELETE", item, self.remove, tell_openai),
        )

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Begin a conversation, possibly with its first items."""
        body, keeper = await visit.body(Conversation), keeper_of(visit)
        digest = hashlib.sha256(await visit.raw()).hexdigest()
        labels = {**said.labels_of(metadata(body.metadata)), _DIGEST: digest}
        digits = ids.new(keeper.agent, visit.request_id)
        messages = self._read(digits, body.items, ())
        try:
            made = await self._shelf.open(keeper, conversation_name(digits), labels)
        except KernelError as error:
            if error.reason != "ALREADY_EXISTS" or not visit.request_id:
                raise
            made = await self._there(visit, keeper, digits)
            if made.labels.get(_DIGEST) != digest:
                raise IdempotencyMismatch(
                    "another conversation was begun under this idempotency key; use a new one",
                    metadata={"request_id": ids.conversation_id(digits)},
                ) from None
        if messages:
            await self._shelf.append(keeper, conversation_name(digits), messages, f"{digits}-first")
        return json_response(_told(digits, made))

    async def get(self, visit: Visit) -> web.StreamResponse:
        """Tell a conversation."""
        digits = _digits(visit)
        return json_response(_told(digits, await self._there(visit, keeper_of(visit), digits)))

    async def update(self, visit: Visit) -> web.StreamResponse:
        """Replace the client's notes."""
        body, digits, keeper = await visit.body(Conversation), _digits(visit), keeper_of(visit)
        seen = await self._there(visit, keeper, digits)
        labels = {key: text for key, text in seen.labels.items() if key == _DIGEST}
        labels |= said.labels_of(metadata(body.metadata))
        if not await self._shelf.label(keeper, conversation_name(digits), labels):
            raise _missing(visit)
        return json_response(_told(digits, await self._there(visit, keeper, digits)))

    async def delete(self, visit: Visit) -> web.StreamResponse:
        """Forget a conversation. Responses that were made in it keep their messages."""
        digits = _digits(visit)
        if not await self._shelf.remove(keeper_of(visit), conversation_name(digits)):
            raise _missing(visit)
        told = {"id": ids.conversation_id(digits), "object": "conversation.deleted", "deleted": True}
        return json_response(told)

    async def items(self, visit: Visit) -> web.StreamResponse:
        """List items, the newest first unless asked otherwise."""
        digits, asked = _digits(visit), Asked.of(visit.request.query)
        start = 0
        if asked.after:
            place = ids.said_place(asked.after)
            if place is None or place[0] != digits:
                raise InvalidRequest.field("after", "there is no such item")
            start = place[1] + (1 if asked.newest_first else -1)  # parts of its message may still be to come
        found = await self._page(visit, digits, start, asked.limit + 2, newest_first=asked.newest_first)
        told = said.all_items(digits, found, newest_first=asked.newest_first)
        if asked.after:
            told = _after(told, asked.after)
        return json_response(page_of(told[: asked.limit], has_more=len(told) > asked.limit))

    async def add(self, visit: Visit) -> web.StreamResponse:
        """Add items at the end."""
        body, digits, keeper = await visit.body(Items), _digits(visit), keeper_of(visit)
        name = conversation_name(digits)
        earlier = await self._shelf.messages(keeper, name, MOST_MESSAGES)
        if earlier is None:
            raise _missing(visit)
        messages = self._read(digits, body.items, earlier)
        if not messages:
            raise InvalidRequest.field("items", "an item is required")
        if len(earlier) + len(messages) > MOST_MESSAGES:
            raise InvalidRequest.field("items", f"a conversation has at most {MOST_MESSAGES} messages")
        first = await self._shelf.append(keeper, name, messages, visit.request_id)
        told = said.all_items(digits, list(enumerate(messages, first)))
        return json_response(page_of(told, has_more=False))

    async def item(self, visit: Visit) -> web.StreamResponse:
        """Tell one item."""
        digits, ident = _digits(visit), visit.request.match_info["item"]
        place = ids.said_place(ident)
        if place is not None and place[0] == digits:
            found = await self._page(visit, digits, place[1] - 1, 1, newest_first=False)
            for told in said.all_items(digits, found):
                if told["id"] == ident:
                    return json_response(told)
        raise NotFound(f"there is no item {ident[:128]!r}")

    async def remove(self, visit: Visit) -> web.StreamResponse:
        """Refuse: what was said stays as it was."""
        await self._there(visit, keeper_of(visit), _digits(visit))
        raise UnsupportedParameter.field("item", "messages never change here; delete the conversation")

    async def _there(self, visit: Visit, keeper: Keeper, digits: str) -> Shelved:
        found = await self._shelf.look(keeper, conversation_name(digits))
        if found is None:
            raise _missing(visit)
        return found

    async def _page(
        self, visit: Visit, digits: str, after: int, most: int, *, newest_first: bool
    ) -> list[tuple[int, ChatMessage]]:
        name = conversation_name(digits)
        try:
            page = await self._shelf.page(
                keeper_of(visit), name, after=max(after, 0), most=most, newest_first=newest_first
            )
        except KernelError as error:
            if error.reason != _GONE:
                raise
            raise _missing(visit) from None
        return list(page)

    def _read(
        self, digits: str, items: list[Item] | None, earlier: Sequence[ChatMessage]
    ) -> tuple[ChatMessage, ...]:
        known = [chat_wire.message_proto(each) for each in earlier]
        reader = InputReader(Offered.known({}), digits, known)
        reader.read(items, "items")
        if len(reader.messages) > MOST_AT_ONCE:
            raise InvalidRequest.field("items", f"at most {MOST_AT_ONCE} messages can be added at once")
        return chat_wire.messages(reader.messages)


def _after(told: list[Json], ident: str) -> list[Json]:
    for index, item in enumerate(told):
        if item["id"] == ident:
            return told[index + 1 :]
    raise InvalidRequest.field("after", "there is no such item")


def _told(digits: str, shelved: Shelved) -> Json:
    return {
        "id": ids.conversation_id(digits),
        "object": "conversation",
        "created_at": int(shelved.created_at),
        "metadata": said.metadata_of(shelved.labels),
    }


def _digits(visit: Visit) -> str:
    digits = ids.conversation_digits(visit.request.match_info["conversation"])
    if digits is None:
        raise _missing(visit)
    return digits


def _missing(visit: Visit) -> NotFound:
    return NotFound(f"there is no conversation {visit.request.match_info['conversation'][:128]!r}")
