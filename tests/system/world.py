"""Three tenants' worth of agents in one kernel: one with secrets, and strangers who try everything."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from aios.api.access.v1 import access_pb2_grpc
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.context.v1 import context_pb2_grpc
from aios.api.gateway.v1 import gateway_pb2
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2_grpc
from aios.api.scheduler.v1 import scheduler_pb2_grpc
from aios.api.storage.v1 import storage_pb2_grpc
from aios.api.tool.v1 import tool_pb2_grpc
from gateway.main import FORWARDED
from launcher.plan import KernelPlan
from services.chassis.rpc import methods
from services.chassis.rpc.methods import Audience, Method
from services.chassis.rpc.status import status_of
from tests.fakes.rpc import reason

Metadata = tuple[tuple[str, str], ...]

METHODS: Mapping[str, Method] = {
    method.label.removeprefix("aios.api."): method
    for method in methods.table(*FORWARDED, inference_pb2.DESCRIPTOR, gateway_pb2.DESCRIPTOR).values()
}
"""Every method of the kernel by a short name such as `memory.v1.MemoryService/GetNote`."""
FROM_OUTSIDE = {label: method for label, method in METHODS.items() if method.audience is not Audience.KERNEL}
"""Those that the gateway answers."""

SAMPLE_SECONDS = 0.2
"""How long a stream that does not end is read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call ended."""

    label: str
    code: grpc.StatusCode
    reason: str
    seen: bytes
    """Everything that came back: messages, error text, details, metadata."""
    messages: tuple[Any, ...] = ()
    error: grpc.aio.AioRpcError | None = None

    @property
    def text(self) -> str:
        """One line for a failure message."""
        return f"{self.label}: {self.code.name} {self.reason} {self.seen[:200]!r}"


def bearer(token: str) -> Metadata:
    """Return the metadata of a caller."""
    return (("authorization", f"Bearer {token}"),)


async def send(
    channel: grpc.aio.Channel,
    label: str,
    request: Message | bytes,
    metadata: Iterable[tuple[str, str | bytes]] = (),
    *,
    timeout: float = 20.0,
    sample: float = SAMPLE_SECONDS,
) -> Outcome:
    """Make any call and collect what comes back. An endless stream is read for `sample` seconds at most."""
    method = METHODS[label]
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    open_call: Any = channel.unary_stream(method.path)
    endless = method.server_streaming and method.default_deadline > timeout
    call = open_call(raw, metadata=tuple(metadata), timeout=sample if endless else timeout)
    parts: list[bytes] = []
    error = None
    try:
        async for message in call:
            parts.append(message)  # noqa: PERF401 - what came before an error counts
    except grpc.aio.AioRpcError as failure:
        error = failure
    code = await call.code()
    trailing = [*(await call.trailing_metadata() or ()), *(await call.initial_metadata() or ())]
    seen = b"\n".join(
        [
            *parts,
            (await call.details() or "").encode(),
            *(value.encode() if isinstance(value, str) else bytes(value) for _, value in trailing),
        ]
    )
    decoded = tuple(method.response.FromString(part) for part in parts)
    return Outcome(label, code, reason(error) if error else "", seen, decoded, error)


def details_of(outcome: Outcome) -> list[Any]:
    """Return the details of an error."""
    status = status_of(outcome.error) if outcome.error is not None else None
    return list(status.details) if status else []


@dataclass
class Stubs:
    """The typed stubs of one channel."""

    channel: grpc.aio.Channel
    agents: Any = field(init=False)
    access: Any = field(init=False)
    memory: Any = field(init=False)
    storage: Any = field(init=False)
    context: Any = field(init=False)
    tools: Any = field(init=False)
    inference: Any = field(init=False)
    scheduler: Any = field(init=False)

    def __post_init__(self) -> None:
        made: dict[str, Callable[[grpc.aio.Channel], Any]] = {
            "agents": agent_pb2_grpc.AgentServiceStub,
            "access": access_pb2_grpc.AccessServiceStub,
            "memory": memory_pb2_grpc.MemoryServiceStub,
            "storage": storage_pb2_grpc.StorageServiceStub,
            "context": context_pb2_grpc.ContextServiceStub,
            "tools": tool_pb2_grpc.ToolServiceStub,
            "inference": inference_pb2_grpc.InferenceServiceStub,
            "scheduler": scheduler_pb2_grpc.SchedulerServiceStub,
        }
        for name, stub in made.items():
            setattr(self, name, stub(self.channel))

    async def register(self, admin: Metadata, agent: str, tenant: str = "", **fields: Any) -> Metadata:
        """Register an agent and return how it calls."""
        request = agent_pb2.RegisterAgentRequest(agent_id=agent, tenant=tenant, **fields)
        answer = await self.agents.RegisterAgent(request, metadata=admin)
        return bearer(answer.credential.token)


def grpc_ports(plan: KernelPlan) -> dict[str, int]:
    """Return the gRPC port of each process that has one."""
    return {
        process.name: port
        for process in plan.processes()
        for port, purpose in process.ports.items()
        if purpose == "gRPC"
    }


def health_ports(plan: KernelPlan) -> dict[str, int]:
    """Return the gRPC health port of each process that has one."""
    return {
        process.name: port
        for process in plan.processes()
        for port, purpose in process.ports.items()
        if purpose == "gRPC health"
    }


def open_channel(endpoint: str) -> grpc.aio.Channel:
    """Open a channel of a stock client: no retries, no credentials."""
    return grpc.aio.insecure_channel(endpoint, options=[("grpc.enable_retries", 0)])


async def watching(
    channel: grpc.aio.Channel, label: str, request: Any, metadata: Metadata, into: list[bytes]
) -> None:
    """Read a stream into a list until cancelled or refused."""
    open_call: Any = channel.unary_stream(METHODS[label].path)
    call = open_call(request.SerializeToString(), metadata=metadata, timeout=60)
    with suppress(grpc.aio.AioRpcError):
        async for message in call:
            into.append(message)  # noqa: PERF401 - it is looked at while it grows
