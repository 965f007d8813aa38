"""The kernel as a door sees it: the stubs of its services, on one channel."""

from dataclasses import dataclass
from typing import Any

from aios.api.access.v1 import access_pb2_grpc
from aios.api.agent.v1 import agent_pb2_grpc
from aios.api.context.v1 import context_pb2_grpc
from aios.api.inference.v1 import inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2_grpc
from aios.api.storage.v1 import storage_pb2_grpc
from aios.api.tool.v1 import tool_pb2_grpc


@dataclass(frozen=True, slots=True)
class Kernel:
    """Every service that agents may call. Calls raise KernelError."""

    inference: "inference_pb2_grpc.InferenceServiceAsyncStub"
    context: "context_pb2_grpc.ContextServiceAsyncStub"
    memory: "memory_pb2_grpc.MemoryServiceAsyncStub"
    storage: "storage_pb2_grpc.StorageServiceAsyncStub"
    tool: "tool_pb2_grpc.ToolServiceAsyncStub"
    agents: "agent_pb2_grpc.AgentServiceAsyncStub"
    access: "access_pb2_grpc.AccessServiceAsyncStub"
    channel: Any = None
    """What the stubs call by, for who calls methods by name."""


def kernel_on(channel: Any) -> Kernel:
    """Make the stubs on a channel, usually the LocalChannel of this process."""
    return Kernel(
        inference=inference_pb2_grpc.InferenceServiceStub(channel),
        context=context_pb2_grpc.ContextServiceStub(channel),
        memory=memory_pb2_grpc.MemoryServiceStub(channel),
        storage=storage_pb2_grpc.StorageServiceStub(channel),
        tool=tool_pb2_grpc.ToolServiceStub(channel),
        agents=agent_pb2_grpc.AgentServiceStub(channel),
        access=access_pb2_grpc.AccessServiceStub(channel),
        channel=channel,
    )
