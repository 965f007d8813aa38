"""The server every process runs: gRPC with the pipeline, gRPC health on its own port, HTTP for operators."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol

import grpc
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from prometheus_client import CollectorRegistry

from services.chassis.auth.authz_client import Authorizer
from services.chassis.auth.tokens import Authenticator
from services.chassis.bodies import Root, own_root
from services.chassis.pace import RefusalPace
from services.chassis.quotas import Cap
from services.chassis.rpc import methods
from services.chassis.rpc.arrivals import BODIES_BYTES, Arrivals
from services.chassis.rpc.client import MAX_MESSAGE_BYTES
from services.chassis.rpc.live_streams import READER_SECONDS, SWEEP_SECONDS, WATCHES
from services.chassis.rpc.local import LocalChannel
from services.chassis.rpc.observer import CallObserver
from services.chassis.rpc.pipeline import Pipeline
from services.chassis.runtime import metrics
from services.chassis.runtime.files import allow_files
from services.chassis.runtime.health import Health
from services.chassis.runtime.http import HttpServer, Page, Route
from services.chassis.runtime.logs import logger
from services.chassis.runtime.ports import PortTaken
from services.chassis.runtime.readiness import Check, Readiness
from services.chassis.runtime.reflection import serve_reflection
from services.chassis.runtime.tasks import Supervisor
from services.chassis.runtime.tls import PROCESSES, TlsIdentity
from services.chassis.runtime.tracing import Tracer
from services.chassis.shares import Openings

_log = logger(__name__)

Servicer = tuple[Callable[[Any, Any], None], Any, FileDescriptor | ServiceDescriptor]
"""(add_XServicer_to_server, servicer, the descriptor of X or of the file that holds only X)."""


class Listener(Protocol):
    """A further way into the process, for another protocol. Its calls go through the same pipeline."""

    async def start(self, channel: LocalChannel) -> None:
        """Bind and serve. Raises PortTaken."""
        ...

    async def drain(self) -> None:
        """Refuse what is new."""
        ...

    async def stop(self, grace: float) -> None:
        """Give what runs `grace` seconds, then end it."""
        ...


MAX_METADATA_TRANSPORT_BYTES: Final = 64 * 1024

STREAMS_OF_PROCESSES: Final = 32_768
"""Calls under way on one connection of a process of the kernel, which carries those of all agents."""

STREAMS_AT_THE_DOOR: Final = 4_096
"""Calls under way on one connection of anybody else. A client holds back what would be more."""

STREAMS_OF_PROBES: Final = 64

CONNECTIONS: Final = 4_096
"""Connections to one port."""

_HEALTH_SECONDS: Final = 1.0
_CONNECTION_MINUTES: Final = (10, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """Where a process listens and how it ends."""

    host: str = "127.0.0.1"
    """Address to bind; 0.0.0.0 in a container."""

    port: int = 0
    """gRPC port; 0 takes any free one."""

    http_port: int | None = 0
    """Port of /metrics, /healthz and /readyz; 0 takes any free one, empty serves none."""

    http_names: tuple[str, ...] = ()
    """What requests to the HTTP port may call it in `Host`, beside its addresses."""

    health_port: int | None = 0
    """Port of the gRPC health service; 0 takes any free one, empty serves none."""

    drain: timedelta = timedelta(0)
    """Time between "not serving" and refusing calls, for load balancers to notice. Unit: seconds."""

    grace: timedelta = timedelta(seconds=30)
    """Time that running calls get to finish when the process stops. Unit: seconds."""

    watches: Cap = WATCHES
    """Watches that may be open here, of an agent, a tree and a tenant."""

    request_bytes: int = BODIES_BYTES
    """What the requests of all agents that are here may weigh, at the door."""

    reader_seconds: timedelta = timedelta(seconds=READER_SECONDS)
    """How long the reader of a stream that holds a place may take nothing; six times that otherwise."""


def server_options(*, streams: int = STREAMS_OF_PROCESSES) -> list[tuple[str, Any]]:
    """Return the gRPC options of a server; `streams` bounds the calls under way on one connection."""
    minutes = random.uniform(*_CONNECTION_MINUTES)  # noqa: S311 - spreads reconnects, no secret
    return [
        # With the default 1 a second server binds the same port silently and steals traffic.
        ("grpc.so_reuseport", 0),
        # A burst above the defaults (1,000 and 3,000) is dropped as CANCELLED; admission says why. Each that
        # is pending takes 17 KB and is nobody's yet, so there is an end to it.
        ("grpc.server.max_pending_requests", 16_384),
        ("grpc.server.max_pending_requests_hard_limit", 32_768),
        # What pends is served in the order of its arrival: one connection cannot put more before the others.
        ("grpc.max_concurrent_streams", streams),
        # Those that only stand there take files from everything else that the process opens.
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.server_handshake_timeout_ms", 10_000),
        # A window that grows with the bandwidth is as large as the client says: it delays the answers that
        # measure it.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # Between two different limits calls are refused at random; below them the refusal is ours.
        ("grpc.max_metadata_size", MAX_METADATA_TRANSPORT_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_TRANSPORT_BYTES),
        # Lets new replicas get their share. Calls that run go on over the old connection for an hour.
        ("grpc.max_connection_age_ms", int(minutes * 60_000)),
        ("grpc.max_connection_age_grace_ms", 3_600_000),
    ]


class ChassisServer:
    """One process's servers. `start` binds, `stop` drains; `port` and the others are the real ones.

    `known` names services that `handlers` answer without a servicer (the gateway's forwarding); their methods
    pass the same steps. `trust_ids` is False only at the door: agents do not choose syscall ids. With `tls`
    the gRPC port speaks TLS: to the kernel's processes alone, at the door to all. Other ports stay plain.
    """

    def __init__(
        self,
        name: str,
        config: ServerConfig,
        *,
        servicers: Sequence[Servicer] = (),
        authenticator: Authenticator,
        authorizer: Authorizer,
        readiness: Mapping[str, Check] | None = None,
        registry: CollectorRegistry | None = None,
        handlers: Sequence[grpc.GenericRpcHandler] = (),
        known: Iterable[FileDescriptor | ServiceDescriptor] = (),
        trust_ids: bool = True,
        tracer: Tracer | None = None,
        routes: Mapping[str, Route] | None = None,
        listeners: Sequence[Listener] = (),
        openings: Openings | None = None,
        tls: TlsIdentity | None = None,
        pace: RefusalPace | None = None,
        root: Root = own_root,
        observer: CallObserver | None = None,
    ) -> None:
        self._tls = tls
        self.name = name
        self.config = config
        self.registry = registry if registry is not None else CollectorRegistry()
        self.readiness = Readiness(readiness or {})
        self.port = self.http_port = self.health_port = 0
        descriptors = [descriptor for _, _, descriptor in servicers]
        self.methods = methods.table(*descriptors, *known)
        self._services = methods.service_names(*descriptors, *known)
        arrivals = Arrivals(root, total_bytes=config.request_bytes)
        if openings is not None and not trust_ids:
            openings.add(arrivals.weighed)
        self._pipeline = Pipeline(
            self.methods,
            authenticator=authenticator,
            authorizer=authorizer,
            metrics=metrics.RpcMetrics(self.registry),
            trust_ids=trust_ids,
            tracer=tracer,
            watches=config.watches,
            reader_seconds=config.reader_seconds.total_seconds(),
            openings=openings,
            peers=PROCESSES if tls is not None and trust_ids else None,
            arrivals=arrivals,
            pace=pace,
            root=root,
            observer=observer,
        )
        self._of_processes = trust_ids
        self._servicers = servicers
        self._handlers = handlers
        self._listeners = listeners
        self._health = Health()
        self._supervisor = Supervisor()
        self._grpc: grpc.aio.Server | None = None
        self._health_server: grpc.aio.Server | None = None
        self._http = HttpServer(
            {"/metrics": self._metrics, "/healthz": self._alive, "/readyz": self._ready, **(routes or {})},
            names=config.http_names,
        )

    async def start(self) -> None:
        """Bind all ports and serve. Raises PortTaken."""
        allow_files(CONNECTIONS)
        try:
            await self._bind()
        except PortTaken:
            await self._close(0)
            raise
        await self._report_health()
        self._supervisor.every("health", _HEALTH_SECONDS, self._report_health)
        self._supervisor.every("streams", SWEEP_SECONDS, self._pipeline.streams.sweep)

    async def drain(self) -> None:
        """Say that the process goes, wait for load balancers to notice, end the watches."""
        self.readiness.draining = True
        self._health.leave()
        for listener in self._listeners:
            await listener.drain()
        await asyncio.sleep(self.config.drain.total_seconds())
        self._pipeline.endless.end()

    async def stop(self, grace: float | None = None) -> None:
        """Drain, give running calls `grace` seconds (default: the configured ones), then close everything."""
        if not self.readiness.draining:
            await self.drain()
        await self._close(self.config.grace.total_seconds() if grace is None else grace)

    async def _bind(self) -> None:
        config = self.config
        streams = STREAMS_OF_PROCESSES if self._of_processes else STREAMS_AT_THE_DOOR
        self._grpc = server = grpc.aio.server(options=server_options(streams=streams))
        serve_reflection(self._services, server)
        for add, servicer, _ in self._servicers:
            add(servicer, self._pipeline)
        self._pipeline.add_generic_rpc_handlers(self._handlers)
        server.add_generic_rpc_handlers((self._pipeline,))
        credentials = None
        if self._tls is not None:
            credentials = self._tls.server_credentials(of_processes=self._of_processes)
        self.port = await _bind(server, config.host, config.port, "gRPC", credentials)
        if config.health_port is not None:
            self._health_server = grpc.aio.server(options=server_options(streams=STREAMS_OF_PROBES))
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)
            self.health_port = await _bind(
                self._health_server, config.host, config.health_port, "gRPC health"
            )
            await self._health_server.start()
        if config.http_port is not None:
            await self._start_http(config.host, config.http_port)
        await server.start()
        for listener in self._listeners:
            await listener.start(LocalChannel(self._pipeline))

    async def _close(self, grace: float) -> None:
        listeners = [listener.stop(grace) for listener in self._listeners]
        calls = [self._grpc.stop(grace)] if self._grpc is not None else []
        await asyncio.gather(*listeners, *calls)
        await self._http.stop()
        if self._health_server is not None:
            await self._health_server.stop(0)
        await self._supervisor.stop()  # until here running streams are held against the rules
        await self._pipeline.streams.stop()

    async def _start_http(self, host: str, port: int) -> None:
        try:
            await self._http.start(host, port)
        except OSError:
            raise await asyncio.to_thread(PortTaken, port, "HTTP", host) from None
        self.http_port = self._http.port

    async def _report_health(self) -> None:
        if self.readiness.draining:
            return
        failing = await self.readiness.failing()
        status = HealthCheckResponse.NOT_SERVING if failing else HealthCheckResponse.SERVING
        self._health.set("", HealthCheckResponse.SERVING)
        for service in self._services:
            self._health.set(service, status)

    async def _metrics(self) -> Page:
        return Page(metrics.page(self.registry), metrics.CONTENT_TYPE)

    async def _alive(self) -> Page:
        return Page(b"ok\n")

    async def _ready(self) -> Page:
        ready, body = await self.readiness.report()
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(body, "application/json", status)


async def _bind(
    server: grpc.aio.Server,
    host: str,
    port: int,
    purpose: str,
    credentials: grpc.ServerCredentials | None = None,
) -> int:
    try:
        if credentials is not None:
            return server.add_secure_port(f"{host}:{port}", credentials)
        return server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:  # what grpc raises when it cannot bind
        raise await asyncio.to_thread(PortTaken, port, purpose, host) from None
