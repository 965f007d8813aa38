"""Answers `/v1/messages` and `/v1/messages/count_tokens`."""

from functools import partial

from aiohttp import web

from gateway.http import generating
from gateway.http.answers import json_response
from gateway.http.dialect import Dialect, Route, tell_anthropic
from gateway.http.fittings import Fittings
from gateway.http.messages import answer, request
from gateway.http.messages.schema import Counted, Request
from gateway.http.messages.stream import MessageStream
from gateway.http.streaming import send
from gateway.http.visit import Visit
from services.chassis.rpc.errors import KernelError


class MessageRoutes:
    """The two routes."""

    def __init__(self, fittings: Fittings) -> None:
        self._kernel = fittings.kernel
        self._aliases = fittings.aliases

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Generate one message, whole or as a stream."""
        body = await visit.body(Request)
        asked, words, tier = await visit.aside(partial(request.generation, body, visit.request.headers.get))
        asked.model = self._aliases.resolve(body.model)
        asked.request_id = visit.request_id
        model = self._aliases.shown(body.model)
        if body.stream:
            events = generating.stream(self._kernel, visit, asked, tier, words)
            encoder = MessageStream(asked, model, tier, visit.syscall_id)
            return await send(visit, events, encoder, known=generating.first_headers)
        made = await generating.whole(self._kernel, visit, asked, tier, words)
        told = answer.whole(made, model, tier.applied)
        return json_response(told, headers=generating.headers(made.finished, made.name))

    async def count(self, visit: Visit) -> web.StreamResponse:
        """Count the tokens of a prompt."""
        body = await visit.body(Counted)
        asked, words = await visit.aside(partial(request.counting, body))
        asked.model = self._aliases.resolve(body.model)
        try:
            counted = await self._kernel.inference.CountTokens(asked, metadata=visit.main_metadata)
        except KernelError as error:
            raise words.reword(error) from None
        return json_response({"input_tokens": counted.token_count})


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    routes = MessageRoutes(fittings)
    return Dialect(
        "messages",
        (
            Route("POST", "/v1/messages", routes.create, tell_anthropic),
            Route("POST", "/v1/messages/count_tokens", routes.count, tell_anthropic),
        ),
    )
