"""A small HTTP server for /metrics, /healthz and /readyz: GET only, one request a connection, bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from services.chassis.runtime.http_hosts import HttpHosts

_TIMEOUT_SECONDS: Final = 5.0
_MAX_HEAD_BYTES: Final = 16_384
_JUDGED: Final = ("host", "origin", "sec-fetch-site")


@dataclass(frozen=True, slots=True)
class Page:
    """What a route answers with."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Route = Callable[[], Awaitable[Page]]


class HttpServer:
    """Serves fixed routes. Port 0 binds any free port; `port` tells which after `start`.

    `names`: what callers may call it in `Host`, beside the address it is bound to. Pages need no credential,
    so no web page may read them.
    """

    def __init__(self, routes: Mapping[str, Route], *, names: Iterable[str] = ()) -> None:
        self._routes = routes
        self._names = tuple(names)
        self._hosts = HttpHosts("127.0.0.1")
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Bind and serve. Raises OSError when the port is taken."""
        self._hosts = HttpHosts(host, self._names)
        self._server = await asyncio.start_server(self._answer, host, port, limit=_MAX_HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening; answers under way are finished."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                page = await self._page(head)
                writer.write(_render(page, with_body=not head.startswith(b"HEAD ")))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone, slow or talks something else; there is nobody to tell
        finally:
            writer.close()

    async def _page(self, head: bytes) -> Page:
        parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(parts) != 3 or parts[0] not in ("GET", "HEAD"):  # noqa: PLR2004 - method, target, version
            return Page(b"only GET is served\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
        headers = _headers(head)
        problem = self._hosts.problem(*(headers.get(name, []) for name in _JUDGED))
        if problem is not None:
            return Page(f"{problem}\n".encode(), status=HTTPStatus.FORBIDDEN)
        route = self._routes.get(parts[1].partition("?")[0])
        if route is None:
            return Page(b"no such page\n", status=HTTPStatus.NOT_FOUND)
        return await route()


def _headers(head: bytes) -> dict[str, list[str]]:
    """Return the values of each header of a request, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def _render(page: Page, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\n"
        f"content-type: {page.content_type}\r\n"
        f"content-length: {len(page.body)}\r\n"
        "x-content-type-options: nosniff\r\n"
        "cross-origin-resource-policy: same-origin\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (page.body if with_body else b"")
