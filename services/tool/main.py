"""Wiring of the process: the only place where adapters are chosen."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2_grpc
from aios.api.sandbox.v1 import sandbox_pb2
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2, tool_pb2_grpc
from services.chassis.auth.agents import AccessAgentDirectory
from services.chassis.auth.identity import Scope
from services.chassis.dispatch.client import DispatchClient
from services.chassis.isolation.main import isolate
from services.chassis.isolation.sandbox import Settings
from services.chassis.quotas import caps_of
from services.chassis.rpc import client
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.chassis.runtime.metrics import DispatchMetrics
from services.chassis.runtime.process import App, Process
from services.chassis.sandbox.metrics import show
from services.tool.adapters.access_client import CallersAccess
from services.tool.adapters.approvals_client import AccessApprovals
from services.tool.adapters.audit_client import AccessAudit
from services.tool.adapters.openapi_reader import OpenApiReader
from services.tool.adapters.python_runtime import SandboxedPython
from services.tool.adapters.remote_sandbox import RemoteSandbox
from services.tool.adapters.scheduler_queue import ScheduledQueue
from services.tool.adapters.secret_keys import SecretKeyFile
from services.tool.adapters.sharing_client import AccessSharing
from services.tool.adapters.storage_client import StorageSearch
from services.tool.adapters.storage_files import StorageFiles
from services.tool.config import ToolConfig
from services.tool.drivers.builtin.catalog import TOOLS
from services.tool.drivers.builtin.functions import BuiltinDriver
from services.tool.drivers.builtin.workers import Workers
from services.tool.drivers.http import HttpDriver
from services.tool.drivers.mcp.dialling import Dialler, StdioRules, Ways
from services.tool.drivers.mcp.driver import GRACE_SECONDS, McpDriver
from services.tool.drivers.mcp.link import Links
from services.tool.drivers.mcp.terms import Dials
from services.tool.drivers.python import PythonDriver
from services.tool.egress.guard import EgressGuard
from services.tool.egress.names import SystemLookup
from services.tool.metrics import ToolMetrics
from services.tool.model import DriverKind, Tool
from services.tool.ports import (
    Access,
    Approvals,
    Audit,
    Documents,
    Egress,
    Meter,
    PythonRuntime,
    Queue,
    Sandbox,
    SecretKeys,
    Secrets,
    SharingApprovals,
    Store,
    ToolDriver,
)
from services.tool.service.calls import Calls
from services.tool.service.dependencies import Dependencies
from services.tool.service.egress import EgressAdmin, StoredRules
from services.tool.service.executor import CallExecutor
from services.tool.service.facade import ToolService
from services.tool.service.leases import LeaseManager
from services.tool.service.making import Making
from services.tool.service.openapi import OpenApis
from services.tool.service.providers import Providers
from services.tool.service.purging import Purging
from services.tool.service.registry import Registry
from services.tool.service.rehearsal import Rehearsal
from services.tool.service.secrets import SecretAdmin, SecretVault
from services.tool.service.server_book import ServerBook
from services.tool.service.servers import Servers
from services.tool.service.sharing import Sharing
from services.tool.servicer import ToolServicer
from services.tool.store.sql import MIGRATIONS, SqlStore

NAME = "tool"
FORGET_SECONDS = 30.0

_log = logger(__name__)


def build(
    config: ToolConfig,
    *,
    store: Store,
    clock: Clock,
    meter: Meter,
    access: Access,
    drivers: Mapping[DriverKind, ToolDriver],
    given: Sequence[Tool],
    approvals: Approvals,
    sharing: SharingApprovals,
    runtime: PythonRuntime,
    queue: Queue,
    secret_keys: SecretKeys,
    audit: Audit,
    documents: Documents,
    dials: Dials | None = None,
    isolation: Callable[[], str] = lambda: "",
    grace_seconds: float = GRACE_SECONDS,
) -> ToolService:
    """Wire the use cases.

    `given`: the tools that every tenant has. `dials`: who opens sessions with MCP servers; None: nobody.
    `isolation`: tells what keeps the code of tools in.
    """
    links = None
    if dials is not None:
        links = _links(config, dials, ServerBook(store), clock)
        drivers = {**drivers, DriverKind.MCP: McpDriver(links, grace_seconds=grace_seconds)}
    deps = Dependencies(
        store=store,
        clock=clock,
        meter=meter,
        drivers=drivers,
        approvals=approvals,
        caps=caps_of(config),
        isolation=isolation,
    )
    leases = LeaseManager(clock, meter)
    registry = Registry(deps, leases, access, given)
    execution = CallExecutor(
        deps,
        leases,
        queue,
        look_seconds=config.look_at_approvals_every.total_seconds(),
        kept_arguments=config.keep_arguments,
    )
    calls = Calls(
        deps,
        registry,
        execution,
        leases,
        access,
        kept=config.keep_calls,
        kept_arguments=config.keep_arguments,
    )
    registry.watch(calls.unregistered)
    registry.changes.watch(calls.of_tool, calls.changed)
    leases.on_missing(calls.provider_gone)

    servers = Servers(deps, registry, links)

    def taken_away(tenant: str, tool_id: str) -> None:
        registry.has_gone(tenant, tool_id)
        calls.revoked(tenant, tool_id)

    return ToolService(
        registry=registry,
        calls=calls,
        providers=Providers(deps, registry, leases),
        leases=leases,
        purging=Purging(store, calls, leases, servers, taken_away),
        making=Making(deps, Rehearsal(deps, queue, runtime)),
        secrets=SecretAdmin(deps, secret_keys, audit),
        sharing=Sharing(deps, sharing, audit, taken_away),
        egress=EgressAdmin(deps, config.egress, audit),
        apis=OpenApis(deps, registry, documents),
        servers=servers,
    )


def _links(config: ToolConfig, dials: Dials, book: ServerBook, clock: Clock) -> Links:
    return Links(
        dials,
        book,
        clock,
        most=config.mcp_sessions,
        most_of_tenant=max(1, config.mcp_sessions // 4),
        idle_seconds=config.mcp_idle.total_seconds(),
    )


def _killed(service: ToolService, tenant: str, agent: str) -> None:
    """End what a killed agent called, and what it provided."""
    service.calls.end_agent(tenant, agent)
    service.leases.end_provider(Scope(tenant, agent))
    service.servers.end_owner(Scope(tenant, agent))


def _suspended(service: ToolService, tenant: str, agent: str) -> None:
    """Give a suspended agent nothing to run; its own calls go on, as they were accepted."""
    service.leases.end_provider(Scope(tenant, agent))


def _scheduled(process: Process) -> tuple[ScheduledQueue, AccessAgentDirectory]:
    scheduler: scheduler_pb2_grpc.SchedulerServiceAsyncStub = scheduler_pb2_grpc.SchedulerServiceStub(
        process.channel("scheduler", scheduler_pb2.DESCRIPTOR)
    )
    access: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(
        process.channel("access", access_pb2.DESCRIPTOR)
    )
    agents = AccessAgentDirectory(access, process.credential, process.exchange)
    stream = DispatchClient(scheduler, process.credential_for("scheduler").metadata, process.clock)
    queue = ScheduledQueue(stream, agents, process.clock)
    DispatchMetrics(process.registry, held=lambda: stream.held, connected=lambda: stream.connected)
    process.tasks.start("dispatch", stream.run)
    process.tasks.every("forget idle tools", FORGET_SECONDS, queue.pools.forget_idle)
    return queue, agents


def _secret_keys(process: Process, config: ToolConfig) -> SecretKeyFile:
    """Keep the key beside the database where that is a file of ours: elsewhere it would not outlive us."""
    if config.secret_keys_file is not None:
        return SecretKeyFile(config.secret_keys_file, may_make=False)
    beside = not process.listen.database_url
    return SecretKeyFile(process.data_dir / "secret-keys" if beside else None, may_make=beside)


def _sandbox(process: Process, config: ToolConfig) -> Sandbox:
    """Return where programs run: in a process of its own that was named, or isolated on this machine."""
    if config.sandbox_target:
        channel = client.channel(
            config.sandbox_target, sandbox_pb2.DESCRIPTOR, tls=process.tls, peer="sandbox"
        )
        process.stack.push_async_callback(channel.close)
        remote = RemoteSandbox(channel, config.sandbox_key_file)
        process.tasks.start("look at the sandbox", remote.watch)
        return remote
    settings = Settings(
        level=config.sandbox,
        python=config.sandbox_python,
        directory=config.sandbox_directory,
        jobs=config.sandbox_jobs,
        warm=config.sandbox_warm,
        first_uid=config.sandbox_first_uid,
    )
    return isolate(process, settings)


def _builtins(process: Process, egress: Egress, sandbox: Sandbox) -> BuiltinDriver:
    """Make the driver of what comes with the kernel; its worker processes start with the first question."""
    storage = process.channel("storage", storage_pb2.DESCRIPTOR)
    workers = Workers()
    process.stack.push_async_callback(workers.close)
    search, files = StorageSearch(storage, process.exchange), StorageFiles(storage, process.exchange)
    return BuiltinDriver(process.clock, search, files, workers, egress, sandbox=sandbox)


def _dialler(
    config: ToolConfig, clock: Clock, sandbox: Sandbox, egress: EgressGuard, secrets: Secrets
) -> Dialler:
    """Make who reaches MCP servers: programs in the sandbox, servers on the web behind the guard."""
    rules = StdioRules(
        directories=config.mcp_directories,
        network=config.mcp_network,
        memory_bytes=config.mcp_memory_bytes,
    )
    ways = Ways(sandbox=sandbox, egress=egress, secrets=secrets, web=partial(_guarded, egress), rules=rules)
    return Dialler(ways, clock, open_seconds=config.mcp_open_seconds)


def _guarded(guard: EgressGuard, tenant: str) -> object:
    """Make the transport of the SDK's HTTP client; its library comes with the SDK, which may be missing."""
    from services.tool.egress.transport import GuardedTransport  # noqa: PLC0415

    return GuardedTransport(guard, tenant)


async def assemble(process: Process, *, queue: Queue | None = None) -> App:
    """Open the database, settle what the last process left, wire the service, start its background work.

    `queue`: where calls wait for their turn. Default: the scheduler.
    """
    config = process.load(ToolConfig)
    database = await process.database(MIGRATIONS)
    agents = None
    if queue is None:
        queue, agents = _scheduled(process)
    sandbox = _sandbox(process, config)
    show(process.registry, sandbox)
    store, secret_keys = SqlStore(database, process.clock), _secret_keys(process, config)
    documents = OpenApiReader()
    process.stack.push_async_callback(documents.close)
    meter, lookup = ToolMetrics(process.registry), SystemLookup()
    process.stack.callback(lookup.close)
    egress = EgressGuard(config.egress, StoredRules(store), meter, lookup)
    vault = SecretVault(store, secret_keys)
    service = build(
        config,
        store=store,
        clock=process.clock,
        meter=meter,
        access=CallersAccess(process.authorizer),
        drivers={
            DriverKind.BUILTIN: _builtins(process, egress, sandbox),
            DriverKind.HTTP: HttpDriver(egress, vault),
            DriverKind.PYTHON: PythonDriver(sandbox),
        },
        given=TOOLS,
        approvals=AccessApprovals(
            process.channel("access", access_pb2.DESCRIPTOR), process.credential, process.exchange
        ),
        sharing=AccessSharing(process.channel("access", access_pb2.DESCRIPTOR), process.credential),
        runtime=SandboxedPython(sandbox),
        queue=queue,
        secret_keys=secret_keys,
        documents=documents,
        audit=AccessAudit(process.channel("access", access_pb2.DESCRIPTOR), process.credential),
        dials=_dialler(config, process.clock, sandbox, egress, vault),
        isolation=lambda: sandbox.level.value,
    )
    if agents is not None:
        process.tasks.start(
            "watch agents",
            partial(agents.watch, partial(_killed, service), on_suspended=partial(_suspended, service)),
        )
    process.authorizer.subscribe(lambda change: service.calls.end_revoked(change.revocations.covers))
    interrupted = await service.calls.recover()
    if interrupted:
        _log.warning("calls were interrupted", count=interrupted)
    await service.secrets.reseal()
    process.tasks.every("reseal", config.collect_every.total_seconds(), service.secrets.reseal)
    process.stack.push_async_callback(service.servers.stop)
    process.stack.push_async_callback(service.calls.stop)
    process.tasks.every("idle MCP sessions", FORGET_SECONDS, service.servers.sweep)
    process.follow_purges(service.purging.purge)
    process.tasks.every("collect", config.collect_every.total_seconds(), service.calls.collect)
    process.tasks.every("leases", config.check_leases_every.total_seconds(), service.leases.expire)
    return App(
        servicers=[
            (
                tool_pb2_grpc.add_ToolServiceServicer_to_server,
                ToolServicer(service, process.openings),
                tool_pb2.DESCRIPTOR,
            )
        ],
        readiness={"database": database.problem},
    )
