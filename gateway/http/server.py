"""The gateway's HTTP listener: bounded connections, identified requests, errors in each dialect's words."""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakSet

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.http.adapters.children import KernelChildren
from gateway.http.adapters.key_exchange import AccessKeyExchange
from gateway.http.config import DoorConfig
from gateway.http.connections import Bounds, Connections
from gateway.http.core.aliases import Aliases, Served, parse
from gateway.http.core.refusals import Refusal
from gateway.http.core.repeated import LengthRefusals
from gateway.http.dialect import Dialect, Route, Tell, tell_by_headers
from gateway.http.errors import UnknownRoute, WrongMethod
from gateway.http.fittings import Fittings
from gateway.http.kernel import Kernel, kernel_on
from gateway.http.metrics import DoorMetrics
from gateway.http.protocol import DoorProtocol, deliver, expected, sign
from gateway.http.service.identities import Identities
from gateway.http.service.kept_tokens import KeptTokens
from gateway.http.service.keys import Keys
from gateway.http.service.sessions import Sessions
from gateway.http.visit import Visit
from services.chassis.auth.tokens import Authenticator
from services.chassis.bodies import Bodies, Root, own_root
from services.chassis.rpc.errors import Draining, KernelError, MalformedRequest
from services.chassis.rpc.live_streams import SWEEP_SECONDS
from services.chassis.rpc.local import LocalChannel
from services.chassis.rpc.steps import mapping
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.files import allow_files
from services.chassis.runtime.logs import logger
from services.chassis.runtime.ports import PortTaken
from services.chassis.runtime.tasks import Supervisor
from services.chassis.shares import Openings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logger(__name__)

_RENEWABLE: Final = frozenset({"CREDENTIAL_EXPIRED", "CREDENTIAL_REVOKED"})
_KEEP_ALIVE_SECONDS: Final = 75.0
_HEAD_BYTES: Final = 16 * 1024
_BACKLOG: Final = 1024
"""Connections that may wait to be taken."""
_AT_ONCE: Final = 16
"""Connections that are taken in one turn of the event loop. Each takes a tenth of a millisecond."""
_CLIENT_GONE: Final = 499
_LEAST_GRACE: Final = 0.01
"""To the HTTP library no time at all is time without end."""
_RETIRE_SECONDS: Final = 60.0
_CERTIFICATE_SECONDS: Final = 5.0
_BASES: Final = (
    "base URLs are this address: with /v1 for OpenAI clients, bare for Anthropic's, with /mcp for MCP's"
)


class Door:
    """Listens for HTTP clients. `start` binds, `drain` refuses what is new, `stop` ends the rest."""

    def __init__(
        self,
        config: DoorConfig,
        dialects: Callable[[Fittings], Sequence[Dialect]],
        *,
        authenticator: Authenticator,
        clock: Clock,
        registry: CollectorRegistry,
        served: Callable[[], Served],
        room: Callable[[str, str], tuple[int, int]],
        root: Root = own_root,
        openings: Openings | None = None,
        host: str,
        port: int,
    ) -> None:
        self._config = config
        self._make = dialects
        self._authenticator = authenticator
        self._clock = clock
        self._registry = registry
        self._room = room
        self._aliases = Aliases(served, parse(config.models))
        self._host = config.host or host
        self.port = port
        """The port that was asked for, and once started the real one."""
        self._root = root
        self._openings = Openings() if openings is None else openings
        self._bodies = Bodies(config.bodies_bytes, root)
        self._openings.add(self._bodies.shares)
        self._metrics = DoorMetrics(
            registry, connections=lambda: self._connections, body_bytes=lambda: self._bodies.held
        )
        self._too_long = LengthRefusals()
        self._draining = False
        self._tasks = Supervisor()
        self._runner: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        bounds = Bounds(config.connections, config.connections_per_address, config.connections_unproven)
        self._open = Connections(bounds)
        self._spoken: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._identities: Identities | None = None
        self._dialects: Sequence[Dialect] = ()

    async def start(self, channel: LocalChannel) -> None:
        """Bind and serve. Raises PortTaken, OSError for a certificate that cannot be read."""
        kernel = kernel_on(channel)
        self._identities = self._identify(kernel)
        fittings = Fittings(
            kernel,
            self._identities,
            self._config,
            self._aliases,
            self._registry,
            self._bodies,
            self._root,
            self._openings,
        )
        self._dialects = self._make(fittings)
        self._tls = tls = await asyncio.to_thread(_tls, self._config)
        if tls is not None:
            self._tasks.every("door certificate", _CERTIFICATE_SECONDS, self.renew_certificate)
        allow_files(self._config.connections)
        self._runner = web.AppRunner(self._app(), handler_cancellation=True)
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol,
                self._host,
                self.port,
                ssl=tls,
                ssl_handshake_timeout=self._config.read_seconds.total_seconds() if tls else None,
                backlog=_AT_ONCE,
            )
        except OSError:
            raise await asyncio.to_thread(PortTaken, self.port, "HTTP door") from None
        self.port = self._server.sockets[0].getsockname()[1]
        for listening in self._server.sockets:
            # The event loop takes as many connections in one turn as it was told that may wait for it.
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(_BACKLOG)
        for dialect in self._dialects:
            if dialect.start is not None:
                await dialect.start()
        _log.info("door open", port=self.port, tls=tls is not None)

    def _identify(self, kernel: Kernel) -> Identities:
        kept = KeptTokens(self._authenticator, self._clock)
        keys = Keys(AccessKeyExchange(kernel), self._authenticator, self._clock, kept)
        idle = self._config.session_idle_seconds.total_seconds()
        sessions = Sessions(KernelChildren(kernel), kept, self._authenticator, self._clock, idle)
        self._tasks.every("door sessions", _RETIRE_SECONDS, sessions.retire_idle)
        self._tasks.every("door keys", SWEEP_SECONDS, sessions.check_running)
        return Identities(keys, sessions)

    async def renew_certificate(self) -> None:
        """Show the certificate that the files hold now, from the next connection on."""
        if self._tls is None:
            return
        try:
            await asyncio.to_thread(
                _tls, self._config
            )  # tried apart: half of a pair would end every handshake
            await asyncio.to_thread(_load, self._tls, self._config)
        except (OSError, ssl.SSLError) as problem:
            _log.warning("the new certificate cannot be used", problem=str(problem))

    async def drain(self) -> None:
        """Refuse new requests; those under way go on."""
        self._draining = True
        for dialect in self._dialects:
            if dialect.drain is not None:
                await dialect.drain()

    async def stop(self, grace: float) -> None:
        """Stop listening, give requests under way `grace` seconds, then cancel them."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            self._runner._shutdown_timeout = max(grace, _LEAST_GRACE)  # noqa: SLF001 - known only now
            await self._runner.cleanup()
        for dialect in self._dialects:
            if dialect.stop is not None:
                await dialect.stop()
        await self._tasks.stop()
        if self._identities is not None:
            await self._identities.close()

    @property
    def _connections(self) -> int:
        server = self._runner.server if self._runner is not None else None
        return len(server.connections) if server is not None else 0

    def _protocol(self) -> asyncio.Protocol:
        """Make the protocol of a new connection. It must speak in time, and there must be room for it."""
        if self._runner is None or self._runner.server is None:
            raise RuntimeError("the door is not open")
        loop = asyncio.get_running_loop()
        protocol = DoorProtocol(
            self._runner.server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # the library takes None, its annotation does not
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            max_line_size=_HEAD_BYTES,
            max_field_size=_HEAD_BYTES,
            auto_decompress=False,  # it would inflate on the loop, also what is thrown away afterwards
        )
        protocol.lost = self._open.closed
        loop.call_soon(loop.call_soon, self._check_room, protocol)  # behind the call that connects it
        loop.call_later(self._config.read_seconds.total_seconds(), self._check_spoken, protocol)
        return protocol

    def _check_room(self, protocol: Any) -> None:
        transport = protocol.transport
        if transport is None:
            return
        peer = transport.get_extra_info("peername")
        surplus: Any = self._open.opened(transport, str(peer[0]) if peer else "unknown")
        if surplus is not None:
            self._metrics.refused_connections.labels("full").inc()
            surplus.abort()

    def _check_spoken(self, protocol: Any) -> None:
        """Close a connection whose first request has not arrived; later ones have the keep-alive's time."""
        transport = protocol.transport
        if transport is not None and transport not in self._spoken:
            self._metrics.refused_connections.labels("silent").inc()
            transport.abort()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=self._config.body_bytes, middlewares=[self._outermost])
        app.on_response_prepare.append(sign)
        app.on_response_prepare.append(self._judge_connection)
        for dialect in self._dialects:
            for route in dialect.routes:
                handler = self._handler(dialect, route)
                for path in {route.path, route.path.removeprefix("/v1")}:
                    app.router.add_route(route.method, path, handler, expect_handler=expected)
            for path, whole in dialect.mounts:
                app.router.add_route("*", path, whole, expect_handler=expected)
        return app

    async def _judge_connection(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Keep the connection of who showed a good credential, and close that of who showed a bad one."""
        if answer.status < HTTPStatus.BAD_REQUEST:
            self._open.proven(request.transport)
        elif answer.status == HTTPStatus.UNAUTHORIZED:
            answer.headers["connection"] = "close"
            answer.force_close()

    @web.middleware
    async def _outermost(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note that the connection speaks, and send the answer within bounds."""
        if request.transport is not None:
            self._spoken.add(request.transport)
        answer = await self._routed(request, handler)
        await deliver(request, answer, self._config.write_seconds.total_seconds())
        return answer

    async def _routed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, also what no route answers."""
        error: KernelError
        try:
            _check_head(request)
            return await handler(request)
        except MalformedRequest as refused:
            error = refused
        except web.HTTPNotFound:
            error = UnknownRoute(f"there is no {request.method} {request.path[:200]}: {_BASES}")
        except web.HTTPMethodNotAllowed:
            error = WrongMethod(f"{request.path[:200]} does not take {request.method}")
        visit = Visit(request, self._config, self._bodies, self._room)
        tell = tell_by_headers(request)
        return self._refuse(visit, error, tell, "other", "other")

    def _handler(self, dialect: Dialect, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            visit = Visit(request, self._config, self._bodies, self._room)
            tell = route.tell or tell_by_headers(request)
            try:
                answer = await self._answer(visit, route)
            except ConnectionError:
                answer = web.Response(status=_CLIENT_GONE)  # there is nobody to tell
            except Exception as error:
                if visit.begun:
                    raise
                return self._refuse(
                    visit,
                    mapping.typed(error, f"{route.method} {route.path}"),
                    tell,
                    dialect.name,
                    route.path,
                )
            finally:
                visit.release()
            self._metrics.requests.labels(dialect.name, route.path, str(answer.status)).inc()
            return answer

        return handle

    async def _answer(self, visit: Visit, route: Route) -> web.StreamResponse:
        """Identify the caller and do the work; once more with a fresh token when the kept one is refused."""
        if self._draining:
            raise Draining("the process is shutting down", retry_after=1.0)
        identities = self._identities
        if identities is None:
            raise RuntimeError("the door is not open")
        for last in (False, True):
            visit.identity = await identities.of(visit.request.headers.get, visit.peer)
            identities.begin(visit.identity)
            try:
                answer = await route.work(visit)
            except KernelError as error:
                again = error.reason in _RENEWABLE and not visit.begun and not last
                if not again or not identities.forget(visit.identity):
                    raise
            else:
                if not answer.prepared:
                    for name, value in visit.told.items():
                        answer.headers.setdefault(name, value)
                return answer
            finally:
                identities.end()
        raise RuntimeError("unreachable")

    def _refuse(self, visit: Visit, error: KernelError, tell: Tell, dialect: str, route: str) -> web.Response:
        if visit.identity is not None:
            agent = (visit.identity.tenant, visit.identity.agent)
            error = self._too_long.told(agent, error, self._clock.monotonic())
        refusal: Refusal = tell(error, visit.syscall_id)
        self._metrics.requests.labels(dialect, route, str(refusal.status)).inc()
        headers = {**visit.told, **refusal.headers}
        return web.Response(
            status=refusal.status,
            body=msgspec.json.encode(refusal.body),
            content_type="application/json",
            headers=headers,
        )


def _check_head(request: web.Request) -> None:
    """Raise MalformedRequest for a head that is no text: whatever hashes or forwards a part would break."""
    for name, value in (("path", request.path), *request.headers.items()):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise MalformedRequest(f"{name[:64]} is not UTF-8") from None


def _tls(config: DoorConfig) -> ssl.SSLContext | None:
    if config.tls_cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, config)
    return context


def _load(context: ssl.SSLContext, config: DoorConfig) -> None:
    if config.tls_cert_file is not None:
        context.load_cert_chain(config.tls_cert_file, config.tls_key_file)
