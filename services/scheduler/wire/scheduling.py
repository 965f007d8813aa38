"""What agents and administrators ask of the scheduler and are told, on the wire."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite

from google.protobuf import struct_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.scheduler.v1 import scheduler_pb2
from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import duration
from services.scheduler.core.events import (
    FROM_LANE,
    TimelineKind,
)
from services.scheduler.core.explain import Explanation, QueueEntry
from services.scheduler.core.explanation_text import OTHER_TENANT, limit
from services.scheduler.core.stats import ClassStats, ReplicaStats
from services.scheduler.model import (
    Call,
    CallId,
    CallState,
    ParamValue,
    PolicySpec,
    ResourceKind,
)
from services.scheduler.service.listing import Place
from services.scheduler.service.scheduling import AgentCount
from services.scheduler.service.watching import Known, KnownMark, Shown, Wanted
from services.scheduler.wire.dispatch import CLASSES

CLASS_NUMBERS = {kind: number for number, kind in CLASSES.items()}
_STATES = {
    CallState.WAITING: scheduler_pb2.SYSCALL_STATE_WAITING,
    CallState.RUNNING: scheduler_pb2.SYSCALL_STATE_RUNNING,
    CallState.STOPPING: scheduler_pb2.SYSCALL_STATE_PREEMPTING,
}
_STATES_BY_NUMBER = {number: state for state, number in _STATES.items()}
_KINDS = {
    TimelineKind.SUBMITTED: scheduler_pb2.SCHEDULE_EVENT_KIND_SUBMITTED,
    TimelineKind.ADOPTED: scheduler_pb2.SCHEDULE_EVENT_KIND_GRANTED,
    TimelineKind.GRANTED: scheduler_pb2.SCHEDULE_EVENT_KIND_GRANTED,
    TimelineKind.PROGRESSED: scheduler_pb2.SCHEDULE_EVENT_KIND_PROGRESSED,
    TimelineKind.PREEMPT_ASKED: scheduler_pb2.SCHEDULE_EVENT_KIND_PREEMPTED,
    TimelineKind.YIELDED: scheduler_pb2.SCHEDULE_EVENT_KIND_YIELDED,
    TimelineKind.FINISHED: scheduler_pb2.SCHEDULE_EVENT_KIND_FINISHED,
    TimelineKind.GATEWAY_LOST: scheduler_pb2.SCHEDULE_EVENT_KIND_FINISHED,
    TimelineKind.REJECTED: scheduler_pb2.SCHEDULE_EVENT_KIND_REJECTED,
    TimelineKind.LANE_ENTERED: scheduler_pb2.SCHEDULE_EVENT_KIND_BOOSTED,
    TimelineKind.BOOST_ON: scheduler_pb2.SCHEDULE_EVENT_KIND_CLASS_BOOST_STARTED,
    TimelineKind.BOOST_OFF: scheduler_pb2.SCHEDULE_EVENT_KIND_CLASS_BOOST_ENDED,
    TimelineKind.POLICY_CHANGED: scheduler_pb2.SCHEDULE_EVENT_KIND_POLICY_CHANGED,
}
_STATE_AFTER = {
    TimelineKind.SUBMITTED: scheduler_pb2.SYSCALL_STATE_WAITING,
    TimelineKind.LANE_ENTERED: scheduler_pb2.SYSCALL_STATE_WAITING,
    TimelineKind.YIELDED: scheduler_pb2.SYSCALL_STATE_WAITING,
    TimelineKind.ADOPTED: scheduler_pb2.SYSCALL_STATE_RUNNING,
    TimelineKind.GRANTED: scheduler_pb2.SYSCALL_STATE_RUNNING,
    TimelineKind.PROGRESSED: scheduler_pb2.SYSCALL_STATE_RUNNING,
    TimelineKind.PREEMPT_ASKED: scheduler_pb2.SYSCALL_STATE_PREEMPTING,
}
_MARKS = {
    False: scheduler_pb2.SCHEDULE_EVENT_KIND_KNOWN_STARTED,
    True: scheduler_pb2.SCHEDULE_EVENT_KIND_KNOWN_ENDED,
}
_RUNS = {kind for kind, state in _STATE_AFTER.items() if state == scheduler_pb2.SYSCALL_STATE_RUNNING}
_NO_TOKEN_LIMIT = 2**62
_MOST_PARAMS = 64
_LONGEST_PARAM = 256


# To agents and administrators


def place(token: str, *query: paging.Key) -> Place | None:
    """Read where the page before ended; None: there is none before. Raises InvalidPageToken."""
    position = paging.decode(token, *query, shape=(float, str))
    return (float(position[0] or 0.0), str(position[1])) if position else None


def wanted(request: scheduler_pb2.ListSyscallsRequest, agent: str) -> Wanted:
    """Read which calls are asked for, `agent` being the parent's name in the core. Raises InvalidRequest."""
    if request.without_children and not request.parent:
        raise InvalidRequest.field("without_children", "needs a parent")
    return Wanted(
        states=frozenset(_STATES_BY_NUMBER[each] for each in request.states),
        classes=frozenset(CLASSES[each] for each in request.scheduling_classes),
        lane=ResourceKind(request.lane) if request.lane else None,
        agent=agent if request.without_children else "",
    )


def query_of(request: scheduler_pb2.ListSyscallsRequest) -> tuple[paging.Key, ...]:
    """Return what selects rows beside the parent; nothing without a filter, as in earlier page tokens."""
    if not (request.states or request.scheduling_classes or request.lane or request.without_children):
        return ()
    states = ",".join(str(each) for each in sorted(set(request.states)))
    classes = ",".join(str(each) for each in sorted(set(request.scheduling_classes)))
    return (states, classes, request.lane, request.without_children)


def agent_count(count: AgentCount) -> scheduler_pb2.AgentSyscalls:
    """Write how many calls an agent has."""
    return scheduler_pb2.AgentSyscalls(
        agent=names.agent_name(count.agent.partition("/")[2]),
        waiting_count=count.waiting,
        running_count=count.running,
    )


def syscall(entry: QueueEntry, call: Call, now: float, wall: datetime) -> scheduler_pb2.Syscall:
    """Write one known call."""
    message = known_call(call, now, wall)
    message.state = _STATES[entry.state]
    message.tokens_done = entry.tokens_done
    message.wait.CopyFrom(duration(entry.wait_seconds))
    message.replica = public(entry.replica, call.lane) if entry.state is not CallState.WAITING else ""
    message.preemption_count = entry.preemptions
    return message


def known_call(call: Call, now: float, wall: datetime) -> scheduler_pb2.Syscall:
    """Write what never changes about a call."""
    return scheduler_pb2.Syscall(
        name=name_of(call.id),
        scheduling_class=CLASS_NUMBERS[call.scheduling_class],
        priority=call.priority,
        model=public(call.resource, call.lane),
        lane=call.lane.value,
        prompt_tokens=call.prompt_tokens,
        max_new_tokens=call.max_new_tokens,
        arrive_time=_instant(call.arrived_at, now, wall),
    )


def public(name: str, lane: ResourceKind) -> str:
    """Return what a model or tool is called by those who may see it: a tool without its tenant."""
    return f"tools/{name.rpartition('/')[2]}" if name and lane is ResourceKind.TOOL else name


def name_of(identifier: str) -> str:
    """Return the resource name of a call of the core."""
    _, agent, call = identifier.split("/", 2)
    return f"agents/{agent}/calls/{call}"


def class_queue(stats: ClassStats) -> scheduler_pb2.ClassQueue:
    """Write one class of one lane."""
    return scheduler_pb2.ClassQueue(
        scheduling_class=CLASS_NUMBERS[stats.scheduling_class],
        policy=stats.policy,
        waiting_count=stats.waiting,
        running_count=stats.running,
        oldest_wait=duration(stats.oldest_wait),
        lane=stats.lane.value,
    )


def replica(stats: ReplicaStats) -> scheduler_pb2.Replica:
    """Write one replica."""
    return scheduler_pb2.Replica(
        name=public(stats.replica, stats.lane),
        model=public(stats.resource, stats.lane),
        up=stats.up,
        slots=stats.slot_limit,
        running_count=stats.running,
        token_budget=int(min(stats.token_limit, _NO_TOKEN_LIMIT)),
        tokens_in_flight=stats.tokens_reserved,
        lane=stats.lane.value,
    )


def explanation(
    found: Explanation, shown: scheduler_pb2.Syscall, named: Collection[CallId], tenant: str, summary: str
) -> scheduler_pb2.ExplainWaitResponse:
    """Write why a call waits.

    `named`: those of the calls ahead that the caller may know by name. Of another tenant's calls even the
    numbers are left out: they tell how big they are and what the tenant has used.
    """
    response = scheduler_pb2.ExplainWaitResponse(
        syscall=shown,
        position=found.position + 1 if found.state is CallState.WAITING else 0,
        position_is_bound=found.position_is_bound,
        waiting_count=found.waiting,
        policy=found.policy,
        policy_key=key_text(found.key),
        ahead=[
            scheduler_pb2.Ahead(
                name=name_of(each.call_id) if each.call_id in named else "",
                why=key_text(each.key) if each.tenant == tenant else OTHER_TENANT,
            )
            for each in found.ahead
        ],
        binding_limit=limit(found),
        summary=summary,
        in_lane=found.in_lane,
        boosted=found.boosted,
        prediction_count=found.predictions,
        cached_tokens=found.cached_tokens,
        cached_replica=found.cached_replica,
    )
    if found.lane_in_seconds is not None:
        response.lane_wait.CopyFrom(duration(max(0.0, found.lane_in_seconds)))
    if found.expires_in_seconds is not None:
        response.time_left.CopyFrom(duration(max(0.0, found.expires_in_seconds)))
    if found.predicted_start_seconds is not None:
        response.predicted_wait.CopyFrom(duration(found.predicted_start_seconds))
    if found.predictions:
        response.prediction_error.CopyFrom(duration(found.prediction_error_seconds))
    return response


def key_text(key: Mapping[str, float | int | str]) -> str:
    """Spell a policy's key out."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.3g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in key.items()
    )


def policy(kind: SchedulingClass, spec: PolicySpec) -> scheduler_pb2.ClassPolicy:
    """Write the policy of a class."""
    parameters = struct_pb2.Struct()
    parameters.update(dict(spec.params))
    return scheduler_pb2.ClassPolicy(
        scheduling_class=CLASS_NUMBERS[kind],
        policy=scheduler_pb2.Policy(name=spec.name, parameters=parameters),
    )


def params(message: scheduler_pb2.Policy) -> dict[str, ParamValue]:
    """Read the parameters of a policy: whole numbers come as int.

    Raises InvalidRequest for too many of them, and for one that is nested, not finite or too long.
    """
    fields = message.parameters.fields
    if len(fields) > _MOST_PARAMS:
        raise InvalidRequest.field("policy.parameters", f"expected at most {_MOST_PARAMS}")
    return {name: _param(name, value) for name, value in fields.items()}


def _param(name: str, value: struct_pb2.Value) -> ParamValue:
    match value.WhichOneof("kind"):
        case "number_value" if isfinite(value.number_value):
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value" if len(value.string_value) <= _LONGEST_PARAM:
            return value.string_value
        case "bool_value":
            return value.bool_value
    raise InvalidRequest.field(
        f"policy.parameters.{name[:64]}",
        f"expected a finite number, a string of at most {_LONGEST_PARAM} characters, or a boolean",
    )


def schedule_event(
    shown: Shown | Known | KnownMark, now: float, wall: datetime
) -> scheduler_pb2.WatchScheduleResponse | None:
    """Write what a watcher is told, or None for an event that is only of interest inside."""
    match shown:
        case Shown():
            return _event(shown, now, wall)
        case Known():
            response = scheduler_pb2.WatchScheduleResponse(
                kind=scheduler_pb2.SCHEDULE_EVENT_KIND_KNOWN,
                syscall=syscall(shown.entry, shown.call, now, wall),
                scheduling_class=CLASS_NUMBERS[shown.call.scheduling_class],
                resumed=shown.entry.state is not CallState.WAITING and shown.entry.resumed,
            )
        case KnownMark():
            response = scheduler_pb2.WatchScheduleResponse(kind=_MARKS[shown.ended])
    response.sequence = shown.sequence
    response.time.CopyFrom(_instant(now, now, wall))
    return response


def _event(shown: Shown, now: float, wall: datetime) -> scheduler_pb2.WatchScheduleResponse | None:
    event, call = shown.event, shown.call
    if event.kind not in _KINDS:
        return None
    response = scheduler_pb2.WatchScheduleResponse(
        kind=_KINDS[event.kind],
        time=_instant(event.at, now, wall),
        outcome=event.detail[:64],
        lost_count=shown.lost,
        resumed=event.resumed and event.kind in _RUNS,
        from_lane=event.kind is TimelineKind.GRANTED and event.detail == FROM_LANE,
        sequence=shown.sequence,
    )
    if event.scheduling_class is not None:
        response.scheduling_class = CLASS_NUMBERS[event.scheduling_class]
    if call is not None:
        response.syscall.CopyFrom(known_call(call, now, wall))
        response.syscall.state = _STATE_AFTER.get(event.kind, scheduler_pb2.SYSCALL_STATE_UNSPECIFIED)
        response.syscall.replica = public(event.replica, call.lane)
        response.syscall.tokens_done = event.tokens
        response.syscall.preemption_count = event.preemptions
        response.syscall.wait.CopyFrom(duration(event.wait_seconds))
    return response


def _instant(at: float, now: float, wall: datetime) -> Timestamp:
    """Write a time of the scheduler's monotonic clock by its wall clock."""
    written = Timestamp()
    written.FromDatetime((wall - timedelta(seconds=max(0.0, now - at))).astimezone(UTC))
    return written
