"""What the routes of one door share: the kernel, what is kept, and the jobs in the background."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.http.errors import NotFound
from gateway.http.fittings import Fittings
from gateway.http.responses import ids
from gateway.http.responses.adapters.contexts import ContextShelf
from gateway.http.responses.adapters.windows import ContextWindows
from gateway.http.responses.answer import Json
from gateway.http.responses.background import Background, Limits
from gateway.http.responses.fitting import Fitter
from gateway.http.responses.items import kind_of
from gateway.http.responses.model import History, Keeper, Place, Record
from gateway.http.responses.ports import Shelf, Windows
from gateway.http.responses.request import Input
from gateway.http.responses.schema import Asked, Item, Named
from gateway.http.responses.service.claims import Claims
from gateway.http.responses.service.keeping import MOST_MESSAGES, Library, conversation_name
from services.chassis.rpc.errors import InvalidRequest

_REFERENCE: Final = "item_reference"
_MOST_REFERRED: Final = 32
"""Responses that the references of one request may lead to."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts, put together."""

    fittings: Fittings
    shelf: Shelf
    windows: Windows
    fitter: Fitter
    library: Library
    background: Background

    @classmethod
    def of(cls, fittings: Fittings) -> "Desk":
        """Put them on the kernel's calls."""
        config = fittings.config
        shelf, windows = ContextShelf(fittings.kernel.context), ContextWindows(fittings.kernel.context)
        fitter = Fitter(fittings.kernel, windows)
        library = Library(shelf, config.response_life.total_seconds(), time.time, config.stored_responses)
        claims = Claims(shelf, secrets.token_hex(8), config.background_claim.total_seconds(), time.time)
        seconds = config.background_seconds.total_seconds()
        limits = Limits(config.background_per_agent, seconds, root=fittings.root)
        background = Background(fittings.kernel, library, claims, fitter, limits)
        fittings.openings.add(background.shares)
        return cls(fittings, shelf, windows, fitter, library, background)

    async def history(self, keeper: Keeper, body: Asked) -> History:
        """Return the conversation that a request goes on with.

        Raises PreviousNotFound, NotFound or InvalidRequest.
        """
        if body.previous_response_id and body.conversation is not None:
            raise InvalidRequest.field(
                "conversation", "a conversation and previous_response_id exclude one another"
            )
        if body.previous_response_id:
            return await self.library.history(keeper, body.previous_response_id)
        if body.conversation is None:
            return History()
        named = body.conversation
        ident = named.id if isinstance(named, Named) else named
        digits = ids.conversation_digits(ident)
        found = None
        if digits is not None:
            found = await self.shelf.messages(keeper, conversation_name(digits), MOST_MESSAGES)
        if digits is None or found is None:
            raise NotFound(f"there is no conversation {ident[:128]!r}")
        if len(found) > MOST_MESSAGES:
            raise InvalidRequest.field("conversation", f"it has more than {MOST_MESSAGES} messages")
        place = Place(conversation_name(digits), len(found)) if found else None
        return History(tuple(found), place, digits)

    async def resolved(self, keeper: Keeper, body: Asked) -> Input:
        """Return the input with stored items in place of references to them. Raises NotFound."""
        if not isinstance(body.input, list) or all(kind_of(item) != _REFERENCE for item in body.input):
            return body.input
        stored: dict[str, Mapping[str, Json]] = {}
        return [
            await self._referred(keeper, item, stored) if kind_of(item) == _REFERENCE else item
            for item in body.input
        ]

    async def _referred(self, keeper: Keeper, item: Item, stored: dict[str, Mapping[str, Json]]) -> Item:
        ident = item.id or ""
        digits = ids.response_of(ident)
        if digits is not None and digits not in stored and len(stored) < _MOST_REFERRED:
            stored[digits] = items_of(await self.library.find(keeper, digits))
        told = stored.get(digits or "", {}).get(ident)
        if told is None:
            raise NotFound(f"there is no item {ident[:128]!r}")
        try:
            # Through its text: what of an item is read as it stands can be cut out of a text only.
            return msgspec.json.decode(msgspec.json.encode(told), type=Item)
        except msgspec.ValidationError:
            raise NotFound(f"item {ident[:128]!r} is not stored in a form that can be read") from None


def items_of(record: Record | None) -> dict[str, Json]:
    """Return the items of a stored response, input and output, by their ids."""
    if record is None:
        return {}
    return {str(item.get("id")): item for item in (*record.items, *record.response["output"])}
