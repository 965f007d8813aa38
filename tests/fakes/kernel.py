"""A small kernel in one event loop: real gateway and scheduler on real sockets, the rest is fake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.context.v1 import context_pb2, context_pb2_grpc, resources_pb2
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from gateway.main import build as build_gateway
from services.access.service.agents import AgentService
from services.chassis.rpc.client import StaticCredential
from services.chassis.runtime.process import App, Process
from services.chassis.runtime.server import ChassisServer, ServerConfig
from services.context.service.facade import ContextService
from services.context.servicer import ContextServicer
from services.scheduler.main import build as build_scheduler
from tests.fakes.access import AllowOwner
from tests.fakes.access_manager import agent_servicer
from tests.fakes.fake_tgi import Behaviour, FakeTgi
from tests.fakes.rpc import connected
from tests.fakes.tokens import ISSUER_FOR_TESTS, PassOn

READY_SECONDS = 20.0
READY_INTERVAL = 0.02
ANY = agent_pb2.SchedulingCaps(
    highest_class=agent_pb2.SCHEDULING_CLASS_REALTIME, highest_weight=1000, lowest_priority=-20
)


class AgentsFake(agent_pb2_grpc.AgentServiceServicer):
    """Knows every agent; `hints` are what each is registered with, `caps` what it may ask for (anything)."""

    def __init__(self) -> None:
        self.hints: dict[str, agent_pb2.SchedulingHints] = {}
        self.caps: dict[str, agent_pb2.SchedulingCaps] = {}

    async def GetAgent(self, request: agent_pb2.GetAgentRequest, context: Any) -> agent_pb2.GetAgentResponse:  # noqa: ARG002, N802 - gRPC's
        """Return an agent of the asked name."""
        agent = request.name.removeprefix("agents/")
        return agent_pb2.GetAgentResponse(
            agent=agent_pb2.Agent(
                name=request.name, hints=self.hints.get(agent), caps=self.caps.get(agent, ANY)
            )
        )

    async def WatchAgents(  # noqa: N802 - gRPC's name
        self,
        request: agent_pb2.WatchAgentsRequest,  # noqa: ARG002 - gRPC's signature
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> AsyncIterator[agent_pb2.WatchAgentsResponse]:
        """Tell nothing: every agent is asked for."""
        await asyncio.Event().wait()
        yield agent_pb2.WatchAgentsResponse()


class NeverThere:
    """A database that never comes: the scheduler goes on without it."""

    async def migrate(self) -> None:
        """Wait for it."""
        await asyncio.Event().wait()


class SnapshotsFake(context_pb2_grpc.ContextServiceServicer):
    """Keeps snapshots by name."""

    def __init__(self) -> None:
        self.snapshots: dict[str, resources_pb2.Snapshot] = {}
        self.saves = 0

    async def SaveSnapshot(  # noqa: N802 - gRPC's name
        self,
        request: context_pb2.SaveSnapshotRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> context_pb2.SaveSnapshotResponse:
        """Keep one."""
        self.saves += 1
        self.snapshots[request.snapshot.name] = request.snapshot
        return context_pb2.SaveSnapshotResponse(sequence=request.snapshot.sequence)

    async def ClaimSnapshot(  # noqa: N802 - gRPC's name
        self, request: context_pb2.ClaimSnapshotRequest, context: Any
    ) -> context_pb2.ClaimSnapshotResponse:
        """Return one."""
        if request.name not in self.snapshots:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such snapshot")
        return context_pb2.ClaimSnapshotResponse(snapshot=self.snapshots[request.name])

    async def DeleteSnapshot(  # noqa: N802 - gRPC's name
        self,
        request: context_pb2.DeleteSnapshotRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> context_pb2.DeleteSnapshotResponse:
        """Drop one."""
        self.snapshots.pop(request.name, None)
        return context_pb2.DeleteSnapshotResponse()


@dataclass
class SmallKernel:
    """What a test drives."""

    tgi: FakeTgi
    agents: AgentsFake
    snapshots: SnapshotsFake
    environ: dict[str, str]
    scheduler: ChassisServer | None = None
    gateway: ChassisServer | None = None
    stacks: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def start_scheduler(self, **settings: str) -> None:
        """Start, or start again, the scheduler on its port."""
        environ = {f"AIOS_SCHEDULER_{name.upper()}": value for name, value in settings.items()}
        self.scheduler = await self._start("scheduler", build_scheduler, {**self.environ, **environ})
        self.environ["AIOS_SCHEDULER_ENDPOINT"] = f"127.0.0.1:{self.scheduler.port}"
        self.environ["AIOS_SCHEDULER_PORT"] = str(self.scheduler.port)

    async def start_gateway(self, **settings: str) -> None:
        """Start, or start again, the gateway on its port."""
        environ = {f"AIOS_GATEWAY_{name.upper()}": value for name, value in settings.items()}
        self.gateway = await self._start("gateway", build_gateway, {**self.environ, **environ})
        self.environ["AIOS_GATEWAY_PORT"] = str(self.gateway.port)
        [door] = self.gateway._listeners  # a door is what the gateway listens with besides
        self.environ["AIOS_GATEWAY_DOOR_PORT"] = str(door.port)  # type: ignore[attr-defined]

    async def start_another_gateway(self, **settings: str) -> str:
        """Start a second gateway, `gateway2`, on ports of its own. Return the base URL of its door."""
        environ = {f"AIOS_GATEWAY_{name.upper()}": value for name, value in settings.items()}
        ports = {"AIOS_GATEWAY_PORT": "0", "AIOS_GATEWAY_DOOR_PORT": "0"}
        made = await self._start("gateway2", build_gateway, {**self.environ, **environ, **ports})
        [door] = made._listeners
        return f"http://127.0.0.1:{door.port}"  # type: ignore[attr-defined]

    @property
    def door(self) -> str:
        """Base URL of the gateway's HTTP door."""
        return f"http://127.0.0.1:{self.environ['AIOS_GATEWAY_DOOR_PORT']}"

    async def stop(self, name: str) -> None:
        """Stop a process at once, as a crash would for its peers."""
        await self.stacks.pop(name).aclose()

    async def _start(self, name: str, build: Any, environ: dict[str, str]) -> ChassisServer:
        stack = self.stacks[name] = AsyncExitStack()
        process = Process(name, environ)
        token = ISSUER_FOR_TESTS.token(name.rstrip("2"), kind="service")
        process.__dict__["credential"] = StaticCredential(token)
        process.__dict__["credential_for"] = lambda _audience: StaticCredential(token)
        process.__dict__["exchange"] = PassOn()
        process.__dict__["unopened_database"] = lambda *_args, **_options: NeverThere()
        process.__dict__["_service_key"] = "a service key for tests"
        process.__dict__["authenticator"] = ISSUER_FOR_TESTS.verifier()
        await stack.enter_async_context(process.stack)
        process.stack.push_async_callback(process.tasks.stop)
        app: App = await build(process)
        listen = process.server_config()
        server = ChassisServer(
            name,
            ServerConfig(port=listen.port, http_port=None, health_port=None),
            servicers=app.servicers,
            authenticator=ISSUER_FOR_TESTS.verifier(),
            authorizer=AllowOwner(),
            readiness=app.readiness,
            registry=process.registry,
            handlers=app.handlers,
            known=app.known,
            trust_ids=app.trust_ids,
            listeners=app.listeners,
            openings=process.openings,
        )
        await server.start()
        stack.push_async_callback(server.stop, 0)
        return server

    @asynccontextmanager
    async def inference(self) -> AsyncIterator["inference_pb2_grpc.InferenceServiceAsyncStub"]:
        """Open a client of the gateway's inference service."""
        if self.gateway is None:
            raise AssertionError("start the gateway first")
        async with connected(self.gateway) as channel:
            yield inference_pb2_grpc.InferenceServiceStub(channel)

    async def ready(self) -> None:
        """Wait until the gateway would take calls."""
        gateway = self.gateway
        if gateway is None:
            raise AssertionError("start the gateway first")
        async with asyncio.timeout(READY_SECONDS):
            while await gateway.readiness.failing():  # noqa: ASYNC110 - the checks have no event
                await asyncio.sleep(READY_INTERVAL)


@asynccontextmanager
async def small_kernel(
    behaviour: Behaviour | None = None,
    *,
    access: AgentService | None = None,
    context: ContextService | None = None,
    scheduler: dict[str, str] | None = None,
    backends: dict[str, str] | None = None,
    **gateway: str,
) -> AsyncIterator[SmallKernel]:
    """Run a small kernel; keywords are settings of the gateway, `backends` variables in place of TGI's.

    `access` keeps the agents in place of the fake that knows every name; `context` keeps conversations and
    snapshots in place of the fake that keeps snapshots only.
    """
    tgi = FakeTgi(behaviour)
    agents, snapshots = AgentsFake(), SnapshotsFake()  # type: ignore[abstract]  # what a test needs of them
    async with AsyncExitStack() as stack:
        await tgi.start()
        stack.push_async_callback(tgi.stop)
        fakes = ChassisServer(
            "fakes",
            ServerConfig(http_port=None, health_port=None),
            servicers=[
                (
                    agent_pb2_grpc.add_AgentServiceServicer_to_server,
                    agents if access is None else agent_servicer(access),
                    agent_pb2.DESCRIPTOR,
                ),
                (
                    context_pb2_grpc.add_ContextServiceServicer_to_server,
                    snapshots if context is None else ContextServicer(context),
                    context_pb2.DESCRIPTOR,
                ),
            ],
            authenticator=ISSUER_FOR_TESTS.verifier(),
            authorizer=AllowOwner(),
        )
        await fakes.start()
        stack.push_async_callback(fakes.stop, 0)
        endpoint = f"127.0.0.1:{fakes.port}"
        kernel = SmallKernel(
            tgi,
            agents,
            snapshots,
            {
                "AIOS_ACCESS_ENDPOINT": endpoint,
                "AIOS_CONTEXT_ENDPOINT": endpoint,
                **(backends or served_by_tgi(tgi)),
                "AIOS_SCHEDULER_PORT": "0",
                "AIOS_GATEWAY_PORT": "0",
            },
        )
        await kernel.start_scheduler(**(scheduler or {}))
        await kernel.start_gateway(**gateway)
        try:
            await kernel.ready()
            yield kernel
        finally:
            for name in ("gateway2", "gateway", "scheduler"):
                if name in kernel.stacks:
                    await kernel.stop(name)


def served_by_tgi(tgi: FakeTgi) -> dict[str, str]:
    """Return the variables that make a TGI-shaped server the backend."""
    return {"AIOS_TGI_ENDPOINTS": tgi.url, "AIOS_TGI_SLOTS": str(tgi.behaviour.slots)}


def chat(text: str, **fields: Any) -> inference_pb2.GenerateRequest:
    """Build a request with one user message."""
    return inference_pb2.GenerateRequest(messages=[{"role": "ROLE_USER", "content": text}], **fields)
