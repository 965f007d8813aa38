"""Paths of Responses and Conversations, each bound to its use case."""

from dataclasses import dataclass

from aiohttp import web

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http import generating
from gateway.http.answers import json_response
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.fittings import Fittings
from gateway.http.responses.conversations import ConversationRoutes
from gateway.http.responses.counting import CountingRoutes
from gateway.http.responses.creating import Creating, Terms
from gateway.http.responses.desk import Desk
from gateway.http.responses.encoder import Encoder, Told
from gateway.http.responses.model import Record
from gateway.http.responses.owner import Owner
from gateway.http.responses.schema import Create
from gateway.http.responses.stored import StoredRoutes
from gateway.http.streaming import send
from gateway.http.visit import Visit


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request that was answered before, under the same idempotency key."""

    terms: Terms
    record: Record


class CreateRoute:
    """Answers `POST /v1/responses`."""

    def __init__(self, desk: Desk, stored: StoredRoutes) -> None:
        self._desk = desk
        self._stored = stored

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Create a response, or tell the one that an equal request with its idempotency key made."""
        made = await self._read(visit)
        if isinstance(made, Repeat):
            return await self._tell(visit, made.terms, made.record)
        if made.terms.background:
            return await self._in_background(visit, made)
        if not made.terms.stream:
            response, headers = await made.whole()
            return json_response(response, headers=headers)
        composer = made.composer()
        told = made.told(composer, visit.stream_seconds)
        return await send(visit, told, Encoder(composer), known=_known)

    async def _read(self, visit: Visit) -> "Creating | Repeat":
        """Read the request, and look whether it was answered before."""
        body = await visit.body(Create)
        terms = await Terms.of(visit, body)
        if visit.request_id and terms.stored:
            earlier = await self._desk.library.find(terms.keeper, terms.digits)
            if earlier is None and terms.background:
                earlier = await self._desk.library.find_pending(terms.keeper, terms.digits)
            if earlier is not None:
                terms.check_repeat(earlier)
                return Repeat(terms, earlier)
        return await Creating.of(self._desk, visit, body, terms)

    async def _in_background(self, visit: Visit, creating: Creating) -> web.StreamResponse:
        """Store what it takes, begin, and answer at once."""
        terms = creating.terms
        self._desk.background.check_room(terms.keeper)
        record = await creating.pending()
        owner = Owner.of(visit, self._desk.fittings.identities)
        await self._desk.background.ensure(owner, terms.keeper, record, resume=False)
        return await self._tell(visit, terms, record)

    async def _tell(self, visit: Visit, terms: Terms, record: Record) -> web.StreamResponse:
        if terms.stream:
            return await self._stored.stream(visit, record)
        return json_response(record.response)


def _known(first: Told | None) -> dict[str, str]:
    return generating.first_headers(first if isinstance(first, pb.StreamGenerateResponse) else None)


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    desk = Desk.of(fittings)
    stored = StoredRoutes(desk)
    create, counting = CreateRoute(desk, stored), CountingRoutes(desk)
    one = "/v1/responses/{response}"

    async def stop() -> None:
        await desk.background.stop()
        await desk.library.close()

    return Dialect(
        "responses",
        (
            Route("POST", "/v1/responses", create.create, tell_openai),
            Route("POST", "/v1/responses/input_tokens", counting.input_tokens, tell_openai),
            Route("POST", "/v1/responses/compact", counting.compact, tell_openai),
            Route("GET", one, stored.get, tell_openai),
            Route("DELETE", one, stored.delete, tell_openai),
            Route("POST", f"{one}/cancel", stored.cancel, tell_openai),
            Route("GET", f"{one}/input_items", stored.input_items, tell_openai),
            *ConversationRoutes(desk).routes,
        ),
        stop=stop,
    )
