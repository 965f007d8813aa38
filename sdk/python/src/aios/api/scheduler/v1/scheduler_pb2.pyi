from aios.api.agent.v1 import agent_pb2 as _agent_pb2
from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.common.v1 import quotas_pb2 as _quotas_pb2
from aios.api.scheduler.v1 import dispatch_pb2 as _dispatch_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyscallState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYSCALL_STATE_UNSPECIFIED: _ClassVar[SyscallState]
    SYSCALL_STATE_WAITING: _ClassVar[SyscallState]
    SYSCALL_STATE_RUNNING: _ClassVar[SyscallState]
    SYSCALL_STATE_PREEMPTING: _ClassVar[SyscallState]

class ScheduleEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULE_EVENT_KIND_UNSPECIFIED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_SUBMITTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_GRANTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_PROGRESSED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_PREEMPTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_YIELDED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_FINISHED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_REJECTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_BOOSTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_POLICY_CHANGED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_CLASS_BOOST_STARTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_CLASS_BOOST_ENDED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_KNOWN_STARTED: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_KNOWN: _ClassVar[ScheduleEventKind]
    SCHEDULE_EVENT_KIND_KNOWN_ENDED: _ClassVar[ScheduleEventKind]
SYSCALL_STATE_UNSPECIFIED: SyscallState
SYSCALL_STATE_WAITING: SyscallState
SYSCALL_STATE_RUNNING: SyscallState
SYSCALL_STATE_PREEMPTING: SyscallState
SCHEDULE_EVENT_KIND_UNSPECIFIED: ScheduleEventKind
SCHEDULE_EVENT_KIND_SUBMITTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_GRANTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_PROGRESSED: ScheduleEventKind
SCHEDULE_EVENT_KIND_PREEMPTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_YIELDED: ScheduleEventKind
SCHEDULE_EVENT_KIND_FINISHED: ScheduleEventKind
SCHEDULE_EVENT_KIND_REJECTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_BOOSTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_POLICY_CHANGED: ScheduleEventKind
SCHEDULE_EVENT_KIND_CLASS_BOOST_STARTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_CLASS_BOOST_ENDED: ScheduleEventKind
SCHEDULE_EVENT_KIND_KNOWN_STARTED: ScheduleEventKind
SCHEDULE_EVENT_KIND_KNOWN: ScheduleEventKind
SCHEDULE_EVENT_KIND_KNOWN_ENDED: ScheduleEventKind

class Syscall(_message.Message):
    __slots__ = ("name", "state", "scheduling_class", "priority", "model", "prompt_tokens", "max_new_tokens", "tokens_done", "arrive_time", "wait", "replica", "preemption_count", "lane")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_DONE_FIELD_NUMBER: _ClassVar[int]
    ARRIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: SyscallState
    scheduling_class: _agent_pb2.SchedulingClass
    priority: int
    model: str
    prompt_tokens: int
    max_new_tokens: int
    tokens_done: int
    arrive_time: _timestamp_pb2.Timestamp
    wait: _duration_pb2.Duration
    replica: str
    preemption_count: int
    lane: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[SyscallState, str]] = ..., scheduling_class: _Optional[_Union[_agent_pb2.SchedulingClass, str]] = ..., priority: _Optional[int] = ..., model: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., max_new_tokens: _Optional[int] = ..., tokens_done: _Optional[int] = ..., arrive_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., replica: _Optional[str] = ..., preemption_count: _Optional[int] = ..., lane: _Optional[str] = ...) -> None: ...

class ListSyscallsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "states", "scheduling_classes", "lane", "without_children")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_CLASSES_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[SyscallState]
    scheduling_classes: _containers.RepeatedScalarFieldContainer[_agent_pb2.SchedulingClass]
    lane: str
    without_children: bool
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[SyscallState, str]]] = ..., scheduling_classes: _Optional[_Iterable[_Union[_agent_pb2.SchedulingClass, str]]] = ..., lane: _Optional[str] = ..., without_children: bool = ...) -> None: ...

class ListSyscallsResponse(_message.Message):
    __slots__ = ("syscalls", "next_page_token", "sequence")
    SYSCALLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    syscalls: _containers.RepeatedCompositeFieldContainer[Syscall]
    next_page_token: str
    sequence: int
    def __init__(self, syscalls: _Optional[_Iterable[_Union[Syscall, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class CountSyscallsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class AgentSyscalls(_message.Message):
    __slots__ = ("agent", "waiting_count", "running_count")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    waiting_count: int
    running_count: int
    def __init__(self, agent: _Optional[str] = ..., waiting_count: _Optional[int] = ..., running_count: _Optional[int] = ...) -> None: ...

class CountSyscallsResponse(_message.Message):
    __slots__ = ("agents", "next_page_token", "sequence")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentSyscalls]
    next_page_token: str
    sequence: int
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentSyscalls, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class ListPastSyscallsRequest(_message.Message):
    __slots__ = ("parent", "ended_after", "ended_before", "failed_only", "lane", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AFTER_FIELD_NUMBER: _ClassVar[int]
    ENDED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    FAILED_ONLY_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    ended_after: _timestamp_pb2.Timestamp
    ended_before: _timestamp_pb2.Timestamp
    failed_only: bool
    lane: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., ended_after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ended_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failed_only: bool = ..., lane: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class PastSyscall(_message.Message):
    __slots__ = ("name", "lane", "model", "scheduling_class", "priority", "outcome", "prompt_tokens", "new_tokens", "wait", "run", "preemption_count", "replica", "arrive_time", "start_time", "end_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    ARRIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    lane: str
    model: str
    scheduling_class: _agent_pb2.SchedulingClass
    priority: int
    outcome: str
    prompt_tokens: int
    new_tokens: int
    wait: _duration_pb2.Duration
    run: _duration_pb2.Duration
    preemption_count: int
    replica: str
    arrive_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., lane: _Optional[str] = ..., model: _Optional[str] = ..., scheduling_class: _Optional[_Union[_agent_pb2.SchedulingClass, str]] = ..., priority: _Optional[int] = ..., outcome: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., new_tokens: _Optional[int] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., run: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., preemption_count: _Optional[int] = ..., replica: _Optional[str] = ..., arrive_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPastSyscallsResponse(_message.Message):
    __slots__ = ("syscalls", "next_page_token", "kept_for")
    SYSCALLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    syscalls: _containers.RepeatedCompositeFieldContainer[PastSyscall]
    next_page_token: str
    kept_for: _duration_pb2.Duration
    def __init__(self, syscalls: _Optional[_Iterable[_Union[PastSyscall, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., kept_for: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListSyscallUsageRequest(_message.Message):
    __slots__ = ("parent", "since", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    since: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SyscallSums(_message.Message):
    __slots__ = ("call_count", "failed_count", "cancelled_count", "prompt_tokens", "new_tokens", "wait", "run", "preemption_count")
    CALL_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    call_count: int
    failed_count: int
    cancelled_count: int
    prompt_tokens: int
    new_tokens: int
    wait: _duration_pb2.Duration
    run: _duration_pb2.Duration
    preemption_count: int
    def __init__(self, call_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., cancelled_count: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., new_tokens: _Optional[int] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., run: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., preemption_count: _Optional[int] = ...) -> None: ...

class AgentUsage(_message.Message):
    __slots__ = ("agent", "lane", "own", "tree")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    lane: str
    own: SyscallSums
    tree: SyscallSums
    def __init__(self, agent: _Optional[str] = ..., lane: _Optional[str] = ..., own: _Optional[_Union[SyscallSums, _Mapping]] = ..., tree: _Optional[_Union[SyscallSums, _Mapping]] = ...) -> None: ...

class ListSyscallUsageResponse(_message.Message):
    __slots__ = ("usage", "next_page_token", "since")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    usage: _containers.RepeatedCompositeFieldContainer[AgentUsage]
    next_page_token: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, usage: _Optional[_Iterable[_Union[AgentUsage, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetQueueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ClassQueue(_message.Message):
    __slots__ = ("scheduling_class", "policy", "waiting_count", "running_count", "oldest_wait", "lane")
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAIT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    scheduling_class: _agent_pb2.SchedulingClass
    policy: str
    waiting_count: int
    running_count: int
    oldest_wait: _duration_pb2.Duration
    lane: str
    def __init__(self, scheduling_class: _Optional[_Union[_agent_pb2.SchedulingClass, str]] = ..., policy: _Optional[str] = ..., waiting_count: _Optional[int] = ..., running_count: _Optional[int] = ..., oldest_wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., lane: _Optional[str] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("name", "model", "up", "slots", "running_count", "token_budget", "tokens_in_flight", "lane")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_BUDGET_FIELD_NUMBER: _ClassVar[int]
    TOKENS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    up: bool
    slots: int
    running_count: int
    token_budget: int
    tokens_in_flight: int
    lane: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., up: bool = ..., slots: _Optional[int] = ..., running_count: _Optional[int] = ..., token_budget: _Optional[int] = ..., tokens_in_flight: _Optional[int] = ..., lane: _Optional[str] = ...) -> None: ...

class GetQueueResponse(_message.Message):
    __slots__ = ("classes", "replicas", "preemption_count", "sequence")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[ClassQueue]
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    preemption_count: int
    sequence: int
    def __init__(self, classes: _Optional[_Iterable[_Union[ClassQueue, _Mapping]]] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., preemption_count: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class ExplainWaitRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Ahead(_message.Message):
    __slots__ = ("name", "why")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class ExplainWaitResponse(_message.Message):
    __slots__ = ("syscall", "position", "policy", "policy_key", "ahead", "binding_limit", "predicted_wait", "summary", "in_lane", "prediction_error", "boosted", "lane_wait", "prediction_count", "cached_tokens", "cached_replica", "time_left", "position_is_bound", "waiting_count")
    SYSCALL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_KEY_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    BINDING_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_WAIT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    IN_LANE_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ERROR_FIELD_NUMBER: _ClassVar[int]
    BOOSTED_FIELD_NUMBER: _ClassVar[int]
    LANE_WAIT_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_REPLICA_FIELD_NUMBER: _ClassVar[int]
    TIME_LEFT_FIELD_NUMBER: _ClassVar[int]
    POSITION_IS_BOUND_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    syscall: Syscall
    position: int
    policy: str
    policy_key: str
    ahead: _containers.RepeatedCompositeFieldContainer[Ahead]
    binding_limit: str
    predicted_wait: _duration_pb2.Duration
    summary: str
    in_lane: bool
    prediction_error: _duration_pb2.Duration
    boosted: bool
    lane_wait: _duration_pb2.Duration
    prediction_count: int
    cached_tokens: int
    cached_replica: str
    time_left: _duration_pb2.Duration
    position_is_bound: bool
    waiting_count: int
    def __init__(self, syscall: _Optional[_Union[Syscall, _Mapping]] = ..., position: _Optional[int] = ..., policy: _Optional[str] = ..., policy_key: _Optional[str] = ..., ahead: _Optional[_Iterable[_Union[Ahead, _Mapping]]] = ..., binding_limit: _Optional[str] = ..., predicted_wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., summary: _Optional[str] = ..., in_lane: bool = ..., prediction_error: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., boosted: bool = ..., lane_wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., prediction_count: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., cached_replica: _Optional[str] = ..., time_left: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., position_is_bound: bool = ..., waiting_count: _Optional[int] = ...) -> None: ...

class ExplainWaitsRequest(_message.Message):
    __slots__ = ("parent", "top")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    parent: str
    top: int
    def __init__(self, parent: _Optional[str] = ..., top: _Optional[int] = ...) -> None: ...

class ExplainWaitsResponse(_message.Message):
    __slots__ = ("waits", "time", "sequence")
    WAITS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    waits: _containers.RepeatedCompositeFieldContainer[ExplainWaitResponse]
    time: _timestamp_pb2.Timestamp
    sequence: int
    def __init__(self, waits: _Optional[_Iterable[_Union[ExplainWaitResponse, _Mapping]]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SetPolicyRequest(_message.Message):
    __slots__ = ("scheduling_class", "policy", "lane")
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    scheduling_class: _agent_pb2.SchedulingClass
    policy: Policy
    lane: str
    def __init__(self, scheduling_class: _Optional[_Union[_agent_pb2.SchedulingClass, str]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., lane: _Optional[str] = ...) -> None: ...

class SetPolicyResponse(_message.Message):
    __slots__ = ("classes",)
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[ClassPolicy]
    def __init__(self, classes: _Optional[_Iterable[_Union[ClassPolicy, _Mapping]]] = ...) -> None: ...

class ClassPolicy(_message.Message):
    __slots__ = ("scheduling_class", "policy")
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    scheduling_class: _agent_pb2.SchedulingClass
    policy: Policy
    def __init__(self, scheduling_class: _Optional[_Union[_agent_pb2.SchedulingClass, str]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("lane",)
    LANE_FIELD_NUMBER: _ClassVar[int]
    lane: str
    def __init__(self, lane: _Optional[str] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("classes", "available")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[ClassPolicy]
    available: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, classes: _Optional[_Iterable[_Union[ClassPolicy, _Mapping]]] = ..., available: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchScheduleRequest(_message.Message):
    __slots__ = ("parent", "initial")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    parent: str
    initial: bool
    def __init__(self, parent: _Optional[str] = ..., initial: bool = ...) -> None: ...

class WatchScheduleResponse(_message.Message):
    __slots__ = ("kind", "time", "syscall", "outcome", "lost_count", "resumed", "from_lane", "scheduling_class", "sequence")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SYSCALL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    FROM_LANE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    kind: ScheduleEventKind
    time: _timestamp_pb2.Timestamp
    syscall: Syscall
    outcome: str
    lost_count: int
    resumed: bool
    from_lane: bool
    scheduling_class: _agent_pb2.SchedulingClass
    sequence: int
    def __init__(self, kind: _Optional[_Union[ScheduleEventKind, str]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., syscall: _Optional[_Union[Syscall, _Mapping]] = ..., outcome: _Optional[str] = ..., lost_count: _Optional[int] = ..., resumed: bool = ..., from_lane: bool = ..., scheduling_class: _Optional[_Union[_agent_pb2.SchedulingClass, str]] = ..., sequence: _Optional[int] = ...) -> None: ...

class CancelSyscallRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelSyscallResponse(_message.Message):
    __slots__ = ("cancelled",)
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    cancelled: bool
    def __init__(self, cancelled: bool = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("quotas",)
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    quotas: _containers.RepeatedCompositeFieldContainer[_quotas_pb2.QuotaUsage]
    def __init__(self, quotas: _Optional[_Iterable[_Union[_quotas_pb2.QuotaUsage, _Mapping]]] = ...) -> None: ...
