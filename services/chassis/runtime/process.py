"""The life of a process: configuration in, servers up, signals, drain, exit code."""

import asyncio
import hmac
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from prometheus_client import CollectorRegistry

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2_grpc
from services.chassis.auth.authz_client import AccessAuthorizer, Authorizer
from services.chassis.auth.processes import ACCESS, SERVICE_KEYS
from services.chassis.auth.purges import LOOK_SECONDS, Delete, PurgeFollower
from services.chassis.auth.tokens import Authenticator, KeyRing, Revocations, TokenVerifier
from services.chassis.bodies import Root, own_root
from services.chassis.pace import RefusalPace
from services.chassis.quotas import Cap
from services.chassis.rpc import client
from services.chassis.rpc.errors import ServiceUnavailable
from services.chassis.rpc.exchange import AccessExchange, TokenExchange
from services.chassis.rpc.live_streams import READER_SECONDS, WATCHES
from services.chassis.rpc.observer import CallObserver
from services.chassis.runtime import config, interpreter, logs, ports, private_files
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.runtime.config import ConfigError, SettingRefused
from services.chassis.runtime.http import Route
from services.chassis.runtime.metrics import DatabaseMetrics, ProcessMetrics
from services.chassis.runtime.ports import PortTaken
from services.chassis.runtime.readiness import Check
from services.chassis.runtime.server import ChassisServer, Listener, ServerConfig, Servicer
from services.chassis.runtime.tasks import Supervisor, watch_loop_lag
from services.chassis.runtime.tls import TlsFiles, TlsIdentity, TlsUnusable
from services.chassis.runtime.tracing import OtelTracer, Tracer
from services.chassis.shares import Openings

if TYPE_CHECKING:
    from services.chassis.db import Database

T = TypeVar("T")

_log = logs.logger(__name__)

EXIT_CONFIGURATION: Final = 2
"""Exit code when the process cannot start as configured: a bad value, a port that is taken."""

EXIT_UNAVAILABLE: Final = 75
"""Exit code when something that the process needs at its start, such as its database, is not there."""

TLS_SECONDS: Final = 5.0
"""Time between two looks for a new certificate."""

_LAST_PORT: Final = 65_535

NOTHING_FURTHER: Final[Mapping[str, type[Any]]] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonConfig:
    """What all processes share. Read from `AIOS_*`."""

    data_dir: Path = Path(".aios")
    """Directory of databases, keys and tokens."""

    service_key_file: Path | None = None
    """File with this process's own key, which access exchanges for tokens. Default: the file in the data
    directory named after the process, such as service-keys/gateway.key."""

    drain_seconds: timedelta = timedelta(0)
    """Time between "not serving" and refusing calls, for load balancers to notice."""

    grace_seconds: timedelta = timedelta(seconds=30)
    """Time that running calls get to finish when the process stops."""

    quota_watches: Cap = WATCHES
    """Watches that may be open at each process: of an agent, of a tree, of a tenant."""

    reader_seconds: timedelta = timedelta(seconds=READER_SECONDS)
    """How long the reader of a stream may take nothing of it before it is ended, while the stream holds a
    place at a gate. Other streams may rest six times as long."""

    tls_cert: Path | None = None
    """Certificate of this process in PEM, whose name is the process's. With it gRPC between the processes is
    mutual TLS, and the gateway speaks TLS to agents. Read again when it changes."""

    tls_key: Path | None = None
    """Private key of the certificate."""

    tls_ca: Path | None = None
    """Authorities that the processes' certificates are signed by."""

    http_names: tuple[str, ...] = ()
    """Names by which the pages on the HTTP ports may be asked for, beside the addresses they are bound to; a
    web page that points a name of its own here reads nothing."""

    otel_endpoint: str = ""
    """Where spans are sent, as OTLP over gRPC, such as http://127.0.0.1:4317. Default: nowhere."""

    log_level: str = "info"
    """Least important level that is logged: debug, info, warning or error."""

    log_format: str = "auto"
    """How lines look: json, console, or auto (console on a terminal)."""

    def __post_init__(self) -> None:
        """Refuse words that mean nothing. Raises ValueError."""
        for setting, value, known in (
            ("log_level", self.log_level.lower(), logs.LEVELS),
            ("log_format", self.log_format, logs.STYLES),
        ):
            if value not in known:
                raise SettingRefused(setting, f"{value!r} is none of {', '.join(known)}")
        if self.otel_endpoint and not self.otel_endpoint.startswith(("http://", "https://")):
            raise SettingRefused("otel_endpoint", "expected a URL such as http://127.0.0.1:4317")


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenConfig:
    """Where one process listens. Read from `AIOS_<SERVICE>_*`."""

    host: str = "127.0.0.1"
    """Address to bind; 0.0.0.0 in a container."""

    port: int | None = None
    """gRPC port. Default: the service's own, 7070 to 7076."""

    http_port: int | None = None
    """Port of /metrics, /healthz and /readyz. Default: 100 above the gRPC port; the gateway's is 7080."""

    health_port: int | None = None
    """Port of the gRPC health service. Default: 200 above the gRPC port."""

    database_url: str = ""
    """SQLAlchemy URL. Default: a SQLite file named after the service in the data directory."""

    endpoint: str = ""
    """Where the other processes reach this one; they read it, the process itself does not."""

    def __post_init__(self) -> None:
        """Refuse what is no port. Raises ValueError."""
        for setting in ("port", "http_port", "health_port"):
            value = getattr(self, setting)
            if value is not None and not 0 <= value <= _LAST_PORT:
                raise SettingRefused(setting, f"expected a port from 0 to {_LAST_PORT}, got {value}")


@dataclass(kw_only=True)
class App:
    """What a process serves. Made by the `assemble` function of its main module."""

    servicers: Sequence[Servicer] = ()
    readiness: Mapping[str, Check] = field(default_factory=dict)
    authenticator: Authenticator | None = None
    """Default: verification with the access manager's keys."""
    authorizer: Authorizer | None = None
    """Default: the access manager."""
    handlers: Sequence[grpc.GenericRpcHandler] = ()
    known: Sequence[FileDescriptor | ServiceDescriptor] = ()
    trust_ids: bool = True
    pace: RefusalPace | None = None
    """How fast refusals are answered, by trees of agents; None: as they come."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    """Further HTTP pages by path."""
    serve_http: bool = True
    """False when the process serves /metrics, /healthz and /readyz itself on its HTTP port."""
    listeners: Sequence[Listener] = ()
    """Further ways into the process."""
    root: Root = own_root
    """Tells the root of an agent's tree without asking anybody, for what is shared by trees."""
    observer: CallObserver | None = None
    """Sees every call of a caller who is known, as long as somebody looks."""
    started: Callable[[ChassisServer], Awaitable[None]] | None = None
    """Called once everything is bound."""


class Process:
    """What `assemble` builds an app from. Everything it opens is closed when the process ends."""

    def __init__(self, name: str, environ: Mapping[str, str], *, clock: Clock | None = None) -> None:
        self.name = name
        self.environ = environ
        self.clock = clock or SystemClock()
        self.common = config.load(CommonConfig, environ, "AIOS_", known=None)
        self.listen = config.load(ListenConfig, environ, self.prefix, known=None)
        self.registry = CollectorRegistry()
        self.metrics = ProcessMetrics(self.registry, name)
        self.tasks = Supervisor(metrics=self.metrics)
        self.stack = AsyncExitStack()
        self.tls: TlsIdentity | None = None
        """What this process shows to others and believes of them; None: nothing is encrypted."""
        self.draining = asyncio.Event()
        """Set when the process begins to stop."""
        self.openings = Openings()
        """What agents have open in this process."""
        self._database_metrics: DatabaseMetrics | None = None
        self._channels: dict[str, grpc.aio.Channel] = {}

    @property
    def prefix(self) -> str:
        """Beginning of the process's own variables, such as `AIOS_MEMORY_`."""
        return f"AIOS_{self.name.upper()}_"

    @property
    def data_dir(self) -> Path:
        """Directory of the kernel's files."""
        return self.common.data_dir.expanduser().absolute()

    def load(self, cls: type[T], **further: type[Any]) -> T:
        """Read the process's own configuration. Raises ConfigError, also for a variable that nobody reads.

        `further` are dataclasses read apart from it, by what their variables begin with after the prefix.
        """
        known = _names(ListenConfig)
        known += [f"{own}{name}" for own, other in further.items() for name in _names(other)]
        return config.load(cls, self.environ, self.prefix, known=known)

    def server_config(self, *, serve_http: bool = True) -> ServerConfig:
        """Return where to listen, defaults filled in."""
        listen = self.listen
        port = ports.grpc_port(self.name) if listen.port is None else listen.port
        http = ports.http_port(self.name, port) if listen.http_port is None else listen.http_port
        return ServerConfig(
            host=listen.host,
            port=port,
            http_port=http if serve_http else None,
            http_names=self.common.http_names,
            health_port=ports.health_port(port) if listen.health_port is None else listen.health_port,
            drain=self.common.drain_seconds,
            grace=self.common.grace_seconds,
            watches=self.common.quota_watches,
            reader_seconds=self.common.reader_seconds,
        )

    def http_address(self) -> tuple[str, int]:
        """Return host and port for a process that serves its HTTP pages itself."""
        return self.listen.host, self.server_config().http_port or 0

    def database_url(self) -> str:
        """Return the URL of the process's database."""
        return self.listen.database_url or f"sqlite:///{self.data_dir / (self.name + '.db')}"

    async def database(self, migrations: Path, *, name: str = "main") -> "Database":
        """Open the process's database, bring it up to date, close it at the end."""
        database = self.unopened_database(migrations, name=name)
        await database.migrate()
        return database

    def unopened_database(self, migrations: Path, *, name: str = "main") -> "Database":
        """Return the process's database before anything connects to it; close it at the end.

        For a process that can do without: it calls `migrate` itself, in the background.
        """
        # Imported here: the processes without a database have no use for SQLAlchemy.
        from services.chassis.db import open_database  # noqa: PLC0415 - see above

        self._database_metrics = self._database_metrics or DatabaseMetrics(self.registry)
        try:
            database = open_database(
                self.database_url(),
                schema=self.name,
                migrations=migrations,
                name=name,
                metrics=self._database_metrics,
            )
        except ValueError as error:
            raise ConfigError([f"{self.prefix}DATABASE_URL: {error}"]) from error
        self.stack.push_async_callback(database.close)
        return database

    def endpoint(self, peer: str) -> str:
        """Return where another process is reached: `AIOS_<PEER>_ENDPOINT`, else its default port here."""
        default = f"127.0.0.1:{ports.DEFAULT_PORTS.get(peer, 0)}"
        return self.environ.get(f"AIOS_{peer.upper()}_ENDPOINT") or default

    def channel(self, peer: str, *services: FileDescriptor | ServiceDescriptor) -> grpc.aio.Channel:
        """Return the channel to another process, opened once; reads of `services` are retried."""
        if peer not in self._channels:
            channel = client.channel(self.endpoint(peer), *services, tls=self.tls, peer=peer)
            self._channels[peer] = channel
            self.stack.push_async_callback(channel.close)
        return self._channels[peer]

    async def read_certificate(self) -> None:
        """Take up the process's certificate, if it has one, and go on looking for new ones.

        Raises ConfigError when it cannot be used.
        """
        given = [self.common.tls_cert, self.common.tls_key, self.common.tls_ca]
        certificate, key, authorities = given
        if certificate is None or key is None or authorities is None:
            if any(given):
                raise ConfigError(["AIOS_TLS_CERT, AIOS_TLS_KEY and AIOS_TLS_CA belong together"])
            return
        try:
            self.tls = await asyncio.to_thread(TlsIdentity, TlsFiles(certificate, key, authorities))
        except TlsUnusable as problem:
            raise ConfigError([f"AIOS_TLS_*: {problem}"]) from problem
        self.tasks.every("certificate", TLS_SECONDS, self.tls.refresh)

    @cached_property
    def credential(self) -> client.ServiceCredential:
        """The token this process shows to access. Raises ConfigError when there is no service key."""
        return self.credential_for(ACCESS)

    def credential_for(self, audience: str) -> client.ServiceCredential:
        """Return the token this process shows to another. Raises ConfigError when there is no service key."""
        key = self._service_key
        return client.KeyCredential(self._access, self.name, key, self.clock, audience=audience)

    @cached_property
    def exchange(self) -> TokenExchange:
        """Exchanges callers' tokens for those that count at other processes."""
        made = AccessExchange(self._access, self.credential, self.clock, self.authorizer)
        self.stack.push_async_callback(made.close)
        return made

    @cached_property
    def _service_key(self) -> str:
        path = self.common.service_key_file or self.data_dir / SERVICE_KEYS / f"{self.name}.key"
        try:
            private_files.own_file(path)
            return client.read_service_key(path)
        except (OSError, ValueError) as error:
            raise ConfigError([f"AIOS_SERVICE_KEY_FILE: {error}"]) from error

    def secret(self, purpose: str) -> str:
        """Return a secret of this purpose that all processes of this name share, and that tells no other one.

        Raises ConfigError when there is no service key.
        """
        return hmac.new(self._service_key.encode(), purpose.encode(), "sha256").hexdigest()

    @cached_property
    def revocations(self) -> Revocations:
        """The revoked tokens this process knows of."""
        return Revocations()

    @cached_property
    def authenticator(self) -> Authenticator:
        """Verifies tokens with the access manager's keys."""
        ring = KeyRing(client.AccessKeySource(self._access), self.clock)
        return TokenVerifier(ring, self.clock, (self.name,), self.revocations)

    @cached_property
    def authorizer(self) -> AccessAuthorizer:
        """Asks the access manager; its watch runs in the background from the first use on."""
        authorizer = AccessAuthorizer(self._access, self.credential, self.clock, revocations=self.revocations)
        self.tasks.start("access-watch", authorizer.watch)
        return authorizer

    @cached_property
    def tracer(self) -> Tracer | None:
        """Makes spans when an endpoint is configured."""
        if not self.common.otel_endpoint:
            return None
        tracer = OtelTracer(self.name, self.common.otel_endpoint)
        self.stack.push_async_callback(asyncio.to_thread, tracer.close)
        return tracer

    def follow_purges(self, delete: Delete) -> None:
        """Delete everything of purged agents, as access names them, from now on; see PurgeFollower."""

        async def look() -> None:
            stub: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(self._access)
            await PurgeFollower(stub, self.credential, self.name, delete).look()

        self.tasks.every("purges", LOOK_SECONDS, look)

    @property
    def _access(self) -> grpc.aio.Channel:
        return self.channel("access", access_pb2.DESCRIPTOR)


Assemble = Callable[[Process], Awaitable[App]]


async def serve(
    name: str,
    assemble: Assemble,
    *,
    environ: Mapping[str, str] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a process until SIGTERM, SIGINT or `stop`, then drain it.

    Raises ConfigError or PortTaken when it cannot start as configured.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    process = Process(name, os.environ if environ is None else environ)
    await make_private(process.data_dir, "AIOS_DATA_DIR")
    async with process.stack:
        process.stack.push_async_callback(process.tasks.stop)
        await process.read_certificate()
        server = await _start(process, await assemble(process))
        interpreter.settle_in()
        await stop.wait()
        _log.info("stopping")
        process.draining.set()
        await server.stop()
        await process.tasks.stop()  # before what they use is closed
    _log.info("stopped")


async def make_private(directory: Path, setting: str) -> None:
    """Close a directory of the kernel's to other users, if it is there. Raises ConfigError."""
    try:
        opened = await asyncio.to_thread(private_files.own_directory, directory)
    except private_files.NotPrivate as refused:
        raise ConfigError([f"{setting}: {refused}"]) from refused
    if opened:
        _log.warning("other users could read files: closed to them", first=str(opened[0]), count=len(opened))


async def _start(process: Process, app: App) -> ChassisServer:
    authorizer = app.authorizer or process.authorizer
    readiness = dict(app.readiness)
    if isinstance(authorizer, AccessAuthorizer):
        readiness.setdefault("access", authorizer.problem)
    server = ChassisServer(
        process.name,
        process.server_config(serve_http=app.serve_http),
        servicers=app.servicers,
        authenticator=app.authenticator or process.authenticator,
        authorizer=authorizer,
        readiness=readiness,
        registry=process.registry,
        handlers=app.handlers,
        known=app.known,
        trust_ids=app.trust_ids,
        tracer=process.tracer,
        routes=app.routes,
        listeners=app.listeners,
        openings=process.openings,
        tls=process.tls,
        pace=app.pace,
        root=app.root,
        observer=app.observer,
    )
    await server.start()
    process.tasks.start("loop-lag", lambda: watch_loop_lag(process.metrics))
    if app.started is not None:
        await app.started(server)
    _log.info(
        "ready", port=server.port, http_port=server.http_port, health_port=server.health_port, pid=os.getpid()
    )
    return server


def run(
    name: str, assemble: Assemble, *configs: type[Any], further: Mapping[str, type[Any]] = NOTHING_FURTHER
) -> int:
    """Run a process from its __main__ and return its exit code; `--help-config` prints all variables instead.

    `configs` are the dataclasses that `assemble` loads, for that help; `further` those with their own prefix.
    """
    if "--help-config" in sys.argv[1:]:
        sys.stdout.write(help_config(name, *configs, further=further))
        return 0
    private_files.private_umask()
    environ = os.environ
    level, style = environ.get("AIOS_LOG_LEVEL", "info"), environ.get("AIOS_LOG_FORMAT", "auto")
    logs.configure(name, level=level, style=style)
    try:
        asyncio.run(serve(name, assemble))
    except (ConfigError, PortTaken) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_CONFIGURATION
    except ServiceUnavailable as error:  # what it needs may come: whoever supervises it starts it again
        _log.error("cannot start yet", why=error.message)
        return EXIT_UNAVAILABLE
    return 0


def help_config(name: str, *configs: type[Any], further: Mapping[str, type[Any]] = NOTHING_FURTHER) -> str:
    """Describe every variable a process reads."""
    prefix = f"AIOS_{name.upper()}_"
    parts = [config.describe(CommonConfig, "AIOS_")]
    described: list[type[Any]] = [ListenConfig, *configs]
    parts += [config.describe(cls, prefix) for cls in described]
    parts += [config.describe(cls, own) for own, cls in further.items()]
    return "\n".join(parts) + "\n"


def _names(cls: type[Any]) -> list[str]:
    return [name.upper() for name in cls.__dataclass_fields__]
