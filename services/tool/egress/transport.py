"""The guard under the HTTP client of the MCP SDK. Imported only where that SDK is installed."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Final

import aiohttp
import httpx2

from services.tool.core.headers import RESERVED_HEADERS, check_headers
from services.tool.egress.guard import EgressGuard
from services.tool.errors import EgressFailed, ResultInvalid

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Of an answer that is no stream of events; those have the limits of their reader, event by event."""
_EVENTS: Final = "text/event-stream"


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends every request of a client through the guard, for one tenant.

    A redirect that the client follows comes here again and is judged again. A refusal is raised as it is:
    EgressDenied, EgressFailed, ResultInvalid; the client's own time-out as the client has it.
    """

    def __init__(self, guard: EgressGuard, tenant: str, *, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._guard = guard
        self._tenant = tenant
        self._max_bytes = max_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the answer's body is read as it comes."""
        body = await request.aread()
        if len(body) > MAX_REQUEST_BYTES:
            raise EgressFailed(f"the request is larger than {MAX_REQUEST_BYTES} bytes")
        headers = _own(request.headers)
        check_headers(headers)
        seconds = request.extensions.get("timeout", {}).get("read")
        stack = AsyncExitStack()
        try:
            with _client_timeout():
                async with asyncio.timeout(seconds):
                    opened = self._guard.open(self._tenant, request.method, str(request.url), headers, body)
                    answer = await stack.enter_async_context(opened)
        except BaseException:
            await stack.aclose()
            raise
        limit = None if answer.content_type == _EVENTS else self._max_bytes
        stream = _Body(answer, stack, limit, seconds)
        return httpx2.Response(answer.status, headers=_own(answer.headers), stream=stream)


class _Body(httpx2.AsyncByteStream):
    """A body on its way; closing it cuts the connection."""

    def __init__(
        self, answer: aiohttp.ClientResponse, stack: AsyncExitStack, limit: int | None, seconds: float | None
    ) -> None:
        self._answer = answer
        self._stack = stack
        self._limit = limit
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        while piece := await self._piece():
            read += len(piece)
            if self._limit is not None and read > self._limit:
                raise ResultInvalid(f"the answer is larger than {self._limit} bytes")
            yield piece

    async def _piece(self) -> bytes:
        with _client_timeout():
            async with asyncio.timeout(self._seconds):
                try:
                    return await self._answer.content.readany()
                except aiohttp.ClientError as error:
                    text = "the server ended the connection before its answer was complete"
                    raise EgressFailed(text) from error

    async def aclose(self) -> None:
        await self._stack.aclose()


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are not the connection's."""
    return {name: value for name, value in headers.items() if name.lower() not in RESERVED_HEADERS}


@contextmanager
def _client_timeout() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpx2.ReadTimeout("the server said nothing for too long") from error
