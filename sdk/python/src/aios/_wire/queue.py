"""The queue on the wire."""

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from aios._wire.common import number
from aios._wire.records import record
from aios.api.scheduler.v1 import scheduler_pb2 as pb
from aios.types import queue


def call_name(call: str) -> str:
    """Return the resource name of a call given by id or name; a generation's name stands for its call."""
    return call.replace("/generations/", "/calls/") if "/" in call else f"agents/me/calls/{call}"


def syscall(message: pb.Syscall) -> queue.Syscall:
    """Return a call from protobuf."""
    return record(queue.Syscall, message)


def state_number(state: str) -> pb.SyscallState:
    """Return the number of a state given by its word. Raises ValueError for another."""
    return cast("pb.SyscallState", number(pb.SyscallState, "SYSCALL_STATE_", state, "state"))


def agent_syscalls(message: pb.AgentSyscalls) -> queue.AgentSyscalls:
    """Return how many calls an agent has from protobuf."""
    return record(queue.AgentSyscalls, message)


def past_syscall(message: pb.PastSyscall) -> queue.PastSyscall:
    """Return a call that ended from protobuf."""
    return record(queue.PastSyscall, message)


def agent_usage(message: pb.AgentUsage) -> queue.AgentUsage:
    """Return what an agent's calls took from protobuf."""
    return record(queue.AgentUsage, message)


def state(message: pb.GetQueueResponse) -> queue.QueueState:
    """Return the queue's state from protobuf."""
    return record(queue.QueueState, message)


def explanation(message: pb.ExplainWaitResponse) -> queue.Explanation:
    """Return why a call waits from protobuf."""
    return record(queue.Explanation, message)


def waits(message: pb.ExplainWaitsResponse) -> queue.Waits:
    """Return why the first calls wait from protobuf."""
    return record(queue.Waits, message)


def policies(message: pb.GetPolicyResponse) -> queue.Policies:
    """Return the policies from protobuf."""
    return record(queue.Policies, message)


def class_policy(message: pb.ClassPolicy) -> queue.ClassPolicy:
    """Return a class's policy from protobuf."""
    return record(queue.ClassPolicy, message)


def event(message: pb.WatchScheduleResponse) -> queue.ScheduleEvent:
    """Return an event from protobuf."""
    return record(queue.ScheduleEvent, message)


def policy_message(name: str, parameters: Mapping[str, Any]) -> pb.Policy:
    """Return a policy as protobuf."""
    struct = Struct()
    json_format.ParseDict(dict(parameters), struct)
    return pb.Policy(name=name, parameters=struct)
