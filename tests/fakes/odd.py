"""Answers that no protocol has, for the fake inference servers: bytes as they are, to some or all calls."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

STREAM: Final = "text/event-stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class OddAnswer:
    """The answer to generations whose request holds `marker`, or to all."""

    body: bytes = b""
    status: int = 200
    content_type: str = STREAM
    marker: bytes = b""

    def response_to(self, request: bytes) -> web.Response | None:
        """Return the answer to a request, if it is meant for it."""
        if self.marker not in request:
            return None
        return web.Response(body=self.body, status=self.status, content_type=self.content_type)


def data(*events: bytes) -> bytes:
    """Write server-sent events."""
    return b"".join(b"data: " + event + b"\n\n" for event in events)
