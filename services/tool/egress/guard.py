"""The guard: one request of a tool, through every gate, again for each redirect."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from services.tool.core.egress import (
    MAX_REDIRECTS,
    EgressRequest,
    EgressResponse,
    OperatorRules,
    check_url,
    redirected,
    takes,
)
from services.tool.core.headers import check_headers
from services.tool.core.urls import WebUrl, joined, refused
from services.tool.egress.exchange import Outgoing, exchange, read_body
from services.tool.egress.gates import Gate, SocketMaker, plain_socket
from services.tool.egress.names import Lookup
from services.tool.errors import EgressDenied, ResultInvalid, ToolTimeout
from services.tool.ports import EgressRules, Meter

MOST_OF_TENANT: Final = 64
"""Requests of one tenant that are under way; more wait for their turn."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER: Final = 303
_KEEPS_METHOD: Final = frozenset({307, 308})


class EgressGuard:
    """Sends requests for tools. An Egress.

    `lookup` finds the addresses of names, `make_socket` makes the sockets to what passed the gates.
    """

    def __init__(
        self,
        operator: OperatorRules,
        rules: EgressRules,
        meter: Meter,
        lookup: Lookup,
        *,
        make_socket: SocketMaker = plain_socket,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._operator = operator
        self._rules = rules
        self._meter = meter
        self._lookup = lookup
        self._make_socket = make_socket
        self._tls = tls or ssl.create_default_context()
        self._places: dict[str, _Places] = {}

    def reaches(self, tenant: str) -> bool:
        """Whether the operator allows a tenant's tools anything at all."""
        policy = self._operator.policy(tenant, None)
        return bool(policy.allowed or policy.internal)

    async def check(self, tenant: str, url: str) -> None:
        """Judge a URL without asking the network anything. Raises EgressDenied."""
        await self._judged(tenant, url)

    async def fetch(self, request: EgressRequest) -> EgressResponse:
        """Send a request, follow its redirects and return the answer, whatever its status.

        Raises EgressDenied, EgressFailed, ToolTimeout, ResultInvalid.
        """
        outcome = "failed"
        try:
            async with asyncio.timeout(request.seconds), self._place(request.tenant):
                answer = await self._followed(request)
            outcome = "answered"
        except TimeoutError as error:
            outcome = "timeout"
            raise ToolTimeout(f"there was no whole answer within {request.seconds:g} s") from error
        except EgressDenied:
            outcome = "denied"
            raise
        except ResultInvalid:
            outcome = "too_large"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._meter.sent(outcome)
        return answer

    @asynccontextmanager
    async def open(
        self, tenant: str, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and give the answer to be read as it comes; redirects are not followed.

        For clients with a protocol of their own, who bound what they read. Raises EgressDenied, EgressFailed.
        """
        judged, gate = await self._judged(tenant, url)
        async with exchange(gate, self._tls, Outgoing(judged, method, headers, body)) as response:
            yield response

    async def _judged(self, tenant: str, url: str | WebUrl) -> tuple[WebUrl, Gate]:
        narrowed = await self._rules.narrowed(tenant)
        read, route = check_url(self._operator.policy(tenant, narrowed), str(url))
        return read, Gate(tenant, route, self._lookup, self._make_socket)

    async def _followed(self, request: EgressRequest) -> EgressResponse:
        method, body = request.method, request.body
        headers = {**request.headers, **request.secret_headers}
        if request.media_type:
            headers["Content-Type"] = request.media_type
        check_headers(headers)
        url, gate = await self._judged(request.tenant, request.url)
        for _ in range(MAX_REDIRECTS + 1):
            async with exchange(gate, self._tls, Outgoing(url, method, headers, body)) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    return await _answer(request, url, response)
                location, status = response.headers["Location"], response.status
            if status == _SEE_OTHER or (status not in _KEEPS_METHOD and method == "POST"):
                method, body = "GET", b""
                headers.pop("Content-Type", None)
            to = joined(url, location)
            redirected(url, to, method, body)
            if to.origin != url.origin:
                headers = {}  # any of the tool's headers may be a key, whatever it is called
            url, gate = await self._judged(request.tenant, to)
        raise refused(f"{url.origin} redirects more than {MAX_REDIRECTS} times", "redirect")

    @asynccontextmanager
    async def _place(self, tenant: str) -> AsyncIterator[None]:
        places = self._places.setdefault(tenant, _Places())
        places.wanted += 1
        try:
            async with places.free:
                yield
        finally:
            places.wanted -= 1
            if not places.wanted:
                del self._places[tenant]


class _Places:
    """The requests of one tenant."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(MOST_OF_TENANT)
        self.wanted = 0


async def _answer(request: EgressRequest, url: WebUrl, response: aiohttp.ClientResponse) -> EgressResponse:
    media_type = response.content_type.lower() if "Content-Type" in response.headers else ""
    if request.method != "HEAD" and not takes(request.accepts, media_type):
        raise refused("the answer has a media type that is not taken", "media_type")
    return EgressResponse(
        status=response.status,
        url=str(url),
        media_type=media_type,
        charset=response.charset or "",
        body=await read_body(response, request.max_bytes),
    )
