"""The two ends of an HTTP exchange: a head that is no HTTP, and an answer that its client does not take."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong

from gateway.http.core.refusals import openai
from gateway.http.errors import UnsupportedEncoding
from services.chassis.rpc.errors import KernelError, MalformedRequest
from services.chassis.rpc.steps import mapping

_SLOWEST: Final = 16 * 1024
"""Bytes a second that a client takes at least; so a large answer has more time."""
_FAULT: Final = 500
_REFUSED: Final = 400
_SERVER: Final = "aios"


class DoorProtocol(web.RequestHandler):
    """Tells in the door's words what the HTTP library refuses by itself. Bad bytes are not logged."""

    lost: Callable[[asyncio.BaseTransport], None] | None = None
    """Is told of the connection's end."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whoever counts connections."""
        transport = self.transport
        super().connection_lost(exc)
        if transport is not None and self.lost is not None:
            self.lost(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _FAULT,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the library's text, which quotes the client and itself
    ) -> web.StreamResponse:
        """Answer, and close the connection. Raises ConnectionError when the answer has begun."""
        error = mapping.typed(_as_error(exc), "door") if status >= _FAULT else _refused(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        told = openai(error)
        answer = web.Response(
            status=told.status,
            body=msgspec.json.encode(told.body),
            content_type="application/json",
            headers={**told.headers, "server": _SERVER},
        )
        answer.force_close()
        return answer


async def sign(_request: web.Request, answer: web.StreamResponse) -> None:
    """Name the server without the versions of what it is made of, which the library would tell."""
    answer.headers["server"] = _SERVER


def _as_error(exc: BaseException | None) -> Exception:
    return exc if isinstance(exc, Exception) else RuntimeError("a request ended without an answer")


def _refused(exc: BaseException | None) -> KernelError:
    if isinstance(exc, ContentEncodingError):
        return UnsupportedEncoding("the content-encoding is not understood")
    if isinstance(exc, LineTooLong):
        return MalformedRequest("a line of the request's head is too long")
    return MalformedRequest("the request is not HTTP")


def patience(seconds: float, size: int) -> float:
    """Return how long a client may take for `size` bytes, `seconds` being the time of a few."""
    return seconds + size / _SLOWEST


async def deliver(request: web.Request, answer: web.StreamResponse, seconds: float) -> None:
    """Send an answer. A client that does not take it in time is cut off; one that has left takes nothing.

    A connection whose request's body cannot be read is closed behind the answer: nothing on it can be
    understood any more. So is one over which a packed body came that was refused.
    """
    unread = "content-encoding" in request.headers and answer.status >= _REFUSED
    broken = unread or request.content.exception() is not None
    if broken and not answer.prepared:
        answer.force_close()
    body: Any = answer.body if isinstance(answer, web.Response) else None
    size = len(body) if isinstance(body, bytes) else 0
    try:
        async with asyncio.timeout(patience(seconds, size)):
            await answer.prepare(request)
            await answer.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        return
    if broken:
        request.protocol.force_close()


async def expected(request: web.Request) -> None:
    """Let a client that asks first send its body; what else it expects is ignored, as HTTP allows."""
    if request.version == HttpVersion11 and request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer has been sent yet
