"""Answers `/v1/chat/completions`, whole or as a stream."""

from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from gateway.http import choices, generating
from gateway.http.answers import json_response
from gateway.http.chat import answer, request
from gateway.http.chat.request import Chat
from gateway.http.chat.schema import Body
from gateway.http.chat.stream import ChatStream, Event
from gateway.http.common.answers import Answer, Head
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.errors import NotFound
from gateway.http.fittings import Fittings
from gateway.http.streaming import send
from gateway.http.visit import Visit

_PATH = "/v1/chat/completions"


class ChatRoutes:
    """Chat completions. None is stored, so the list of stored ones is empty and none is found."""

    def __init__(self, fittings: Fittings) -> None:
        self._fittings = fittings
        self._kernel = fittings.kernel

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Generate."""
        chat, head = await self._read(visit)
        if chat.stream:
            events = choices.several(
                self._kernel, visit, [chat.plan] * len(chat.seeds), visit.stream_seconds, seeds=chat.seeds
            )
            return await send(visit, events, ChatStream(head, chat), known=_known)
        return await self._whole(visit, chat, head)

    async def _read(self, visit: Visit) -> tuple[Chat, Head]:
        """Read the request. Its JSON is not held while the call runs: it takes many times its length."""
        body = await visit.body(Body)
        reading = partial(
            request.read,
            body,
            header=visit.request.headers.get,
            resolve=self._fittings.aliases.resolve,
            temperature=self._fittings.config.default_temperature,
            request_id=visit.request_id,
        )
        chat = await visit.aside(reading)
        head = Head(
            id=f"chatcmpl-{visit.request_id or visit.syscall_id}",
            created=int(datetime.now(UTC).timestamp()),
            model=self._fittings.aliases.shown(body.model or ""),
            custom=chat.custom,
        )
        return chat, head

    async def _whole(self, visit: Visit, chat: Chat, head: Head) -> web.StreamResponse:
        if len(chat.seeds) == 1 and not chat.logprobs:
            one = await generating.whole(
                self._kernel, visit, chat.plan.request, chat.plan.tier, chat.plan.words
            )
            names, answers = [one.name], [Answer(one.finished)]
        else:
            names, answers = await choices.gathered(
                self._kernel,
                visit,
                [chat.plan] * len(chat.seeds),
                seeds=chat.seeds,
                logprobs=chat.logprobs,
            )
        ends = [each.finished for each in answers]
        told = Head(
            head.id,
            head.created,
            ends[0].model or head.model,
            head.custom,
            chat.plan.tier.applied if chat.tier else "",
        )
        return json_response(answer.completion(told, answers), headers=generating.headers_of(names, ends))

    async def list(self, _visit: Visit) -> web.StreamResponse:
        """List the stored ones: none."""
        return json_response(
            {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        )

    async def missing(self, _visit: Visit) -> web.StreamResponse:
        """Refuse: chat completions are not stored."""
        raise NotFound("chat completions are not stored here")


def _known(first: Event | None) -> dict[str, str]:
    return generating.first_headers(None if first is None else first[1])


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    routes = ChatRoutes(fittings)
    one = f"{_PATH}/{{completion}}"
    missing = [Route(method, one, routes.missing, tell_openai) for method in ("GET", "POST", "DELETE")]
    return Dialect(
        "chat",
        (
            Route("POST", _PATH, routes.create, tell_openai),
            Route("GET", _PATH, routes.list, tell_openai),
            *missing,
            Route("GET", f"{one}/messages", routes.missing, tell_openai),
        ),
    )
