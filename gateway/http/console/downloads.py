"""`/console/files/NAME`: a file of an agent's, always as a download and never as a page of this origin."""

from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from aios.api.storage.v1 import storage_pb2
from gateway.http.console.calls import metadata_of
from gateway.http.console.core.hosts import Origin
from gateway.http.console.entrance import Entrance
from gateway.http.console.failures import dress
from gateway.http.errors import WrongMethod
from services.chassis.rpc.errors import Internal, InvalidRequest

_LONGEST_NAME: Final = 120
_SECONDS: Final = 300.0
_DIGITS: Final = 18


class Downloads:
    """Reads files with the visitor's own token."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance

    async def answer(self, request: web.Request, origin: Origin, rest: str) -> web.StreamResponse:
        """Answer one request."""
        if request.method != "GET":
            raise WrongMethod("files are only read here")
        session = await self._entrance.session(request, origin)
        asked = storage_pb2.ReadFileRequest(name=rest, version=_version(request))
        call: Any = self._entrance.fittings.kernel.storage.ReadFile(
            asked, metadata=metadata_of(session, request), timeout=_SECONDS
        )
        async with aclosing(aiter(call)) as events:
            first = await anext(events, None)
            if first is None or first.WhichOneof("event") != "file":
                raise Internal("the file was not told of before its bytes")
            answer = web.StreamResponse(headers=_headers(rest, first.file.size_bytes))
            dress(answer)
            await self._entrance.prolong(request, origin, session, answer)
            await answer.prepare(request)
            async for event in events:
                await answer.write(event.data)
        return answer


def _version(request: web.Request) -> int:
    text = request.query.get("version", "0")
    number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if set(request.query) - {"version"} or not number:
        raise InvalidRequest.field("version", "must be a whole number")
    return int(text)


def _headers(name: str, size: int) -> dict[str, str]:
    """Return headers by which no browser shows the bytes, whatever they are."""
    last = name.rpartition("/")[2]
    shown = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in last)[:_LONGEST_NAME]
    exact = quote(last.encode(errors="replace")[: 2 * _LONGEST_NAME], safe="")
    return {
        "content-type": "application/octet-stream",
        "content-length": str(size),
        "content-disposition": f"attachment; filename=\"{shown or 'file'}\"; filename*=UTF-8''{exact}",
    }
