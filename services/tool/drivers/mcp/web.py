"""MCP over streamable HTTP, behind the guard: to one exact address, with what belongs there."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Protocol

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from services.chassis.json_values import ValueCount
from services.tool.drivers.mcp.relay import MAX_MESSAGE, MAX_VALUES, CutOff, Relay
from services.tool.drivers.mcp.streams import Ended, Streams, streams
from services.tool.errors import EgressFailed

READ_SECONDS: Final = 300.0
"""Most time without a byte on a connection that is held open."""
GET_PAUSE: Final = 1.0
"""Between two requests for a stream of news, whatever the server asks for."""
_UNAUTHORIZED: Final = 401
_LEAST_PIECE: Final = 4


class Credentials(Protocol):
    """What proves to a server who calls."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers to send now. Raises as the port Secrets and the port Egress."""
        ...

    def refused(self) -> bool:
        """Note that the server did not take them; tells whether there may be better ones."""
        ...


class ServerTransport(httpx2.AsyncBaseTransport):
    """Sends what the SDK's client wants to send, if it goes to the server's own address."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, url: str, credentials: Credentials) -> None:
        self._inner = inner
        self._url = httpx2.URL(url)
        self._credentials = credentials
        self._next_get = 0.0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; what it must not reach raises EgressFailed."""
        if request.url != self._url:
            raise EgressFailed("the server sends requests to another address than was accepted")
        if request.method == "GET":
            await self._paced()
        response = await self._sent(request)
        if response.status_code == _UNAUTHORIZED and self._credentials.refused():
            await response.aclose()
            response = await self._sent(request)
        events = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        stream = _Counted(response, events=events)
        return httpx2.Response(response.status_code, headers=response.headers, stream=stream)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        request.headers.update(await self._credentials.headers())
        return await self._inner.handle_async_request(request)

    async def _paced(self) -> None:
        pause = self._next_get - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        self._next_get = time.monotonic() + GET_PAUSE


class _Counted(httpx2.AsyncByteStream):
    """A body whose messages are measured before the SDK parses them."""

    def __init__(self, response: httpx2.Response, *, events: bool) -> None:
        self._response = response
        self._measure = EventMeasure() if events else BodyMeasure()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.aiter_raw():
            self._measure.add(piece)
            yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


class BodyMeasure:
    """How large one JSON body is."""

    def __init__(self) -> None:
        self._bytes = 0
        self._count = ValueCount()

    def add(self, piece: bytes) -> None:
        """Measure the next piece. Raises CutOff."""
        self._bytes += len(piece)
        self._count.add(piece)
        if self._bytes > MAX_MESSAGE:
            raise CutOff(f"it sent a message of more than {MAX_MESSAGE} bytes")
        if self._count.found > MAX_VALUES:
            raise CutOff(f"it sent a message of more than {MAX_VALUES} values")


class EventMeasure:
    """How large each message of a stream of events is; only what `data` fields hold is JSON."""

    def __init__(self) -> None:
        self._line = b""
        """The beginning of a line whose field is not known yet."""
        self._data: bool | None = None
        """Whether the line is one of data; None: not known yet."""
        self._event = BodyMeasure()
        self._held = b""
        """A carriage return whose line feed may come with the next piece."""

    def add(self, piece: bytes) -> None:
        """Measure the next piece. Raises CutOff."""
        piece = self._held + piece
        self._held = b"\r" if piece.endswith(b"\r") else b""
        piece = piece.removesuffix(b"\r")
        first, *others = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._part(first)
        for line in others:
            if self._data is None and not self._line:  # an empty line ends an event
                self._event = BodyMeasure()
            self._line, self._data = b"", None
            self._part(line)

    def _part(self, part: bytes) -> None:
        if self._data is None:
            self._line += part
            if len(self._line) <= _LEAST_PIECE:
                return
            self._data, part = self._line.startswith(b"data:"), self._line[5:]
        if self._data:
            self._event.add(part)


@asynccontextmanager
async def over_http(
    client: httpx2.AsyncClient, url: str, relay: Relay, ended: Ended
) -> AsyncIterator[Streams]:
    """Talk to a server; no connection to it is left when this returns."""
    async with (
        client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MAX_MESSAGE) as (reading, writing),
    ):

        async def read(give: Callable[[SessionMessage], Awaitable[None]]) -> str:
            async for message in relay.filtered(reading):
                await give(message)
            return "its connection ended"

        async def write(message: SessionMessage) -> None:
            relay.sent(message.message)
            await writing.send(message)

        async with streams(read, write, ended) as made:
            yield made


def client_of(transport: httpx2.AsyncBaseTransport, headers: Mapping[str, str]) -> httpx2.AsyncClient:
    """Make the HTTP client of one server: it follows nothing, and takes nothing from the environment."""
    return httpx2.AsyncClient(
        transport=transport,
        headers=dict(headers),
        timeout=httpx2.Timeout(30.0, read=READ_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )
