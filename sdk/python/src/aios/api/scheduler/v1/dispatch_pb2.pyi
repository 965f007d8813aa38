from aios.api.agent.v1 import agent_pb2 as _agent_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DispatchRequest(_message.Message):
    __slots__ = ("hello", "replica", "submit", "progress", "yielded", "ended", "withdraw")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    YIELDED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    replica: ReplicaState
    submit: Submit
    progress: Progress
    yielded: Yielded
    ended: Ended
    withdraw: Withdraw
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., replica: _Optional[_Union[ReplicaState, _Mapping]] = ..., submit: _Optional[_Union[Submit, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., yielded: _Optional[_Union[Yielded, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., withdraw: _Optional[_Union[Withdraw, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("gateway",)
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    gateway: str
    def __init__(self, gateway: _Optional[str] = ...) -> None: ...

class ReplicaState(_message.Message):
    __slots__ = ("name", "model", "up", "slots", "max_batch_total_tokens", "max_total_tokens", "queue_size", "kv_snapshot", "lane")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_TOTAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOTAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SIZE_FIELD_NUMBER: _ClassVar[int]
    KV_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    up: bool
    slots: int
    max_batch_total_tokens: int
    max_total_tokens: int
    queue_size: int
    kv_snapshot: bool
    lane: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., up: bool = ..., slots: _Optional[int] = ..., max_batch_total_tokens: _Optional[int] = ..., max_total_tokens: _Optional[int] = ..., queue_size: _Optional[int] = ..., kv_snapshot: bool = ..., lane: _Optional[str] = ...) -> None: ...

class Submit(_message.Message):
    __slots__ = ("call", "agent", "tenant", "program", "agent_kind", "hints", "model", "prompt_tokens", "max_new_tokens", "tokens_done", "age", "time_left", "preemptible", "step", "running_on", "attained", "preemption_count", "number", "resubmission", "agent_path", "prefixes", "lane", "locks", "tenant_weight", "tree_weight", "gang", "gang_size", "waiting_for", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    AGENT_KIND_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_DONE_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    TIME_LEFT_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIBLE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RUNNING_ON_FIELD_NUMBER: _ClassVar[int]
    ATTAINED_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESUBMISSION_FIELD_NUMBER: _ClassVar[int]
    AGENT_PATH_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    LOCKS_FIELD_NUMBER: _ClassVar[int]
    TENANT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    TREE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    GANG_SIZE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: str
    agent: str
    tenant: str
    program: str
    agent_kind: str
    hints: _agent_pb2.SchedulingHints
    model: str
    prompt_tokens: int
    max_new_tokens: int
    tokens_done: int
    age: _duration_pb2.Duration
    time_left: _duration_pb2.Duration
    preemptible: bool
    step: int
    running_on: str
    attained: _duration_pb2.Duration
    preemption_count: int
    number: int
    resubmission: bool
    agent_path: _containers.RepeatedScalarFieldContainer[str]
    prefixes: _containers.RepeatedCompositeFieldContainer[Prefix]
    lane: str
    locks: _containers.RepeatedCompositeFieldContainer[Lock]
    tenant_weight: int
    tree_weight: int
    gang: str
    gang_size: int
    waiting_for: _duration_pb2.Duration
    attempt: int
    def __init__(self, call: _Optional[str] = ..., agent: _Optional[str] = ..., tenant: _Optional[str] = ..., program: _Optional[str] = ..., agent_kind: _Optional[str] = ..., hints: _Optional[_Union[_agent_pb2.SchedulingHints, _Mapping]] = ..., model: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., max_new_tokens: _Optional[int] = ..., tokens_done: _Optional[int] = ..., age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., time_left: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., preemptible: bool = ..., step: _Optional[int] = ..., running_on: _Optional[str] = ..., attained: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., preemption_count: _Optional[int] = ..., number: _Optional[int] = ..., resubmission: bool = ..., agent_path: _Optional[_Iterable[str]] = ..., prefixes: _Optional[_Iterable[_Union[Prefix, _Mapping]]] = ..., lane: _Optional[str] = ..., locks: _Optional[_Iterable[_Union[Lock, _Mapping]]] = ..., tenant_weight: _Optional[int] = ..., tree_weight: _Optional[int] = ..., gang: _Optional[str] = ..., gang_size: _Optional[int] = ..., waiting_for: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class Lock(_message.Message):
    __slots__ = ("name", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class Prefix(_message.Message):
    __slots__ = ("key", "tokens")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    key: str
    tokens: int
    def __init__(self, key: _Optional[str] = ..., tokens: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("key", "tokens", "number", "cached_prompt_tokens", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CACHED_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    tokens: int
    number: int
    cached_prompt_tokens: int
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., tokens: _Optional[int] = ..., number: _Optional[int] = ..., cached_prompt_tokens: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Yielded(_message.Message):
    __slots__ = ("key", "tokens_done", "replica_lost", "number", "kv_replica", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TOKENS_DONE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_LOST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KV_REPLICA_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    tokens_done: int
    replica_lost: bool
    number: int
    kv_replica: str
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., tokens_done: _Optional[int] = ..., replica_lost: bool = ..., number: _Optional[int] = ..., kv_replica: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("key", "completion", "tokens_done", "cached_prompt_tokens", "number", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    TOKENS_DONE_FIELD_NUMBER: _ClassVar[int]
    CACHED_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    completion: str
    tokens_done: int
    cached_prompt_tokens: int
    number: int
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., completion: _Optional[str] = ..., tokens_done: _Optional[int] = ..., cached_prompt_tokens: _Optional[int] = ..., number: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Withdraw(_message.Message):
    __slots__ = ("key", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class CallKey(_message.Message):
    __slots__ = ("tenant", "agent", "call")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    agent: str
    call: str
    def __init__(self, tenant: _Optional[str] = ..., agent: _Optional[str] = ..., call: _Optional[str] = ...) -> None: ...

class DispatchResponse(_message.Message):
    __slots__ = ("welcome", "grant", "preempt", "reject", "revoke")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    PREEMPT_FIELD_NUMBER: _ClassVar[int]
    REJECT_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    grant: Grant
    preempt: Preempt
    reject: Reject
    revoke: Revoke
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ..., preempt: _Optional[_Union[Preempt, _Mapping]] = ..., reject: _Optional[_Union[Reject, _Mapping]] = ..., revoke: _Optional[_Union[Revoke, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("key", "replica", "quantum_tokens", "number", "wait", "attained", "max_new_tokens", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    QUANTUM_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    ATTAINED_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    replica: str
    quantum_tokens: int
    number: int
    wait: _duration_pb2.Duration
    attained: _duration_pb2.Duration
    max_new_tokens: int
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., replica: _Optional[str] = ..., quantum_tokens: _Optional[int] = ..., number: _Optional[int] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., attained: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_new_tokens: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Preempt(_message.Message):
    __slots__ = ("key", "number", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    number: int
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., number: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Revoke(_message.Message):
    __slots__ = ("key", "number", "outcome", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    number: int
    outcome: str
    attempt: int
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., number: _Optional[int] = ..., outcome: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class Reject(_message.Message):
    __slots__ = ("key", "outcome", "message", "retry_after", "attempt", "facts")
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    key: CallKey
    outcome: str
    message: str
    retry_after: _duration_pb2.Duration
    attempt: int
    facts: _containers.ScalarMap[str, str]
    def __init__(self, key: _Optional[_Union[CallKey, _Mapping]] = ..., outcome: _Optional[str] = ..., message: _Optional[str] = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., attempt: _Optional[int] = ..., facts: _Optional[_Mapping[str, str]] = ...) -> None: ...
