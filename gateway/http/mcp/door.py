"""`/mcp` on the gateway's HTTP listener: who calls, what is under way, and the SDK that speaks MCP."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    decode_header_value,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from aios.api.agent.v1 import agent_pb2
from gateway.http.answers import json_response
from gateway.http.errors import WrongMethod
from gateway.http.fittings import Fittings
from gateway.http.mcp.bridge import Exchange
from gateway.http.mcp.callers import identify
from gateway.http.mcp.errors import OriginRefused
from gateway.http.mcp.failures import http_body, http_status
from gateway.http.mcp.server import CALLER, SCHEMA, SESSION, Handlers, Meter, make
from gateway.http.mcp.sessions import Sessions
from gateway.http.mcp.settings import LOOPBACK, McpSettings
from gateway.http.mcp.syscalls import Caller, ask
from gateway.http.visit import bounded
from services.chassis.gate import Visitor
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import CredentialMissing, Draining, Internal, KernelError
from services.chassis.runtime.clock import SystemClock
from services.chassis.runtime.logs import logger

_log = logger(__name__)

PATH: Final = "/mcp"
METADATA_PATH: Final = f"/.well-known/oauth-protected-resource{PATH}"

_SESSION_HEADER: Final = "mcp-session-id"
_METHODS: Final = ("GET", "POST", "DELETE")
_HTTP: Final = "http"
_CHECK_SECONDS: Final = 5.0
_REFUSED: Final = 400
"""HTTP statuses from here on are refusals."""
_NOT_FOUND: Final = 404
"""What the SDK answers for a session that it does not have, whatever became of it."""
_CALL_TOOL: Final = "tools/call"
_LISTEN: Final = "subscriptions/listen"


class McpDoor:
    """The MCP server of one gateway: `start` it once the listener is bound, `stop` it at the end."""

    def __init__(self, fittings: Fittings, settings: McpSettings, meter: Meter, *, version: str) -> None:
        self._fittings = fittings
        self._settings = settings
        self._meter = meter
        self._handlers = Handlers(fittings.kernel, settings, meter)
        self._manager = StreamableHTTPSessionManager(
            make(self._handlers, settings, version),
            max_request_body_size=settings.max_body_bytes,
            max_sessions=settings.sessions,
            # Sessions ends the idle ones; this only bounds what it might miss.
            session_idle_timeout=2 * settings.session_idle_seconds.total_seconds(),
        )
        self.sessions = Sessions(settings, SystemClock(), self._check, self._close, fittings.root)
        fittings.openings.add(self.sessions.session_shares)
        fittings.openings.add(self.sessions.request_shares)
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request at the door."""
        try:
            if self._stopping.is_set():
                raise Draining("the process is shutting down", retry_after=1.0)
            if request.method not in _METHODS:
                raise WrongMethod(f"{PATH} takes {', '.join(_METHODS)}")
            self._check_origin(request)
            caller = await identify(self._fittings.identities, request)
            self._fittings.identities.begin(caller.identity)
            return await self._admit(request, caller)
        except KernelError as error:
            self._meter.answered(_HTTP, "refused")
            return self._refusal(request, error)
        finally:
            self._fittings.identities.end()

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """Answer what RFC 9728 asks of a protected resource."""
        told: dict[str, object] = {
            "resource": self._resource_url(request),
            "resource_name": "AIOS kernel",
            "bearer_methods_supported": ["header"],
        }
        if self._settings.authorization_servers:
            told["authorization_servers"] = list(self._settings.authorization_servers)
        return json_response(told)

    async def start(self) -> None:
        """Begin to serve."""
        up = asyncio.Event()
        self._serving = asyncio.create_task(self._serve(up), name="mcp sessions")
        started = asyncio.create_task(up.wait())
        await asyncio.wait({self._serving, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._serving.done():
            await self._serving

    async def drain(self) -> None:
        """Take no new requests, and end streams without an end of their own; their clients come again."""
        self._stopping.set()
        self.sessions.cut_lasting()

    async def stop(self) -> None:
        """End every session."""
        self._stopping.set()
        if self._serving is not None:
            await self._serving

    async def _admit(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Find room for a request, and let it be answered. Raises TooManyCalls."""
        lasting = request.method == "GET" or request.headers.get(MCP_METHOD_HEADER) == _LISTEN
        session_id = request.headers.get(_SESSION_HEADER, "")
        with (
            self.sessions.visit(caller, lasting=lasting, session_id=session_id),
            self.sessions.opening(caller) if _opens_session(request) else nullcontext() as opened,
            self._room(request, caller) as release,
        ):

            def begun(status: int, headers: Mapping[str, str]) -> None:
                release()
                if opened is not None and status < _REFUSED and _SESSION_HEADER in headers:
                    opened(headers[_SESSION_HEADER])

            answer = await self._exchange(request, caller, session_id, begun)
        over = request.method == "DELETE" or answer.status == _NOT_FOUND
        if over and self.sessions.find(session_id, caller) is not None:
            await self.sessions.end(session_id)
        return answer

    @contextmanager
    def _room(self, request: web.Request, caller: Caller) -> Iterator[Callable[[], None]]:
        """Count a request's body, and yield what counts it no longer. Raises TooManyCalls."""
        most = self._settings.max_body_bytes
        told = None if "content-encoding" in request.headers else request.content_length
        size = most if told is None else min(told, most)
        payer = self._fittings.bodies.reserve(caller.holder, size)
        with ExitStack() as held:
            held.callback(self._fittings.bodies.release, payer, size)
            yield held.close

    async def _exchange(
        self,
        request: web.Request,
        caller: Caller,
        session_id: str,
        begun: Callable[[int, Mapping[str, str]], None],
    ) -> web.StreamResponse:
        """Let the SDK answer."""
        await self._know_schema(request, caller)
        config = self._fittings.config
        exchange = Exchange(
            request,
            read_seconds=config.read_seconds.total_seconds(),
            write_seconds=config.write_seconds.total_seconds(),
            begun=begun,
        )
        body = await exchange.read(self._settings.max_body_bytes, Visitor(agent=caller.holder))
        await bounded(body)
        state = {"user": _user(caller), CALLER: caller, SESSION: self.sessions.find(session_id, caller)}
        try:
            answer = await exchange.run(self._manager.handle_request, body, **state)
        except Exception as error:  # noqa: BLE001 - whatever the SDK lets out ends this one request
            _log.error("a request broke", exc=error, method=request.method)
            answer = exchange.answer
            if answer is not None and request.transport is not None:
                request.transport.abort()  # what is out cannot be taken back, but it must not look whole
        if answer is None:
            raise Internal("the request was not answered")
        return answer

    async def _know_schema(self, request: web.Request, caller: Caller) -> None:
        """Read the called tool's schema: the SDK holds the request's Mcp-Param headers against it."""
        if request.headers.get(MCP_METHOD_HEADER) != _CALL_TOOL:
            return
        name = decode_header_value(request.headers.get(MCP_NAME_HEADER))
        schema = await self._handlers.tools.schema(caller, name) if name else None
        SCHEMA.set(None if name is None or schema is None else (name, schema))

    def _check_origin(self, request: web.Request) -> None:
        """Refuse web pages of strangers. Raises OriginRefused.

        A page that rebinds its own name to this address is told by its Origin, which browsers always send.
        """
        origin = request.headers.get("origin")
        if origin is None or origin in self._settings.allowed_origins:
            return
        try:
            host = urlsplit(origin).hostname
        except ValueError:
            host = None
        if host not in {name.strip("[]") for name in LOOPBACK}:
            raise OriginRefused("pages of this origin may not call")

    def _refusal(self, request: web.Request, error: KernelError) -> web.Response:
        status, headers = http_status(error)
        if error.code is Code.UNAUTHENTICATED:
            where = self._resource_url(request).removesuffix(PATH) + METADATA_PATH
            told = "" if error.reason == CredentialMissing.reason else 'error="invalid_token", '
            headers["www-authenticate"] = f'Bearer {told}resource_metadata="{where}"'
        return json_response(http_body(error), status=status, headers=headers)

    def _resource_url(self, request: web.Request) -> str:
        return self._settings.resource_url or f"{request.scheme}://{request.host}{PATH}"

    async def _check(self, caller: Caller) -> None:
        """Ask the kernel whether the caller may still call. Raises KernelError."""
        request = agent_pb2.GetAgentRequest(name="agents/me")
        await ask(self._fittings.kernel.agents.GetAgent, request, caller, seconds=_CHECK_SECONDS)

    async def _close(self, session_id: str, caller: Caller) -> None:
        """End a session of the SDK, as its client would."""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: object) -> None:
            """Drop the answer: that the session is not there any more is fine too."""

        headers = [(_SESSION_HEADER.encode(), session_id.encode()), (b"accept", b"application/json")]
        scope = {"type": "http", "method": "DELETE", "path": PATH, "query_string": b"", "headers": headers}
        await self._manager.handle_request(scope | {"user": _user(caller)}, receive, send)

    async def _serve(self, up: asyncio.Event) -> None:
        """Keep the SDK's task group within one task, which anyio wants, and sweep the sessions beside it."""
        async with self._manager.run():
            sweeping = asyncio.create_task(self._sweep(), name="mcp sweep")
            up.set()
            try:
                await self._stopping.wait()
            finally:
                sweeping.cancel()
                await asyncio.wait({sweeping})
                await self.sessions.end_all()

    async def _sweep(self) -> None:
        every = self._settings.check_seconds.total_seconds()
        while True:
            await asyncio.sleep(every)
            try:
                await self.sessions.sweep()
            except Exception as error:  # noqa: BLE001 - the next sweep is another one
                _log.error("the sessions were not swept", exc=error)


def _opens_session(request: web.Request) -> bool:
    """Tell whether the SDK would open a session: an older revision, or none named, and no session yet."""
    revision = request.headers.get(MCP_PROTOCOL_VERSION_HEADER)
    older = revision is None or revision in HANDSHAKE_PROTOCOL_VERSIONS
    return older and _SESSION_HEADER not in request.headers


def _user(caller: Caller) -> AuthenticatedUser:
    """Return the caller in the SDK's terms, by which it knows whose session is whose; without the token."""
    return AuthenticatedUser(
        AccessToken(token="", client_id=caller.agent, scopes=[], subject=caller.credential)
    )
