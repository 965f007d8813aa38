"""`/console/session` and `/console/codes`: signing in and out, and who is signed in."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from gateway.http.answers import json_response
from gateway.http.console.core.hosts import Origin
from gateway.http.console.entrance import Entrance, peer_of
from gateway.http.console.metrics import ConsoleMetrics
from gateway.http.console.model import Session
from gateway.http.console.service.codes import SECONDS as CODE_SECONDS
from gateway.http.errors import UnknownRoute, WrongMethod
from gateway.http.service.keys import credential_of
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import CredentialInvalid, InvalidRequest, KernelError

_MOST: Final = 16 * 1024


class Signing:
    """Answers for sessions. Bodies hold credentials and are logged nowhere."""

    def __init__(self, entrance: Entrance, metrics: ConsoleMetrics, ended: Callable[[str], None]) -> None:
        """Take whom to tell the ids of sessions that have ended."""
        self._entrance = entrance
        self._sessions = entrance.sessions
        self._metrics = metrics
        self._ended = ended

    async def session(self, request: web.Request, origin: Origin, rest: str) -> web.StreamResponse:
        """Answer `/console/session`."""
        if rest:
            raise UnknownRoute("the console has no such path")
        if request.method == "GET":
            return await self._who(request, origin)
        if request.method == "POST":
            return await self._sign_in(request, origin)
        if request.method == "DELETE":
            return await self._sign_out(request, origin)
        raise WrongMethod("a session takes GET, POST and DELETE")

    async def codes(self, request: web.Request, _origin: Origin, rest: str) -> web.StreamResponse:
        """Answer `/console/codes`: a program that shows its credential gets a code for a browser."""
        if rest or request.method != "POST":
            raise WrongMethod("codes takes POST")
        try:
            code = await self._sessions.code_for(credential_of(request.headers.get), peer_of(request))
        except KernelError as error:
            self._metrics.signed_in(error.reason)
            raise
        return json_response({"code": code, "seconds": CODE_SECONDS})

    async def _who(self, request: web.Request, origin: Origin) -> web.Response:
        """Tell who is signed in. That nobody is, is an answer too: a page asks this first of all."""
        try:
            session = await self._entrance.session(request, origin)
        except KernelError as error:
            if error.code is not Code.UNAUTHENTICATED:
                raise
            answer = json_response({"ended": error.reason})
            if request.cookies:
                self._entrance.forget(origin, answer)
            return answer
        fresh = await self._sessions.renewed(session, peer_of(request))
        answer = json_response(_told(fresh or session))
        if fresh is not None:
            self._entrance.keep(origin, fresh, answer)
        return answer

    async def _sign_in(self, request: web.Request, origin: Origin) -> web.Response:
        peer = peer_of(request)
        try:
            async with self._entrance.body(request, ("", peer), _MOST) as body:
                by, secret = _shown(body)
            if by == "code":
                session = await self._sessions.sign_in_by_code(secret, peer)
            else:
                session = await self._sessions.sign_in(secret, peer)
        except KernelError as error:
            self._metrics.signed_in(error.reason)
            raise
        self._metrics.signed_in("ok")
        answer = json_response(_told(session))
        try:
            self._entrance.keep(origin, session, answer)
        except ValueError as problem:
            raise CredentialInvalid(str(problem)) from problem
        return answer

    async def _sign_out(self, request: web.Request, origin: Origin) -> web.Response:
        answer = json_response({})
        try:
            session = await self._entrance.session(request, origin)
            await self._sessions.sign_out(session, peer_of(request))
            self._ended(session.id)
        except KernelError as error:
            if error.code is not Code.UNAUTHENTICATED:  # else it has ended already
                raise
        self._entrance.forget(origin, answer)
        return answer


def _shown(body: Any) -> tuple[str, str]:
    """Return what a visitor shows, and of which sort it is. Raises InvalidRequest."""
    if not isinstance(body, dict) or len(body) != 1:
        raise InvalidRequest.field("", "show either a credential or a code")
    [(by, secret)] = body.items()
    if by not in ("credential", "code") or not isinstance(secret, str):
        raise InvalidRequest.field("", "show either a credential or a code")
    return by, secret.strip()


def _told(session: Session) -> dict[str, object]:
    """Tell who is signed in, in the words of the contract."""
    return {
        "principal": {
            "agent": f"agents/{session.agent}",
            "tenant": session.tenant,
            "kind": f"PRINCIPAL_KIND_{session.kind.upper()}",
        },
        "expire_time": _time(session.expires_at),
        "end_time": _time(session.ends_at),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
