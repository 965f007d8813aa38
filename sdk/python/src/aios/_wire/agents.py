"""Agents on the wire."""

from datetime import UTC
from typing import cast

from aios._wire import common
from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2 as pb
from aios.api.gateway.v1 import gateway_pb2
from aios.types.agents import (
    AgentEvent,
    AgentHandle,
    AgentInfo,
    AgentState,
    Caps,
    Credential,
    Hints,
    OldKeys,
    SchedulingClass,
    SyscallEvent,
)

CLASS = "SCHEDULING_CLASS_"
STATE = "AGENT_STATE_"


def scheduling_class(number: int) -> SchedulingClass:
    """Return the word of a scheduling class."""
    return cast("SchedulingClass", common.word(pb.SchedulingClass, CLASS, number))


def class_number(value: SchedulingClass) -> pb.SchedulingClass:
    """Return the number of a scheduling class."""
    return cast("pb.SchedulingClass", common.number(pb.SchedulingClass, CLASS, value, "scheduling_class"))


def hints_message(hints: Hints | None) -> pb.SchedulingHints | None:
    """Return hints as a message; None stays None."""
    if hints is None:
        return None
    return pb.SchedulingHints(
        scheduling_class=class_number(hints.scheduling_class),
        weight=hints.weight,
        priority=hints.priority,
        max_wait=common.duration(hints.max_wait),
        deadline=common.duration(hints.deadline),
        policy=hints.policy,
    )


def hints(message: pb.SchedulingHints) -> Hints:
    """Return hints from a message."""
    return Hints(
        scheduling_class=scheduling_class(message.scheduling_class),
        weight=message.weight,
        priority=message.priority if message.HasField("priority") else None,
        max_wait=common.span(message, "max_wait"),
        deadline=common.span(message, "deadline"),
        policy=message.policy if message.HasField("policy") else None,
    )


def caps_message(caps: Caps | None) -> pb.SchedulingCaps | None:
    """Return caps as a message; None stays None."""
    if caps is None:
        return None
    return pb.SchedulingCaps(
        highest_class=class_number(caps.highest_class),
        highest_weight=caps.highest_weight,
        lowest_priority=caps.lowest_priority,
        policies=None if caps.policies is None else pb.PolicyNames(names=caps.policies),
        shortest_deadline=common.duration(caps.shortest_deadline),
    )


def caps(message: pb.SchedulingCaps) -> Caps:
    """Return caps from a message; unset fields are the defaults."""
    return Caps(
        highest_class=scheduling_class(message.highest_class) if message.highest_class else "interactive",
        highest_weight=message.highest_weight or 1,
        lowest_priority=message.lowest_priority,
        policies=tuple(message.policies.names) if message.HasField("policies") else None,
        shortest_deadline=common.seconds(message.shortest_deadline),
    )


def info(message: pb.Agent) -> AgentInfo:
    """Return an agent from a message."""
    return AgentInfo(
        name=message.name,
        parent=message.parent,
        display_name=message.display_name,
        kind=message.kind,
        state=cast("AgentState", common.word(pb.AgentState, STATE, message.state)),
        hints=hints(message.hints),
        labels=dict(message.labels),
        etag=message.etag,
        create_time=common.moment(message, "create_time"),
        update_time=common.moment(message, "update_time"),
        tenant=message.tenant,
        caps=caps(message.caps),
        ancestors=tuple(message.ancestors),
        tenant_weight=message.tenant_weight or 1,
        untrusted_since=common.moment(message, "untrusted_since"),
        untrusted_source=message.untrusted_source,
        expire_time=common.moment(message, "expire_time"),
        purging=message.purging,
    )


OLD_KEYS = {
    "end": pb.OLD_KEYS_END,
    "end_with_tokens": pb.OLD_KEYS_END_WITH_TOKENS,
    "keep": pb.OLD_KEYS_KEEP,
}


def old_keys(value: OldKeys) -> pb.OldKeys:
    """Return the number of what becomes of old keys. Raises ValueError for another word."""
    if value not in OLD_KEYS:
        raise ValueError(f"old_keys is one of {', '.join(OLD_KEYS)}, not {value!r}")
    return OLD_KEYS[value]


def handle(message: pb.RegisterAgentResponse | pb.IssueAgentKeyResponse) -> AgentHandle:
    """Return the handle of an agent with its credential."""
    credential = Credential(
        token=message.credential.token,
        expire_time=message.credential.expire_time.ToDatetime(tzinfo=UTC),
        agent_key=message.agent_key,
    )
    existed = isinstance(message, pb.RegisterAgentResponse) and message.existed
    return AgentHandle(agent=info(message.agent), credential=credential, existed=existed)


def issued(message: access_pb2.IssueTokenResponse, agent_key: str) -> Credential:
    """Return a renewed credential."""
    return Credential(
        token=message.token,
        expire_time=message.expire_time.ToDatetime(tzinfo=UTC),
        agent_key=agent_key,
    )


def event(message: pb.WatchAgentsResponse) -> AgentEvent:
    """Return an event of WatchAgents."""
    return AgentEvent(agent=info(message.agent), initial=message.initial, revision=message.revision)


def syscall_event(message: gateway_pb2.WatchSyscallsResponse) -> SyscallEvent:
    """Return an event of WatchSyscalls."""
    if not message.HasField("event"):
        return SyscallEvent(phase="watching")
    told = message.event
    ended = told.phase != gateway_pb2.SYSCALL_PHASE_BEGUN
    return SyscallEvent(
        phase="ended" if ended else "begun",
        method=told.method.rpartition(".")[2].replace("/", "."),
        agent=told.agent,
        resource=told.resource,
        syscall_id=told.syscall_id,
        time=told.begin_time.ToDatetime(UTC),
        duration=told.duration.ToNanoseconds() / 1e9 if ended else None,
        code=told.code,
        reason=told.reason,
        request_bytes=told.request_bytes,
        lost_count=message.lost_count,
    )
