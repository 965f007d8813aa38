"""Answers `/v1/completions`, whole or as a stream."""

from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from gateway.http import choices, generating
from gateway.http.answers import json_response
from gateway.http.common.answers import Head
from gateway.http.completions import answer, request
from gateway.http.completions.answer import CompletionStream, Event
from gateway.http.completions.request import Completion
from gateway.http.completions.schema import Body
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.fittings import Fittings
from gateway.http.streaming import send
from gateway.http.visit import Visit


class CompletionRoutes:
    """Completions of prompts as they stand."""

    def __init__(self, fittings: Fittings) -> None:
        self._fittings = fittings
        self._kernel = fittings.kernel

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Generate."""
        read, head = await self._read(visit)
        if read.stream:
            events = choices.several(self._kernel, visit, read.plans, visit.stream_seconds, seeds=read.seeds)
            return await send(visit, events, CompletionStream(head, read), known=_known)
        names, answers = await choices.gathered(
            self._kernel, visit, read.plans, seeds=read.seeds, logprobs=read.logprobs
        )
        ends = [each.finished for each in answers]
        told = Head(head.id, head.created, ends[0].model or head.model)
        return json_response(
            answer.completion(told, read, answers), headers=generating.headers_of(names, ends)
        )

    async def _read(self, visit: Visit) -> tuple[Completion, Head]:
        body = await visit.body(Body)
        reading = partial(
            request.read,
            body,
            header=visit.request.headers.get,
            resolve=self._fittings.aliases.resolve,
            temperature=self._fittings.config.default_temperature,
            request_id=visit.request_id,
        )
        read = await visit.aside(reading)
        head = Head(
            f"cmpl-{visit.request_id or visit.syscall_id}",
            int(datetime.now(UTC).timestamp()),
            self._fittings.aliases.shown(body.model or ""),
        )
        return read, head


def _known(first: Event | None) -> dict[str, str]:
    return generating.first_headers(None if first is None else first[1])


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    routes = CompletionRoutes(fittings)
    return Dialect("completions", (Route("POST", "/v1/completions", routes.create, tell_openai),))
