"""All of `/console/`: who may ask is judged before anything else, then the part that answers is chosen."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from gateway.http.console.assets import assets
from gateway.http.console.core.assets import Asset, Assets
from gateway.http.console.core.headers import ASKED_AGAIN, KEPT
from gateway.http.console.core.hosts import Hosts, Origin, foreign
from gateway.http.console.errors import ForeignPage, UnknownHost
from gateway.http.console.failures import dress, refusal
from gateway.http.console.settings import ConsoleSettings
from gateway.http.errors import UnknownRoute, WrongMethod
from services.chassis.rpc.errors import Draining, KernelError
from services.chassis.rpc.steps import mapping

ROOT: Final = "/console"
BY_PAGE: Final = "x-aios-console"
"""A header that only a page of the same origin can send: browsers ask first before another one may."""

_READS: Final = frozenset({"GET", "HEAD"})
_PARTS: Final = frozenset({"api", "codes", "files", "session", "static", "stream"})
"""First parts of paths that are no views."""

Answer = Callable[[web.Request, Origin, str], Awaitable[web.StreamResponse]]
"""Answers a request, from an origin, for what is below a part's path. Raises KernelError."""


class Console:
    """The console of one gateway."""

    def __init__(self, settings: ConsoleSettings, parts: Mapping[str, Answer]) -> None:
        self._hosts = Hosts(settings.origins)
        self._parts = parts
        self._assets: Assets | None = None
        self._draining = False

    async def start(self) -> None:
        """Read the files. Raises ValueError when they are not there."""
        self._assets = await asyncio.to_thread(assets)

    async def drain(self) -> None:
        """Take no new requests."""
        self._draining = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            answer = await self._answer(request)
        except KernelError as error:
            answer = refusal(error)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the mapper names the defect in the log and tells its id
            answer = refusal(mapping.typed(error, f"{request.method} {ROOT}"))
        if not answer.prepared:
            dress(answer)
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        origin = self._origin(request)
        if self._draining:
            raise Draining("the process is shutting down", retry_after=1.0)
        path = request.path.removeprefix(ROOT)
        if path == "":
            return web.Response(status=308, headers={"location": f"{ROOT}/"})
        head, _, rest = path[1:].partition("/")
        part = self._parts.get(head)
        if part is not None:
            return await part(request, origin, rest)
        if request.method not in _READS:
            raise WrongMethod("this path is only read")
        if head == "static":
            return self._file(request, rest)
        if head in _PARTS or "." in path.rpartition("/")[2]:
            raise UnknownRoute("the console has no such path")
        return _sent(request, self._files.index, ASKED_AGAIN)

    def _origin(self, request: web.Request) -> Origin:
        """Return where the browser believes to be. Raises UnknownHost and ForeignPage."""
        headers = request.headers
        origin = self._hosts.origin(
            headers.getall("host", []), tls=request.secure, forwarded=headers.get("x-forwarded-proto", "")
        )
        if origin is None:
            raise UnknownHost("the console does not go by the name in Host, or not without TLS")
        if request.method not in _READS and headers.get(BY_PAGE) != "1":
            raise ForeignPage(f"what changes something carries `{BY_PAGE}: 1`")
        pages = headers.getall("sec-fetch-site", [])
        if not _opens(request) and foreign(origin, headers.getall("origin", []), pages):
            raise ForeignPage("only the console's own pages may ask")
        return origin

    def _file(self, request: web.Request, path: str) -> web.Response:
        found = self._files.find(path)
        if found is None:
            raise UnknownRoute("the console has no such file")
        asset, lasting = found
        return _sent(request, asset, KEPT if lasting else ASKED_AGAIN)

    @property
    def _files(self) -> Assets:
        if self._assets is None:
            raise RuntimeError("the console has not been started")
        return self._assets


def _opens(request: web.Request) -> bool:
    """Tell whether the browser opens a view in a tab: links from elsewhere may lead to those alone."""
    head = request.path.removeprefix(ROOT)[1:].partition("/")[0]
    fetch = request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest")
    return request.method in _READS and head not in _PARTS and fetch == ("navigate", "document")


def _sent(request: web.Request, asset: Asset, keep: str) -> web.Response:
    known = request.headers.get("if-none-match", "")
    headers = {"etag": asset.etag, "cache-control": keep}
    if asset.etag in {each.strip().removeprefix("W/") for each in known.split(",")}:
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, headers={**headers, "content-type": asset.content_type})
