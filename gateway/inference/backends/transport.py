"""What the drivers' HTTP clients share: time limits, bodies, and the transport's failures as ours."""

import asyncio
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final, Protocol, TypeVar

import aiohttp
import orjson
from aiohttp.http_exceptions import HttpProcessingError

from gateway.inference.backends.watchdog import Patience, Watchdog
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendGone,
    BackendInvalid,
    BackendStalled,
    BackendUnavailable,
    BackendUnreachable,
    UnmarkedEnd,
)
from services.chassis.aside import aside

CONNECT_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 45.0
"""Longest silence of a stream, keep-alive comments included: three of TGI's."""

TOKEN_SECONDS: Final = 120.0
"""Longest time without a token, queueing included, unless the caller says otherwise."""

CONTROL_SECONDS: Final = 30.0
"""Longest short call: info, tokenize, suspend."""

JSON: Final = {"Content-Type": "application/json"}
PLAIN: Final = {"Accept-Encoding": "identity"}
"""Answers are wanted as they are: a short one can unpack to any length."""
_WHOLE: Final = frozenset({"application/json", "application/problem+json"})
_FIELDS: Final = (b"data:", b"event:", b":", b"\xef\xbb\xbf")
"""What a stream of events begins with."""
_PAGES: Final = ("text/html", "text/xml", "application/xml", "application/xhtml")
MOST_TYPE: Final = 64
_LARGE: Final = 2**20
PIECE_BYTES: Final = 4096
"""Bytes of a stream that are read in one turn of the event loop: some hundred events that tell nothing."""
LONG_BYTES: Final = 64 * 1024
"""Longest event, and longest body, that is read in the event loop itself."""
_OK: Final = 200


PAGE_SECONDS: Final = 1.0
PAGE_BYTES: Final = 2**20
FACT_BYTES: Final = 4 * 2**20
"""Longest answer to a short question: what a server is, an error, a whole answer in place of a stream."""

TOKENS_BYTES: Final = 128 * 2**20
"""Longest list of a text's tokens."""


async def body_of(response: aiohttp.ClientResponse, most: int = FACT_BYTES) -> bytes:
    """Read a body of at most so many bytes. Raises BackendBroken for a longer one."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > most:
            raise BackendBroken("the answer has no end")
    return bytes(found)


async def page(session: aiohttp.ClientSession, url: str) -> bytes | None:
    """Read a metrics page of at most PAGE_BYTES in at most PAGE_SECONDS; None: there is none to be had."""
    try:
        with failures():
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=PAGE_SECONDS)) as response:
                return await body_of(response, PAGE_BYTES) if response.status == _OK else None
    except BackendError:
        return None


async def is_there(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a page is there; never raises BackendError."""
    try:
        with failures():
            async with session.get(url, timeout=control()) as response:
                return response.status == _OK
    except BackendError:
        return False


T = TypeVar("T")
E_co = TypeVar("E_co", covariant=True)


async def read_aside(size: int, read: Callable[[], T]) -> T:
    """Read something of so many bytes: what is long in a thread, since it would hold up the event loop."""
    return await aside(read) if size > LONG_BYTES else read()


class Reader(Protocol[E_co]):
    """Cuts the bytes of a stream into events."""

    @property
    def held(self) -> int:
        """Bytes of an event whose end is still to come."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the server has said that nothing follows."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: some servers leave out the last line."""
        ...

    def feed(self, data: bytes) -> Iterable[E_co]:
        """Return the events that `data` completes. Raises BackendError, as error events tell."""
        ...

    def close(self) -> Iterable[E_co]:
        """Return the events that only the end of the stream completes. Raises BackendError."""
        ...

    def whole(self, body: bytes) -> Iterable[E_co]:
        """Read an answer that came whole instead of as a stream. Raises BackendError."""
        ...


async def follow(
    open_stream: Callable[[], Awaitable[aiohttp.ClientResponse]],
    reader: Reader[E_co],
    parse_answer: Callable[[int, bytes], Any],
    patience: Patience,
    let_go: Callable[[aiohttp.ClientResponse], None],
) -> AsyncGenerator[E_co, None]:
    """Follow a stream to its end; closing this closes the socket at once.

    `let_go` is given the answer of a stream that has come to its end.
    `parse_answer` raises what an answer that is no stream tells of. Raises BackendError.
    """
    with failures():
        async with asyncio.timeout(patience.tokens):
            response = await open_stream()
        watchdog = Watchdog(response.content, patience)
        whole = False
        try:
            if response.status != _OK or response.content_type in _WHOLE:
                async with asyncio.timeout(patience.tokens):
                    body = await body_of(response)
                if response.status != _OK:
                    await read_aside(len(body), lambda: parse_answer(response.status, body))
                for event in await _events_of(reader, body):
                    yield event
                return
            begun = False
            while not reader.ended:
                data = await watchdog.read(PIECE_BYTES)
                if len(data) == PIECE_BYTES:  # there may be more already: others have their turn
                    await asyncio.sleep(0)
                events = await _completed(reader, data)
                for event in events:
                    begun = True
                    yield event
                    watchdog.told()
                if not data and not reader.finished:
                    raise _broke_off(response.content_type, begun=begun)
                if not data:
                    break
            whole = True
        finally:
            watchdog.close()
            if whole:
                let_go(response)
            else:
                response.close()


async def _completed(reader: Reader[E_co], piece: bytes) -> Iterable[E_co]:
    """Return the events that a piece of a stream completes, or its end, which is no bytes at all."""
    complete = not piece or b"\n" in piece or b"\r" in piece
    if reader.held > LONG_BYTES and complete:
        return await aside(lambda: list(reader.feed(piece) if piece else reader.close()))
    return reader.feed(piece) if piece else reader.close()


async def _events_of(reader: Reader[E_co], body: bytes) -> Iterable[E_co]:
    if len(body) > LONG_BYTES:
        return await aside(lambda: list(_told_by(reader, body)))
    return _told_by(reader, body)


def _told_by(reader: Reader[E_co], body: bytes) -> Iterator[E_co]:
    """Read an answer that came whole: an object, or a stream under another name. Raises BackendError."""
    if not body.lstrip().startswith(_FIELDS):
        yield from reader.whole(body)
        return
    yield from chain(reader.feed(body), reader.close())
    if not reader.finished:
        raise UnmarkedEnd("the stream ended before the generation did")


def _broke_off(content_type: str, *, begun: bool) -> BackendError:
    """Return what the end of a stream means that did not say so: a proxy's page is no stream at all."""
    if not begun and content_type.startswith(_PAGES):
        return BackendBroken(f"the answer is no stream of events but {content_type[:MOST_TYPE]}")
    said = "the stream ended before the generation did"
    return UnmarkedEnd(said) if begun else BackendUnavailable(said)


def control() -> aiohttp.ClientTimeout:
    """Return the time limits of a short call."""
    return aiohttp.ClientTimeout(total=CONTROL_SECONDS, sock_connect=CONNECT_SECONDS)


def payload(body: Mapping[str, Any]) -> bytes | io.BytesIO:
    """Encode a body; a large one as a file, which aiohttp writes in pieces instead of blocking the loop.

    Raises BackendInvalid, for half of a surrogate pair in a text.
    """
    try:
        data = orjson.dumps(body)
    except TypeError as error:
        raise BackendInvalid(f"the request cannot be written as JSON: {error}") from error
    return data if len(data) <= _LARGE else io.BytesIO(data)


@contextmanager
def failures() -> Iterator[None]:
    """Turn the transport's failures into ours."""
    try:
        yield
    except TimeoutError as error:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise BackendUnreachable("the backend does not accept connections") from error
        raise BackendStalled("the backend sent no token in time") from error
    except aiohttp.ClientConnectorError as error:
        gone = isinstance(error.os_error, ConnectionRefusedError)
        raise (BackendGone if gone else BackendUnreachable)("the backend cannot be reached") from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
        raise BackendUnavailable("the connection failed") from error
    except (aiohttp.ClientError, HttpProcessingError, ValueError) as error:
        raise BackendBroken("the backend does not speak HTTP") from error
