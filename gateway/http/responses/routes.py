"""Paths of Responses and Conversations, each bound to its use case."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from gateway.http.answers import json_response
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.fittings import Fittings
from gateway.http.responses import ids
from gateway.http.responses.answer import Head
from gateway.http.responses.composer import Composer
from gateway.http.responses.encoder import Encoder, Told
from gateway.http.responses.generating import Generating
from gateway.http.responses.request import Surroundings, prepare
from gateway.http.responses.schema import Create
from gateway.http.streaming import send
from gateway.http.visit import Visit
from services.chassis.rpc.errors import Internal

_TEMPERATURE = 1.0


class ResponseRoutes:
    """Answers `/v1/responses`."""

    def __init__(self, fittings: Fittings) -> None:
        self._fittings = fittings

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Create a response."""
        body = await visit.body(Create)
        digits = ids.new(visit.caller.agent, visit.request_id)
        aliases = self._fittings.aliases
        around = Surroundings(
            digits=digits,
            model=aliases.resolve(body.model or ""),
            header=visit.request.headers.get,
            temperature=_TEMPERATURE,
        )
        prepared = prepare(body, around)
        prepared.generation.request_id = visit.request_id
        prepared.echo["store"] = False
        head = Head(digits, int(time.time()), aliases.shown(body.model or ""), prepared.echo)
        generating = Generating(self._fittings.kernel, prepared, visit.main_metadata)
        if not body.stream:
            made = await generating.whole(visit.call_seconds, digits)
            return json_response(made.response(head, int(time.time())))
        composer = Composer(head, prepared.offered, prepared.shown())
        told = self._told(generating, composer, head, visit.stream_seconds)
        return await send(visit, told, Encoder(composer))

    async def _told(
        self, generating: Generating, composer: Composer, head: Head, seconds: float
    ) -> AsyncGenerator[Told, None]:
        async with aclosing(generating.events(seconds)) as events:
            async for event in events:
                yield event
        made = composer.composed
        if made is None:
            raise Internal("a generation ended without an answer")
        yield made.response(head, int(time.time()))


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    routes = ResponseRoutes(fittings)
    return Dialect("responses", (Route("POST", "/v1/responses", routes.create, tell_openai),))
