"""What the parts of the console share: the visitor's session in its cookie, and bodies within bounds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from gateway.http.console.core import cookies
from gateway.http.console.core.hosts import Origin
from gateway.http.console.model import Session
from gateway.http.console.service.sessions import Sessions
from gateway.http.console.transcoding import parsed
from gateway.http.fittings import Fittings
from gateway.http.unpacking import read_body
from gateway.http.visit import bounded
from services.chassis.aside import aside
from services.chassis.bodies import Holder
from services.chassis.gate import Visitor
from services.chassis.runtime.clock import Clock

SHORT_BODY: Final = 64 * 1024
"""Bytes that are gone through in a few milliseconds, whatever they hold."""


@dataclass(slots=True)
class Entrance:
    """Who visits, and what they send."""

    sessions: Sessions
    fittings: Fittings
    clock: Clock

    async def session(self, request: web.Request, origin: Origin) -> Session:
        """Return whose cookie came with a request. Raises as `Sessions.of_cookie`."""
        return await self.sessions.of_cookie(request.cookies.get(cookies.name(origin.port), ""))

    async def prolong(
        self, request: web.Request, origin: Origin, session: Session, answer: web.StreamResponse
    ) -> None:
        """Renew a session that is used, where little is left of its token."""
        fresh = await self.sessions.renewed(session, peer_of(request))
        if fresh is not None:
            self.keep(origin, fresh, answer)

    def keep(self, origin: Origin, session: Session, answer: web.StreamResponse) -> None:
        """Have the browser keep a session."""
        seconds = int(session.expires_at - self.clock.now().timestamp())
        answer.set_cookie(
            cookies.name(origin.port),
            self.sessions.cookie(session),
            max_age=max(1, seconds),
            path=cookies.PATH,
            httponly=True,
            samesite="Strict",
            secure=origin.scheme == "https",
        )

    def forget(self, origin: Origin, answer: web.Response) -> None:
        """Have the browser drop its session."""
        answer.del_cookie(
            cookies.name(origin.port),
            path=cookies.PATH,
            httponly=True,
            samesite="Strict",
            secure=origin.scheme == "https",
        )

    @asynccontextmanager
    async def body(self, request: web.Request, holder: Holder, most: int) -> AsyncIterator[Any]:
        """Read a body of JSON and count its memory for as long as it is worked on.

        Raises RequestTooLarge, RequestTimeout, UnsupportedEncoding, MalformedRequest and TooManyCalls.
        """
        told = None if "content-encoding" in request.headers else request.content_length
        size = most if told is None else min(told, most)
        bodies = self.fittings.bodies
        payer = bodies.reserve(holder, size)
        try:
            config = self.fittings.config
            visitor = Visitor(agent=holder)
            raw = await read_body(request, most, config.read_seconds.total_seconds(), visitor)
            await bounded(raw)
            yield parsed(raw) if len(raw) <= SHORT_BODY else await aside(lambda: parsed(raw), visitor=visitor)
        finally:
            bodies.release(payer, size)


def peer_of(request: web.Request) -> str:
    """Return where a request comes from."""
    return request.remote or "unknown"
