from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.common.v1 import chat_pb2 as _chat_pb2
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

class WindowStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WINDOW_STRATEGY_UNSPECIFIED: _ClassVar[WindowStrategy]
    WINDOW_STRATEGY_DROP_OLDEST: _ClassVar[WindowStrategy]
    WINDOW_STRATEGY_KEEP_HEAD_AND_TAIL: _ClassVar[WindowStrategy]
    WINDOW_STRATEGY_SUMMARIZE: _ClassVar[WindowStrategy]
    WINDOW_STRATEGY_RECALL: _ClassVar[WindowStrategy]

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_TOOL_CALLS: _ClassVar[FinishReason]
    FINISH_REASON_CANCELLED: _ClassVar[FinishReason]
    FINISH_REASON_ERROR: _ClassVar[FinishReason]
    FINISH_REASON_DEADLINE: _ClassVar[FinishReason]
WINDOW_STRATEGY_UNSPECIFIED: WindowStrategy
WINDOW_STRATEGY_DROP_OLDEST: WindowStrategy
WINDOW_STRATEGY_KEEP_HEAD_AND_TAIL: WindowStrategy
WINDOW_STRATEGY_SUMMARIZE: WindowStrategy
WINDOW_STRATEGY_RECALL: WindowStrategy
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_TOOL_CALLS: FinishReason
FINISH_REASON_CANCELLED: FinishReason
FINISH_REASON_ERROR: FinishReason
FINISH_REASON_DEADLINE: FinishReason

class Context(_message.Message):
    __slots__ = ("name", "model", "strategy", "token_budget", "reserve_tokens", "title", "message_count", "token_count", "parent", "forked_at", "labels", "create_time", "update_time", "etag", "head_messages", "recall_tokens", "untrusted")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_BUDGET_FIELD_NUMBER: _ClassVar[int]
    RESERVE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FORKED_AT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    HEAD_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    RECALL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    strategy: WindowStrategy
    token_budget: int
    reserve_tokens: int
    title: str
    message_count: int
    token_count: int
    parent: str
    forked_at: int
    labels: _containers.ScalarMap[str, str]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    head_messages: int
    recall_tokens: int
    untrusted: bool
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., strategy: _Optional[_Union[WindowStrategy, str]] = ..., token_budget: _Optional[int] = ..., reserve_tokens: _Optional[int] = ..., title: _Optional[str] = ..., message_count: _Optional[int] = ..., token_count: _Optional[int] = ..., parent: _Optional[str] = ..., forked_at: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., head_messages: _Optional[int] = ..., recall_tokens: _Optional[int] = ..., untrusted: bool = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("position", "message", "pinned", "token_count", "create_time")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    position: int
    message: _chat_pb2.ChatMessage
    pinned: bool
    token_count: int
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, position: _Optional[int] = ..., message: _Optional[_Union[_chat_pb2.ChatMessage, _Mapping]] = ..., pinned: bool = ..., token_count: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SamplingParameters(_message.Message):
    __slots__ = ("temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "frequency_penalty", "max_tokens", "stop", "top_alternatives", "presence_penalty", "ignore_end_of_sequence")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TYPICAL_P_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    TOP_ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_PENALTY_FIELD_NUMBER: _ClassVar[int]
    IGNORE_END_OF_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_k: int
    top_p: float
    typical_p: float
    repetition_penalty: float
    frequency_penalty: float
    max_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    top_alternatives: int
    presence_penalty: float
    ignore_end_of_sequence: bool
    def __init__(self, temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., top_p: _Optional[float] = ..., typical_p: _Optional[float] = ..., repetition_penalty: _Optional[float] = ..., frequency_penalty: _Optional[float] = ..., max_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., top_alternatives: _Optional[int] = ..., presence_penalty: _Optional[float] = ..., ignore_end_of_sequence: bool = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("json_schema", "regex", "grammar", "json_object")
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    JSON_OBJECT_FIELD_NUMBER: _ClassVar[int]
    json_schema: str
    regex: str
    grammar: str
    json_object: bool
    def __init__(self, json_schema: _Optional[str] = ..., regex: _Optional[str] = ..., grammar: _Optional[str] = ..., json_object: bool = ...) -> None: ...

class Alternative(_message.Message):
    __slots__ = ("token_id", "text", "logprob")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    token_id: int
    text: str
    logprob: float
    def __init__(self, token_id: _Optional[int] = ..., text: _Optional[str] = ..., logprob: _Optional[float] = ...) -> None: ...

class TopAlternatives(_message.Message):
    __slots__ = ("sequence", "alternatives", "chosen")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    alternatives: _containers.RepeatedCompositeFieldContainer[Alternative]
    chosen: Alternative
    def __init__(self, sequence: _Optional[int] = ..., alternatives: _Optional[_Iterable[_Union[Alternative, _Mapping]]] = ..., chosen: _Optional[_Union[Alternative, _Mapping]] = ...) -> None: ...

class KvHandle(_message.Message):
    __slots__ = ("replica", "handle", "sha256", "model_fingerprint", "size_bytes", "token_count", "expire_time")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    replica: str
    handle: bytes
    sha256: str
    model_fingerprint: str
    size_bytes: int
    token_count: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, replica: _Optional[str] = ..., handle: _Optional[bytes] = ..., sha256: _Optional[str] = ..., model_fingerprint: _Optional[str] = ..., size_bytes: _Optional[int] = ..., token_count: _Optional[int] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GenerationUsage(_message.Message):
    __slots__ = ("prompt_tokens", "completion_tokens", "cached_tokens", "preemption_count", "recovery_count", "wait", "run")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    preemption_count: int
    recovery_count: int
    wait: _duration_pb2.Duration
    run: _duration_pb2.Duration
    def __init__(self, prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., preemption_count: _Optional[int] = ..., recovery_count: _Optional[int] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., run: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("name", "model", "prompt_text", "prompt_token_ids", "emitted_token_ids", "emitted_text", "sequence", "sampling", "seed", "constraint", "usage", "top_alternatives", "kv", "finished", "finish_reason", "error_reason", "request_digest", "epoch", "owner", "create_time", "update_time", "expire_time", "gateway_state", "tool_calls", "emitted_piece_lengths")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    EMITTED_TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    EMITTED_TEXT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TOP_ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    KV_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_STATE_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    EMITTED_PIECE_LENGTHS_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    prompt_text: str
    prompt_token_ids: _containers.RepeatedScalarFieldContainer[int]
    emitted_token_ids: _containers.RepeatedScalarFieldContainer[int]
    emitted_text: str
    sequence: int
    sampling: SamplingParameters
    seed: int
    constraint: Constraint
    usage: GenerationUsage
    top_alternatives: _containers.RepeatedCompositeFieldContainer[TopAlternatives]
    kv: KvHandle
    finished: bool
    finish_reason: FinishReason
    error_reason: str
    request_digest: str
    epoch: int
    owner: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    gateway_state: _struct_pb2.Struct
    tool_calls: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ToolCall]
    emitted_piece_lengths: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., prompt_text: _Optional[str] = ..., prompt_token_ids: _Optional[_Iterable[int]] = ..., emitted_token_ids: _Optional[_Iterable[int]] = ..., emitted_text: _Optional[str] = ..., sequence: _Optional[int] = ..., sampling: _Optional[_Union[SamplingParameters, _Mapping]] = ..., seed: _Optional[int] = ..., constraint: _Optional[_Union[Constraint, _Mapping]] = ..., usage: _Optional[_Union[GenerationUsage, _Mapping]] = ..., top_alternatives: _Optional[_Iterable[_Union[TopAlternatives, _Mapping]]] = ..., kv: _Optional[_Union[KvHandle, _Mapping]] = ..., finished: bool = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., error_reason: _Optional[str] = ..., request_digest: _Optional[str] = ..., epoch: _Optional[int] = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., gateway_state: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., tool_calls: _Optional[_Iterable[_Union[_chat_pb2.ToolCall, _Mapping]]] = ..., emitted_piece_lengths: _Optional[_Iterable[int]] = ...) -> None: ...
