"""What clients ask about stored responses: the response, its events, its input; and to end or forget it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from aiohttp import web

from gateway.http.answers import json_response
from gateway.http.common.text import ShownText
from gateway.http.errors import NotFound
from gateway.http.responses import ids
from gateway.http.responses.answer import Head, Json
from gateway.http.responses.background import offered
from gateway.http.responses.desk import Desk
from gateway.http.responses.encoder import Encoder, Told
from gateway.http.responses.errors import NotCancellable
from gateway.http.responses.model import Keeper, Record
from gateway.http.responses.owner import Owner
from gateway.http.responses.owner import keeper as keeper_of
from gateway.http.responses.paging import listing
from gateway.http.responses.stream import Composer
from gateway.http.streaming import send
from gateway.http.visit import Visit
from services.chassis.rpc.errors import DeadlineExceeded, InvalidRequest

_LOOK_SECONDS: Final = 1.0
"""How often a response is looked for that another process generates."""


class StoredRoutes:
    """Answers `/v1/responses/{response}` and what lies below it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def get(self, visit: Visit) -> web.StreamResponse:
        """Tell a response as it stands, or its events from a number on."""
        keeper, digits = keeper_of(visit), _digits(visit)
        record = await self._desk.library.find(keeper, digits)
        if record is None:
            record = await self._going_on(keeper, digits)
        if _flag(visit, "stream"):
            return await self.stream(visit, record, after=_number(visit, "starting_after", -1))
        if record.work is None:
            return json_response(record.response)
        job = await self._desk.background.ensure(
            Owner.of(visit, self._desk.fittings.identities), keeper, record
        )
        waits = job is not None and not job.admitted
        return json_response({**record.response, "status": "queued" if waits else "in_progress"})

    async def stream(self, visit: Visit, record: Record, *, after: int = -1) -> web.StreamResponse:
        """Tell a response's events after a number, those that are still to come too."""
        composer = Composer(
            Head.of(record.response),
            offered(record),
            ShownText(),
            by_text=True,
            after=after,
        )
        owner = Owner.of(visit, self._desk.fittings.identities)
        told = self._told(owner, keeper_of(visit), record, visit.stream_seconds)
        return await send(visit, told, Encoder(composer))

    async def delete(self, visit: Visit) -> web.StreamResponse:
        """Forget a response; one that goes on in the background ends."""
        keeper, digits = keeper_of(visit), _digits(visit)
        await self._desk.background.end(keeper, digits)
        if not await self._desk.library.forget(keeper, digits):
            raise _missing(visit)
        return web.Response(status=204)

    async def cancel(self, visit: Visit) -> web.StreamResponse:
        """End a response that goes on in the background; one that has ended stays as it is."""
        keeper, digits = keeper_of(visit), _digits(visit)
        ended = await self._desk.library.find(keeper, digits)
        if ended is not None:
            return json_response(_cancellable(ended.response))
        record = await self._going_on(keeper, digits)
        cancelled = Head.of(record.response).response("cancelled")
        told = await self._desk.library.settle(keeper, record, cancelled, ())
        await self._desk.background.end(keeper, digits)
        if told is None:
            raise _missing(visit)
        return json_response(told)

    async def input_items(self, visit: Visit) -> web.StreamResponse:
        """List the input of a response, the newest item first unless asked otherwise."""
        keeper, digits = keeper_of(visit), _digits(visit)
        record = await self._desk.library.find(keeper, digits)
        if record is None:
            record = await self._going_on(keeper, digits)
        return json_response(listing(record.items, visit.request.query))

    async def _going_on(self, keeper: Keeper, digits: str) -> Record:
        record = await self._desk.library.find_pending(keeper, digits)
        if record is None:
            record = await self._desk.library.find(keeper, digits)  # it may have ended in between
        if record is None:
            raise NotFound(f"there is no response {ids.response_id(digits)!r}")
        return record

    async def _told(
        self, owner: Owner, keeper: Keeper, record: Record, seconds: float
    ) -> AsyncGenerator[Told, None]:
        """Follow the job here, or wait for the end of one elsewhere, going on with what nobody runs."""
        digits, loop = ids.digits_of(record.id) or "", asyncio.get_running_loop()
        ends = loop.time() + seconds
        while record.work is not None:
            job = await self._desk.background.ensure(owner, keeper, record)
            if job is not None:
                async with aclosing(job.follow()) as told:
                    async for each in told:
                        yield each
                return
            if loop.time() > ends:
                raise DeadlineExceeded("the response goes on; ask for its events again")
            await asyncio.sleep(_LOOK_SECONDS)
            keeper = await owner.keeper()
            ended = await self._desk.library.find(keeper, digits)
            record = ended if ended is not None else await self._going_on(keeper, digits)
        yield record.response


def _digits(visit: Visit) -> str:
    digits = ids.digits_of(visit.request.match_info["response"])
    if digits is None:
        raise _missing(visit)
    return digits


def _missing(visit: Visit) -> NotFound:
    return NotFound(f"there is no response {visit.request.match_info['response'][:128]!r}")


def _cancellable(response: Json) -> Json:
    if not response.get("background"):
        raise NotCancellable("only a response that was made with background=true can be cancelled")
    return response


def _flag(visit: Visit, name: str) -> bool:
    return visit.request.query.get(name, "").lower() in {"true", "1"}


def _number(visit: Visit, name: str, default: int) -> int:
    text: Any = visit.request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:  # noqa: PLR2004 - more than any number of events
        raise InvalidRequest.field(name, "must be a whole number")
    return int(text)
