"""Wires the gateway: the only place where its adapters are chosen."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.context.v1 import context_pb2, context_pb2_grpc
from aios.api.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from gateway.config import BackendConfig, GatewayConfig, OpenAiBackendConfig
from gateway.control_gate import ControlGate
from gateway.data_gate import DataGate
from gateway.forwarder import Forwarder
from gateway.http import optional as optional_dialects
from gateway.http.config import DoorConfig
from gateway.http.console import routes as console
from gateway.http.console.adapters.journal import AccessJournal
from gateway.http.console.settings import ConsoleSettings, wanted
from gateway.http.core.aliases import Served
from gateway.http.dialects import dialects
from gateway.http.mcp.settings import McpSettings
from gateway.http.server import Door
from gateway.inference.adapters.checkpoints import ContextCheckpoints
from gateway.inference.adapters.dispatcher import InferenceDispatcher
from gateway.inference.adapters.judges import ProcessJudge
from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.core.kept import KeepLimits
from gateway.inference.ports import Backend, CheckpointStore
from gateway.inference.service.dependencies import RunnerConfig
from gateway.inference.service.replicas import PoolConfig, ReplicaPool
from gateway.inference.service.use_cases import InferenceConfig, InferenceUseCases
from gateway.inference.servicer import InferenceServicer
from gateway.metrics import GateMetrics, PrometheusInferenceMetrics, PrometheusPoolMetrics, StateMetrics
from gateway.places import SWEEP_SECONDS
from gateway.routing import MANAGERS
from gateway.servicer import GatewayServicer
from gateway.syscalls import SyscallWatch
from services.chassis.auth.agents import AccessAgentDirectory
from services.chassis.auth.identity import Caller
from services.chassis.dispatch.client import DispatchClient
from services.chassis.gate import FairGate, Gate, GateConfig
from services.chassis.pace import RefusalPace
from services.chassis.rpc import methods
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.methods import Lane
from services.chassis.runtime import config
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.metrics import DispatchMetrics
from services.chassis.runtime.ports import DOOR_ABOVE
from services.chassis.runtime.process import App, Process
from services.chassis.runtime.tls import TlsIdentity

FORWARDED: tuple[FileDescriptor, ...] = (
    agent_pb2.DESCRIPTOR,
    access_pb2.DESCRIPTOR,
    scheduler_pb2.DESCRIPTOR,
    context_pb2.DESCRIPTOR,
    memory_pb2.DESCRIPTOR,
    storage_pb2.DESCRIPTOR,
    tool_pb2.DESCRIPTOR,
)
"""The protos whose services the gateway forwards."""

FORGET_SECONDS = 10.0
ALL_TOOL_CALLS = 20_000
"""TOOL calls of all agents that are forwarded at once; as many as may wait in the scheduler, and more."""


async def build(process: Process) -> App:
    """Wire the gateway of one process."""
    settings = process.load(GatewayConfig, DOOR_=DoorConfig, MCP_=McpSettings, CONSOLE_=ConsoleSettings)
    owners: dict[str, list[FileDescriptor]] = {}
    for descriptor in FORWARDED:
        for service in descriptor.services_by_name.values():
            owners.setdefault(MANAGERS[service.full_name], []).append(descriptor)
    channels = {manager: process.channel(manager, *files) for manager, files in owners.items()}

    scheduler: scheduler_pb2_grpc.SchedulerServiceAsyncStub = scheduler_pb2_grpc.SchedulerServiceStub(
        channels["scheduler"]
    )
    stream = DispatchClient(scheduler, process.credential_for("scheduler").metadata, process.clock)
    dispatcher = InferenceDispatcher(stream)
    pool = _pool(dispatcher, process)
    directory = AccessAgentDirectory(
        agent_pb2_grpc.AgentServiceStub(channels["access"]), process.credential, process.exchange
    )
    use_cases = _use_cases(settings, pool, dispatcher, channels, process, directory=directory)
    gates = _gates(settings)
    pace = RefusalPace(settings.refusals_per_second)
    StateMetrics(
        process.registry,
        generations=lambda: use_cases.running,
        replicas_up=lambda: len(pool.live()),
    )
    DispatchMetrics(process.registry, held=lambda: stream.held, connected=lambda: stream.connected)
    process.tasks.start("dispatch", stream.run)
    for name in pool.names:
        process.tasks.start(f"watch {name}", partial(pool.watch, name))
    process.tasks.every("forget generations", FORGET_SECONDS, _async(use_cases.forget_old))
    process.stack.push_async_callback(pool.close)
    process.stack.push_async_callback(use_cases.close)

    async def backend_problem() -> str | None:
        return None if pool.live() else "no inference backend is up"

    async def scheduler_problem() -> str | None:
        return None if stream.connected else "the scheduler has not welcomed this gateway"

    syscalls = SyscallWatch(directory.above, process.clock)
    forwarder = Forwarder(
        channels,
        methods.table(*FORWARDED),
        gates,
        GateMetrics(process.registry, gates),
        directory.standing,
        exchange=process.exchange,
        reader_seconds=process.common.reader_seconds.total_seconds(),
        openings=process.openings,
        pace=pace,
    )
    process.tasks.every("unread answers", SWEEP_SECONDS, forwarder.unread.sweep)
    return App(
        servicers=[
            (
                inference_pb2_grpc.add_InferenceServiceServicer_to_server,
                InferenceServicer(use_cases, process.openings),
                inference_pb2.DESCRIPTOR,
            ),
            (
                gateway_pb2_grpc.add_GatewayServiceServicer_to_server,
                GatewayServicer(syscalls),
                gateway_pb2.DESCRIPTOR,
            ),
        ],
        handlers=[forwarder],
        known=FORWARDED,
        trust_ids=False,
        pace=pace,
        root=directory.root,
        observer=syscalls,
        listeners=await _doors(process, settings.console, use_cases, directory, channels["access"]),
        readiness={"backend": backend_problem, "scheduler": scheduler_problem},
    )


async def _doors(
    process: Process,
    console_switch: str,
    use_cases: InferenceUseCases,
    directory: AccessAgentDirectory,
    access: grpc.aio.Channel,
) -> list[Door]:
    settings = config.load(DoorConfig, process.environ, "AIOS_GATEWAY_DOOR_", known=None)
    if not settings.enabled:
        return []
    mcp = config.load(McpSettings, process.environ, "AIOS_GATEWAY_MCP_", known=None)
    settings = _with_certificate(settings, process.tls)
    optional = await optional_dialects.mcp(mcp, process.secret("mcp request state"))
    listen = process.server_config()
    optional += _console(process, console_switch, settings.host or listen.host, access)
    port = listen.port and listen.port + DOOR_ABOVE if settings.port is None else settings.port
    door = Door(
        settings,
        lambda fittings: [*dialects(fittings), *(make(fittings) for make in optional)],
        authenticator=process.authenticator,
        clock=process.clock,
        registry=process.registry,
        served=lambda: Served(*use_cases.known_models()),
        room=use_cases.room,
        root=directory.root,
        openings=process.openings,
        host=listen.host,
        port=port,
    )
    return [door]


def _console(
    process: Process, switch: str, host: str, access: grpc.aio.Channel
) -> list[optional_dialects.Make]:
    """Return what makes the console, where there is to be one. Raises ConfigError."""
    settings = config.load(ConsoleSettings, process.environ, "AIOS_GATEWAY_CONSOLE_", known=None)
    try:
        if not wanted(switch, settings, host):
            return []
    except ValueError as error:
        raise ConfigError([f"AIOS_GATEWAY_CONSOLE: {error}"]) from error
    return [
        lambda fittings: console.dialect(
            fittings,
            settings,
            journal=AccessJournal(access, process.credential),
            secret=process.secret("console sessions"),
            clock=process.clock,
        )
    ]


def _with_certificate(settings: DoorConfig, tls: TlsIdentity | None) -> DoorConfig:
    """Let the door show the process's certificate where it has none of its own."""
    if tls is None or settings.tls_cert_file is not None:
        return settings
    return replace(settings, tls_cert_file=tls.files.certificate, tls_key_file=tls.files.key)


def _pool(dispatcher: InferenceDispatcher, process: Process) -> ReplicaPool:
    openai = config.load(OpenAiBackendConfig, process.environ, "AIOS_OPENAI_", known=None)
    tgi = config.load(BackendConfig, process.environ, "AIOS_TGI_", known=None)
    wants_tgi = not openai.endpoints or "AIOS_TGI_ENDPOINTS" in process.environ
    metrics = PrometheusPoolMetrics(process.registry)
    pool = ReplicaPool(
        [*(_tgi(tgi) if wants_tgi else ()), *_openai(openai)],
        lambda name, info, up, queue: dispatcher.announce(name, info, up=up, queue_size=queue),
        PoolConfig(),
        process.clock,
        metrics,
    )
    metrics.show(pool.names, pool.circuit)
    return pool


def _tgi(settings: BackendConfig) -> list[Backend]:
    driver = TgiConfig(
        slots=settings.slots,
        batch_tokens=settings.batch_tokens,
        longest_token=settings.longest_token_bytes,
        token_timeout=settings.token_timeout_seconds.total_seconds(),
        api_key=_backend_key("AIOS_TGI_", settings.api_key, settings.api_key_file),
    )
    return [TgiBackend(endpoint, driver) for endpoint in settings.endpoints]


def _openai(settings: OpenAiBackendConfig) -> list[Backend]:
    driver = OpenAiConfig(
        model=settings.model,
        dialect=settings.dialect,
        window=settings.window_tokens,
        slots=settings.slots,
        batch_tokens=settings.batch_tokens,
        longest_token=settings.longest_token_bytes,
        native_tools=settings.native_tools,
        token_timeout=settings.token_timeout_seconds.total_seconds(),
        api_key=_backend_key("AIOS_OPENAI_", settings.api_key, settings.api_key_file),
    )
    return [OpenAiBackend(endpoint, driver) for endpoint in settings.endpoints]


def _backend_key(prefix: str, key: str, file: Path | None) -> str:
    """Return the key of the inference servers, from its file where there is one. Raises ConfigError."""
    if file is None:
        return key
    if key:
        raise ConfigError([f"{prefix}API_KEY: set it or {prefix}API_KEY_FILE, not both"])
    try:
        return config.read_secret(file)
    except (OSError, ValueError) as error:
        raise ConfigError([f"{prefix}API_KEY_FILE: {error}"]) from error


def _use_cases(
    settings: GatewayConfig,
    pool: ReplicaPool,
    dispatcher: InferenceDispatcher,
    channels: Mapping[str, Any],
    process: Process,
    *,
    directory: AccessAgentDirectory,
) -> InferenceUseCases:
    metrics = PrometheusInferenceMetrics(process.registry)
    judge = ProcessJudge(told=metrics.workers.ended)
    process.stack.push_async_callback(judge.close)
    use_cases = InferenceUseCases(
        pool=pool,
        dispatcher=dispatcher,
        judge=judge,
        checkpoints=_checkpoints(context_pb2_grpc.ContextServiceStub(channels["context"]), process.exchange),
        agents=directory,
        metrics=metrics,
        clock=process.clock,
        config=InferenceConfig(
            calls=settings.quota_generations,
            keep=KeepLimits(
                seconds=settings.keep_finished_seconds.total_seconds(),
                total_bytes=settings.keep_finished_bytes,
                tenant_bytes=settings.keep_finished_bytes // 2,
                agent_bytes=settings.keep_finished_bytes // 8,
            ),
            runner=RunnerConfig(
                default_max_tokens=settings.default_max_tokens,
                checkpoint_tokens=settings.checkpoint_tokens,
                checkpoint_seconds=settings.checkpoint_seconds.total_seconds(),
                checkpoint_pause=settings.checkpoint_pause_seconds.total_seconds(),
            ),
        ),
    )
    process.openings.add(use_cases.under_way)
    process.tasks.start("watch agents", partial(directory.watch, use_cases.end_agent))
    return use_cases


def _checkpoints(
    stub: "context_pb2_grpc.ContextServiceAsyncStub", exchange: TokenExchange
) -> Callable[[Caller], CheckpointStore]:
    return lambda caller: ContextCheckpoints(stub, caller, exchange)


def _gates(settings: GatewayConfig) -> dict[Lane, Gate]:
    waiting = partial(
        GateConfig,
        waiting_per_tenant=settings.waiting_calls_per_tenant,
        waiting_per_tree=settings.waiting_calls_per_tree,
        waiting_per_agent=settings.waiting_calls_per_agent,
    )
    return {
        Lane.DATA: DataGate(
            brisk=waiting(
                running=settings.brisk_calls,
                running_per_tenant=settings.brisk_calls_per_tenant,
                running_per_tree=settings.brisk_calls_per_tree,
                running_per_agent=settings.brisk_calls_per_tree,
            ),
            long=waiting(
                running=settings.data_calls,
                running_per_tenant=settings.data_calls_per_tenant,
                running_per_tree=settings.data_calls_per_tree,
                running_per_agent=settings.data_calls_per_agent,
            ),
        ),
        Lane.TOOL: FairGate(
            GateConfig(
                running=ALL_TOOL_CALLS,
                running_per_tenant=settings.tool_calls_per_tenant,
                running_per_tree=settings.tool_calls_per_tree,
                running_per_agent=settings.tool_calls_per_agent,
                waiting=0,
                waiting_per_tenant=0,
                waiting_per_tree=0,
                waiting_per_agent=0,
            )
        ),
        Lane.CONTROL: ControlGate(
            waiting(
                running=settings.control_calls,
                running_per_tenant=settings.control_calls_per_tenant,
                running_per_tree=settings.control_calls_per_tree,
                running_per_agent=settings.control_calls_per_agent,
            )
        ),
    }


def _async(work: Callable[[], None]) -> Callable[[], Any]:
    async def run() -> None:
        work()

    return run
