"""A manager whose streams tick for ever, behind a gateway, with a real access manager beside them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from prometheus_client import CollectorRegistry

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from gateway.forwarder import Forwarder
from gateway.main import FORWARDED
from gateway.metrics import GateMetrics
from gateway.routing import MANAGERS
from services.access.adapters.local_authorizer import LocalAuthorizer
from services.access.main import authenticator, servicers
from services.chassis.auth.authz_client import AccessAuthorizer
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.processes import PROCESSES
from services.chassis.auth.tokens import KeyRing, Revocations, TokenVerifier
from services.chassis.quotas import Cap
from services.chassis.rpc import methods
from services.chassis.rpc.client import AccessKeySource, KeyCredential, Metadata
from services.chassis.rpc.exchange import AccessExchange
from services.chassis.rpc.live_streams import WATCHES
from services.chassis.rpc.methods import Method
from services.chassis.runtime.server import ChassisServer, ServerConfig
from tests.fakes.access_manager import SERVICE_KEYS, TENANT, Desk, desk
from tests.fakes.rpc import connected, running
from tests.fakes.stores.access import MemoryStore
from tests.fakes.waiting import until

TICK_SECONDS = 0.002


class TickingManager(grpc.GenericRpcHandler):
    """Answers every streaming method with the numbers 1, 2, 3 ... that all its streams count together."""

    def __init__(self, known: dict[str, Method]) -> None:
        self.known = known
        self.count = 0
        """The last number that any stream was to deliver."""
        self.left = 0
        """Streams that were left, for whatever reason."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a streaming method."""
        method = self.known.get(handler_call_details.method)
        if method is None or not method.server_streaming:
            return None
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(self._tick)
        return grpc.unary_stream_rpc_method_handler(self._tick)

    async def _tick(self, _request: Any, _context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                self.count += 1
                yield str(self.count).encode()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            self.left += 1


@dataclass
class Reading:
    """A stream that is read to its end."""

    method: Method
    call: Any
    numbers: list[int] = field(default_factory=list)
    error: grpc.aio.AioRpcError | None = None

    async def read(self) -> None:
        """Read until the stream ends."""
        try:
            async for message in self.call:
                self.numbers.append(int(message))
        except grpc.aio.AioRpcError as error:
            self.error = error


@dataclass
class World:
    """Access, manager and gateway, each a server of its own."""

    desk: Desk
    access_server: ChassisServer
    access: "access_pb2_grpc.AccessServiceAsyncStub"
    agents: "agent_pb2_grpc.AgentServiceAsyncStub"
    ticking: TickingManager
    manager: ChassisServer
    gateway: ChassisServer
    to_manager: grpc.aio.Channel
    to_gateway: grpc.aio.Channel
    authorizers: "list[LateAuthorizer]"
    forwarded: set[str]

    def token(self, agent: str, kind: Kind, tenant: str = TENANT) -> str:
        """Sign a token for anybody."""
        holder = Principal(agent=agent, tenant=tenant, kind=kind)
        life = timedelta(minutes=10)
        return self.desk.keys.issue(holder, now=self.desk.clock.now(), after=None, lifetime=life).text

    @property
    def admin(self) -> Metadata:
        """The metadata of the tenant's administrator."""
        return bearer(self.token("admin", Kind.ADMIN))

    async def register(self, agent: str) -> str:
        """Register an agent and return its token."""
        request = agent_pb2.RegisterAgentRequest(agent_id=agent)
        return str((await self.agents.RegisterAgent(request, metadata=self.admin)).credential.token)

    def open(self, method: Method, request: bytes, token: str) -> Reading:
        """Open a stream, through the gateway where it forwards the method, and read it."""
        channel = self.to_gateway if method.path in self.forwarded else self.to_manager
        if method.client_streaming:
            both: Any = channel.stream_stream(method.path)
            call = both(_once(request), metadata=bearer(token))
        else:
            one: Any = channel.unary_stream(method.path)
            call = one(request, metadata=bearer(token))
        return Reading(method, call)


class LateAuthorizer(AccessAuthorizer):
    """Hears news a moment late, as a process that is busy with something else does."""

    late = 0.0

    async def _learn(self, event: access_pb2.WatchRevisionResponse) -> None:
        await asyncio.sleep(self.late)
        await super()._learn(event)


async def _once(request: bytes) -> AsyncIterator[bytes]:
    yield request
    await asyncio.Event().wait()


def bearer(token: str) -> Metadata:
    """Return the metadata of a caller."""
    return (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def ticking_kernel(
    folder: Path, files: Sequence[FileDescriptor], *, watches: Cap = WATCHES
) -> AsyncIterator[World]:
    """Run the three servers; both others follow the access manager's rules."""
    # The acknowledgment waits for who confirms late, however slow the machine is.
    made = await asyncio.to_thread(desk, MemoryStore(), folder, confirm=30.0)
    local = LocalAuthorizer(made.manager.checks, made.manager.marks)
    known = dict(methods.table(*files))
    ticking = TickingManager(known)
    authorizers: list[LateAuthorizer] = []
    config = ServerConfig(watches=watches, http_port=None, health_port=None)
    async with AsyncExitStack() as stack:
        following = [asyncio.create_task(local.watch())]
        stack.push_async_callback(_cancel, following)
        access_server = await stack.enter_async_context(
            running(
                *servicers(made.manager),
                authenticator=authenticator(made.manager, made.keys, PROCESSES),
                authorizer=local,
            )
        )
        access = await stack.enter_async_context(connected(access_server))

        async def serve(name: str, **options: Any) -> tuple[ChassisServer, grpc.aio.Channel]:
            clock, revocations = made.clock, Revocations()
            credential = KeyCredential(access, name, SERVICE_KEYS[name], clock)
            authorizer = LateAuthorizer(access, credential, clock, revocations=revocations)
            verifier = TokenVerifier(KeyRing(AccessKeySource(access), clock), clock, PROCESSES, revocations)
            server = await stack.enter_async_context(
                running(authenticator=verifier, authorizer=authorizer, config=config, **options)
            )
            authorizers.append(authorizer)
            following.append(asyncio.create_task(authorizer.watch()))
            await until(lambda: authorizer.live)
            return server, await stack.enter_async_context(connected(server))

        manager, to_manager = await serve("memory", handlers=[ticking], known=files)
        credential = KeyCredential(access, "gateway", SERVICE_KEYS["gateway"], made.clock)
        exchange = AccessExchange(access, credential, made.clock)
        stack.push_async_callback(exchange.close)
        forwarder = Forwarder(
            dict.fromkeys(MANAGERS.values(), to_manager),
            methods.table(*FORWARDED),
            {},
            GateMetrics(CollectorRegistry(), {}),
            exchange=exchange,
        )
        gateway, to_gateway = await serve("gateway", handlers=[forwarder], known=FORWARDED)
        forwarded = {
            path
            for path, method in methods.table(*FORWARDED).items()
            if method.audience is methods.Audience.AGENTS and not method.client_streaming
        }
        stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(access)
        agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(access)
        yield World(
            made, access_server, stub, agents, ticking, manager, gateway, to_manager, to_gateway, authorizers,
            forwarded,
        )  # fmt: skip


async def _cancel(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
