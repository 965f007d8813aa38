"""A manager behind the gateway that answers any method with bytes, as a test tells it to."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from gateway.control_gate import ControlGate
from gateway.forwarder import Forwarder
from gateway.main import FORWARDED
from gateway.metrics import GateMetrics
from gateway.routing import MANAGERS
from services.chassis.auth.agents import Standing
from services.chassis.gate import FairGate, Gate, GateConfig
from services.chassis.rpc import client, methods
from services.chassis.rpc.methods import Lane
from services.chassis.runtime.server import ChassisServer
from tests.fakes.rpc import connected, running
from tests.fakes.tokens import PassOn

Behaviour = Callable[[bytes, Any], AsyncIterator[bytes]]


async def echo(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    """Answer with the request's bytes."""
    yield request


class RawManager(grpc.GenericRpcHandler):
    """Answers every method by `behaviour` and keeps the paths that reached it."""

    def __init__(self, behaviour: Behaviour = echo) -> None:
        self.behaviour = behaviour
        self.paths: list[str] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the one handler."""
        self.paths.append(handler_call_details.method)
        return grpc.unary_stream_rpc_method_handler(self._answer)

    async def _answer(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        async for message in self.behaviour(request, context):
            yield message

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve on a free port and yield the address."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((self,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)


@asynccontextmanager
async def front(
    manager: str,
    gates: Mapping[Lane, Gate] | None = None,
    parents: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[grpc.aio.Channel]:
    """Run the forwarding half of a gateway in front of the manager at an address; yields a channel to it.

    `parents`: the roots of agents that are not their own.
    """
    async with (
        front_server(manager, gates, parents, **options) as server,
        connected(server) as channel,
    ):
        yield channel


@asynccontextmanager
async def front_server(
    manager: str,
    gates: Mapping[Lane, Gate] | None = None,
    parents: Mapping[str, str] | None = None,
    keep: Callable[[Forwarder], None] = lambda _forwarder: None,
    **options: Any,
) -> AsyncIterator[ChassisServer]:
    """Run the same; yields its server. `keep` is told of its forwarder."""
    roots = parents or {}
    own: Mapping[Lane, Gate] = (
        gates
        if gates is not None
        else {
            Lane.DATA: FairGate(GateConfig()),
            Lane.TOOL: FairGate(GateConfig()),
            Lane.CONTROL: ControlGate(),
        }
    )
    upstream = client.channel(manager, *FORWARDED, options=[("grpc.use_local_subchannel_pool", 1)])
    forwarder = Forwarder(
        dict.fromkeys(MANAGERS.values(), upstream),
        methods.table(*FORWARDED),
        own,
        GateMetrics(CollectorRegistry(), own),
        standing=lambda caller: Standing(roots.get(caller.agent, caller.agent)),
        exchange=PassOn(),
        pace=options.get("pace"),
    )
    keep(forwarder)
    async with (
        upstream,
        running(handlers=[forwarder], known=FORWARDED, trust_ids=False, **options) as server,
    ):
        yield server
