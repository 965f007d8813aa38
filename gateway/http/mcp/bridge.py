"""An ASGI application inside aiohttp: the request goes in whole, the answer comes out as it is made."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from aiohttp import web

from gateway.http.unpacking import read_body
from services.chassis.gate import Visitor

Message = MutableMapping[str, Any]
Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

_END_SECONDS: Final = 5.0
"""How long an application may take to end once its client has gone."""

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})
"""Headers that aiohttp decides itself."""


class Exchange:
    """One request and its answer."""

    def __init__(
        self,
        request: web.Request,
        *,
        read_seconds: float,
        write_seconds: float,
        begun: Callable[[int, Mapping[str, str]], None] = lambda _status, _headers: None,
    ) -> None:
        """Take the times that the client has to send its body, and to take a part of the answer.

        `begun` hears the status and the headers, in lower case, just before they are sent.
        """
        self._request = request
        self._begun = begun
        self._read_seconds = read_seconds
        self._write_seconds = write_seconds
        self._body: bytes | None = None
        self._gone = asyncio.Event()
        self.answer: web.StreamResponse | None = None
        """The answer, once its first line was sent."""

    async def read(self, most: int, visitor: Visitor) -> bytes:
        """Read the body of a visitor's request.

        Raises RequestTooLarge, RequestTimeout, UnsupportedEncoding and MalformedRequest.
        """
        return await read_body(self._request, most, self._read_seconds, visitor)

    async def run(self, application: Application, body: bytes, **state: Any) -> web.StreamResponse | None:
        """Let the application answer; `state` goes into its scope. None: it sent nothing.

        The end of the answer is left to whom it is returned to.
        """
        self._body = body
        answering = asyncio.ensure_future(application(self._scope() | state, self._receive, self._send))
        try:
            await asyncio.shield(answering)
        except asyncio.CancelledError:
            # The client has gone, perhaps with all it wanted. The application is told and ends as it likes:
            # to cancel it would undo what the answer has said already, such as that a session was opened.
            self._gone.set()
            answering.add_done_callback(_seen)
            try:
                await asyncio.wait({answering}, timeout=_END_SECONDS)
            finally:
                answering.cancel()
            raise
        return self.answer

    def _scope(self) -> dict[str, Any]:
        request = self._request
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": f"{request.version.major}.{request.version.minor}",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.rel_url.raw_path.encode(),
            "query_string": request.rel_url.raw_query_string.encode(),
            "root_path": "",
            "headers": [(key.lower(), value) for key, value in request.raw_headers],
            "client": (request.remote or "", 0),
            "server": ("", 0),
            "state": {},
        }

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            return
        try:
            async with asyncio.timeout(self._write_seconds):
                if message["type"] == "http.response.start":
                    await self._begin(message)
                elif self.answer is not None and message.get("body"):
                    await self.answer.write(message["body"])
        except (ConnectionError, TimeoutError):  # it has gone, or takes nothing; the application hears of it
            self._gone.set()
            if self._request.transport is not None:
                self._request.transport.abort()

    async def _begin(self, message: Message) -> None:
        self.answer = web.StreamResponse(status=message["status"])
        headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in message["headers"]]
        for key, value in headers:
            if key.lower() not in _HOP_BY_HOP:
                self.answer.headers.add(key, value)
        self._begun(message["status"], {key.lower(): value for key, value in headers})
        await self.answer.prepare(self._request)


def _seen(answering: "asyncio.Future[None]") -> None:
    """Look at the failure of an answer that nobody waits for any more."""
    if not answering.cancelled():
        answering.exception()
