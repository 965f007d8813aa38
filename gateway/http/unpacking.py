"""Bodies that come packed. The HTTP library would unpack them on the event loop, also what nobody reads."""

import asyncio
from typing import Final

from aiohttp import web

from gateway.http.common import inflating
from gateway.http.errors import RequestTimeout, UnsupportedEncoding
from services.chassis.aside import aside
from services.chassis.gate import Visitor
from services.chassis.rpc.errors import MalformedRequest, RequestTooLarge

_PLAIN: Final = frozenset({"", "identity"})


def coding_of(request: web.BaseRequest) -> str:
    """Return how a request's body is packed; empty when it is not. Raises UnsupportedEncoding."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding in _PLAIN:
        return ""
    if coding not in inflating.WINDOWS:
        raise UnsupportedEncoding(f"content-encoding {coding[:32]!r} is not understood")
    return coding


async def unpacked(body: bytes, coding: str, most: int, visitor: Visitor) -> bytes:
    """Unpack a body beside the event loop.

    Raises RequestTooLarge, MalformedRequest, and what `aside` raises.
    """
    if not coding:
        return body
    try:
        return await aside(lambda: inflating.inflated(body, coding, most), visitor=visitor)
    except inflating.NotPacked:
        raise MalformedRequest("the body is cut off or not encoded as its head says") from None
    except inflating.TooLarge:
        raise too_large(most) from None


def too_large(limit: int) -> RequestTooLarge:
    """Build the refusal of a body that is too large."""
    return RequestTooLarge(f"the body is larger than {limit} bytes", metadata={"max_bytes": str(limit)})


async def read_body(request: web.Request, most: int, seconds: float, visitor: Visitor) -> bytes:
    """Read and unpack the body of a visitor's request, of at most `most` bytes, within `seconds`.

    Raises RequestTooLarge, RequestTimeout, UnsupportedEncoding and MalformedRequest.
    """
    coding = coding_of(request)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most:
                    raise too_large(most)
    except TimeoutError:
        raise RequestTimeout("the body did not arrive in time") from None
    except web.RequestPayloadError:
        raise MalformedRequest("the body is cut off or not encoded as its head says") from None
    return await unpacked(bytes(body), coding, most, visitor)
