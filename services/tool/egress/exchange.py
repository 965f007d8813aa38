"""One HTTP request on one connection, and its answer, each within bounds."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from services.tool.core.urls import WebUrl, refused
from services.tool.egress.gates import Gate
from services.tool.errors import EgressFailed, ResultInvalid

MAX_HEADER_BYTES: Final = 8190
"""Longest line of an answer's head."""
MAX_HEADERS: Final = 128
_OWN: Final = {"Accept-Encoding": "identity", "User-Agent": "aios"}
_SWITCHING: Final = 101


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request, judged already."""

    url: WebUrl
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@asynccontextmanager
async def exchange(gate: Gate, tls: ssl.SSLContext, sent: Outgoing) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send one request and give its answer, the body still to be read. Raises EgressDenied, EgressFailed.

    The connection is this request's alone and is cut when the block ends, however it ends.
    """
    try:
        async with (
            _session(gate) as session,
            session.request(
                sent.method,
                _encoded(sent.url),
                headers={**sent.headers, **_OWN},
                data=sent.body or None,
                allow_redirects=False,
                ssl=tls,
                skip_auto_headers=() if sent.body else ("Content-Type",),
            ) as response,
        ):
            _plain(response)
            yield response
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise gate.refusal or EgressFailed(_why(error)) from error


def _session(gate: Gate) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=gate.connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        raise_for_status=False,
        timeout=aiohttp.ClientTimeout(total=None),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )


def _encoded(url: WebUrl) -> URL:
    """Return the client's own URL of what was judged: it reads no host, port or path out of a text again."""
    return URL.build(
        scheme=url.origin.scheme,
        host=url.origin.host,
        port=url.origin.port,
        path=url.path,
        query_string=url.query,
        encoded=True,
    )


def _plain(response: aiohttp.ClientResponse) -> None:
    """Refuse bodies in an encoding: what they unpack to has no bound. Raises EgressDenied, EgressFailed."""
    encodings = [
        *response.headers.getall("Content-Encoding", ()),
        *response.headers.getall("Transfer-Encoding", ()),
    ]
    if any(
        part.strip().lower() not in {"", "identity", "chunked"}
        for text in encodings
        for part in text.split(",")
    ):
        raise refused("the answer's body is compressed, though that was not asked for", "encoding")
    if response.status == _SWITCHING:
        raise EgressFailed("the server wants to speak another protocol")


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body to its end. Raises ResultInvalid when it is longer than `limit` bytes."""
    if (response.content_length or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> ResultInvalid:
    return ResultInvalid(f"the answer is larger than {limit} bytes", metadata={"limit": str(limit)})


def _why(error: Exception) -> str:
    """Say what went wrong without the client's own words: those name addresses."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return "the server does not prove by TLS who it is"
        case aiohttp.ClientConnectorError() | ConnectionRefusedError():
            return "no connection to the server could be made"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "the server ended the connection before its answer was complete"
        case _:
            return "the server's answer is no HTTP"
