"""Answers `/v1/chat/completions`, whole or as a stream."""

from contextlib import aclosing
from datetime import UTC, datetime

from aiohttp import web

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http import choices, generating
from gateway.http.answers import json_response
from gateway.http.chat import answer, request
from gateway.http.chat.answer import Answer, Head
from gateway.http.chat.request import Chat
from gateway.http.chat.schema import Body
from gateway.http.chat.stream import ChatStream, Event
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.errors import NotFound
from gateway.http.fittings import Fittings
from gateway.http.streaming import send
from gateway.http.visit import Visit
from services.chassis.rpc.errors import Internal

_PATH = "/v1/chat/completions"


class ChatRoutes:
    """Chat completions. None is stored, so the list of stored ones is empty and none is found."""

    def __init__(self, fittings: Fittings) -> None:
        self._fittings = fittings
        self._kernel = fittings.kernel

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Generate."""
        body = await visit.body(Body)
        chat = request.read(
            body,
            header=visit.request.headers.get,
            resolve=self._fittings.aliases.resolve,
            temperature=self._fittings.config.default_temperature,
            request_id=visit.request_id,
        )
        head = Head(
            id=f"chatcmpl-{visit.request_id or visit.syscall_id}",
            created=int(datetime.now(UTC).timestamp()),
            model=self._fittings.aliases.shown(body.model or ""),
            custom=chat.custom,
        )
        if chat.stream:
            events = choices.several(
                self._kernel, visit, [chat.plan] * len(chat.seeds), visit.stream_seconds, seeds=chat.seeds
            )
            return await send(visit, events, ChatStream(head, chat), known=_known)
        return await self._whole(visit, chat, head)

    async def _whole(self, visit: Visit, chat: Chat, head: Head) -> web.StreamResponse:
        if len(chat.seeds) == 1 and not chat.logprobs:
            one = await generating.whole(
                self._kernel, visit, chat.plan.request, chat.plan.tier, chat.plan.words
            )
            names, answers = [one.name], [Answer(one.finished)]
        else:
            names, answers = await self._gathered(visit, chat)
        ends = [each.finished for each in answers]
        told = Head(
            head.id,
            head.created,
            ends[0].model or head.model,
            head.custom,
            chat.plan.tier.applied if chat.tier else "",
        )
        return json_response(answer.completion(told, answers), headers=generating.headers_of(names, ends))

    async def _gathered(self, visit: Visit, chat: Chat) -> tuple[list[str], list[Answer]]:
        """Gather several answers, or one with its log-probabilities, which only streams tell."""
        count = len(chat.seeds)
        names, ends = [""] * count, [pb.Finished()] * count
        places: list[list[pb.TopAlternatives]] = [[] for _ in chat.seeds]
        finished = 0
        events = choices.several(
            self._kernel, visit, [chat.plan] * count, visit.call_seconds, seeds=chat.seeds
        )
        async with aclosing(events):
            async for index, event in events:
                names[index] = names[index] or event.name
                places[index].extend(event.event.delta.top_alternatives)
                if event.event.HasField("finished"):
                    ends[index] = event.event.finished
                    finished += 1
        if finished < count:
            raise Internal("an answer ended without its end being told")
        told = places if chat.logprobs else [None] * count
        return names, [Answer(end, each) for end, each in zip(ends, told, strict=True)]

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
