"""`/console/api/SERVICE/METHOD`: a call of the contract that answers once, as JSON."""

from typing import Any, Final

from aiohttp import web
from google.protobuf.message import Message

from gateway.http.console.core.hosts import Origin
from gateway.http.console.entrance import SHORT_BODY, Entrance, peer_of
from gateway.http.console.model import Session
from gateway.http.console.transcoding import json_of, message_of, method_of
from gateway.http.errors import WrongMethod
from services.chassis.aside import aside
from services.chassis.bodies import Holder
from services.chassis.gate import Visitor
from services.chassis.rpc.errors import UnknownMethod
from services.chassis.rpc.local import PEER
from services.chassis.rpc.methods import Method

_JSON_BY_WIRE: Final = 4
"""How many times as long JSON may be as the message: names of fields, base64, digits."""
_LEAST_BODY: Final = 16 * 1024


class Calls:
    """Makes calls with the visitor's own token."""

    def __init__(self, entrance: Entrance, channel: Any) -> None:
        self._entrance = entrance
        self._channel = channel

    async def answer(self, request: web.Request, origin: Origin, rest: str) -> web.StreamResponse:
        """Answer one request."""
        if request.method != "POST":
            raise WrongMethod("calls are made with POST")
        session = await self._entrance.session(request, origin)
        method = method_of(rest)
        if method.server_streaming:
            raise UnknownMethod("this call streams: watch it by /console/stream")
        answered = await self._call(request, session, method)
        body = await written(method, answered, Visitor(agent=holder_of(session)))
        answer = web.Response(body=body, content_type="application/json")
        await self._entrance.prolong(request, origin, session, answer)
        return answer

    async def _call(self, request: web.Request, session: Session, method: Method) -> bytes | Message:
        holder, longest = holder_of(session), self._entrance.fittings.config.body_bytes
        most = min(longest, max(_LEAST_BODY, _JSON_BY_WIRE * method.max_request_bytes))
        async with self._entrance.body(request, holder, most) as value:
            if (request.content_length or most) <= SHORT_BODY:
                message = message_of(method, value)
            else:
                message = await aside(lambda: message_of(method, value), visitor=Visitor(agent=holder))
            call = self._channel.unary_unary(method.path, response_deserializer=bytes)
            answer: bytes | Message = await call(
                message, timeout=method.default_deadline, metadata=metadata_of(session, request)
            )
        return answer


async def written(method: Method, answer: bytes | Message, visitor: Visitor) -> bytes:
    """Write an answer as JSON; a long one beside the event loop, which it would hold up."""
    size = len(answer) if isinstance(answer, bytes) else answer.ByteSize()
    if size <= SHORT_BODY:
        return json_of(method, answer)
    return await aside(lambda: json_of(method, answer), visitor=visitor)


def metadata_of(session: Session, request: web.Request) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call in a visitor's name."""
    return (("authorization", f"Bearer {session.token}"), (PEER, peer_of(request)))


def holder_of(session: Session) -> Holder:
    """Return whose memory a request is counted as."""
    return session.tenant, session.agent
