"""The connections to one inference server: kept for a while, and one more try where a kept one was dead."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, Final

import aiohttp

from gateway.inference.backends.transport import JSON, PLAIN, payload

KEEP_SECONDS: Final = 4.0
"""How long an idle connection is kept: shorter than servers keep theirs (uvicorn five seconds)."""
REST_SECONDS: Final = 1.0
"""How long the end of a stream may take to come after its last event, for its connection to be kept."""
_REUSED: Final = "reused"


class Connections:
    """Two sessions on one server, made on first use; `close` them.

    Servers and what lies before them drop idle connections, and some do so unseen. A request that is written
    to one of these fails before a byte of an answer has come, so it is sent once more, on a connection of its
    own.
    """

    def __init__(
        self, headers: Mapping[str, str] | None = None, cookies: Mapping[str, str] | None = None
    ) -> None:
        self._headers, self._cookies = {**PLAIN, **(headers or {})}, cookies
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._resting: dict[asyncio.Task[None], aiohttp.ClientResponse] = {}

    @property
    def http(self) -> aiohttp.ClientSession:
        """Return the session that keeps connections; its reads alone are sent again by themselves."""
        if self._kept is None:
            self._kept = self._session(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS))
        return self._kept

    async def post(
        self, url: str, body: Mapping[str, Any], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send a request and return its answer, still to be read. Raises aiohttp's errors, BackendInvalid."""
        seen = SimpleNamespace(reused=False)
        try:
            return await self.http.post(
                url, data=payload(body), headers=JSON, timeout=timeout, trace_request_ctx=seen
            )
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as failure:
            if not seen.reused:
                raise
            dropped = failure
        if self._fresh is None:
            self._fresh = self._session(aiohttp.TCPConnector(limit=0, force_close=True))
        try:
            return await self._fresh.post(url, data=payload(body), headers=JSON, timeout=timeout)
        except aiohttp.ClientConnectorError:
            # Nobody is there: the server has died with the request in its hands, and did not just hang up.
            raise dropped from None

    @asynccontextmanager
    async def posted(
        self, url: str, body: Mapping[str, Any], timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and lend its answer. Raises as `post`."""
        response = await self.post(url, body, timeout)
        try:
            yield response
        finally:
            response.close()  # which keeps the connection of an answer that was read to its end

    def let_go(self, response: aiohttp.ClientResponse) -> None:
        """Take back the answer of a stream whose last event has come; its body may end a little later."""
        if response.content.at_eof():
            response.close()
            return
        task = asyncio.create_task(_rest(response))
        self._resting[task] = response
        task.add_done_callback(self._rested)

    def _rested(self, task: "asyncio.Task[None]") -> None:
        """Close an answer, however its rest ended: that of a body which is whole keeps its connection."""
        self._resting.pop(task).close()

    async def close(self) -> None:
        """Close all connections; running calls fail."""
        for task in self._resting:
            task.cancel()
        if self._resting:
            await asyncio.wait(self._resting)
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note)
        return aiohttp.ClientSession(
            headers=self._headers,
            cookies=self._cookies,
            # What one call is answered goes with no other call.
            cookie_jar=None if self._cookies else aiohttp.DummyCookieJar(),
            connector=connector,
            read_bufsize=2**18,
            trace_configs=[trace],
        )


async def _note(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _told: aiohttp.TraceConnectionReuseconnParams
) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.reused = True


async def _rest(response: aiohttp.ClientResponse) -> None:
    """Wait for the end of a body that has nothing more to say; without it the connection is of no use."""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(REST_SECONDS):
            await response.content.readany()
