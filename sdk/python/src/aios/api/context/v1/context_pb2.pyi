from aios.api.common.v1 import chat_pb2 as _chat_pb2
from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.common.v1 import quotas_pb2 as _quotas_pb2
from aios.api.context.v1 import resources_pb2 as _resources_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DropReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DROP_REASON_UNSPECIFIED: _ClassVar[DropReason]
    DROP_REASON_NO_ROOM: _ClassVar[DropReason]
    DROP_REASON_SUMMARIZED: _ClassVar[DropReason]
    DROP_REASON_TOOL_GROUP: _ClassVar[DropReason]
DROP_REASON_UNSPECIFIED: DropReason
DROP_REASON_NO_ROOM: DropReason
DROP_REASON_SUMMARIZED: DropReason
DROP_REASON_TOOL_GROUP: DropReason

class CreateContextRequest(_message.Message):
    __slots__ = ("context", "messages", "request_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    messages: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Message]
    request_id: str
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ..., messages: _Optional[_Iterable[_Union[_resources_pb2.Message, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateContextResponse(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ...) -> None: ...

class GetContextRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetContextResponse(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ...) -> None: ...

class UpdateContextRequest(_message.Message):
    __slots__ = ("context", "update_mask", "request_id")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateContextResponse(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ...) -> None: ...

class AppendMessagesRequest(_message.Message):
    __slots__ = ("name", "messages", "etag", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    messages: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Message]
    etag: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_resources_pb2.Message, _Mapping]]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AppendMessagesResponse(_message.Message):
    __slots__ = ("context", "first_position")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    first_position: int
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ..., first_position: _Optional[int] = ...) -> None: ...

class ListMessagesRequest(_message.Message):
    __slots__ = ("name", "after_position", "newest_first", "page_size", "page_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_position: int
    newest_first: bool
    page_size: int
    page_token: str
    def __init__(self, name: _Optional[str] = ..., after_position: _Optional[int] = ..., newest_first: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMessagesResponse(_message.Message):
    __slots__ = ("messages", "next_page_token", "untrusted")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Message]
    next_page_token: str
    untrusted: bool
    def __init__(self, messages: _Optional[_Iterable[_Union[_resources_pb2.Message, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., untrusted: bool = ...) -> None: ...

class PinMessageRequest(_message.Message):
    __slots__ = ("name", "position", "pinned", "etag", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    position: int
    pinned: bool
    etag: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., position: _Optional[int] = ..., pinned: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PinMessageResponse(_message.Message):
    __slots__ = ("message", "untrusted")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    message: _resources_pb2.Message
    untrusted: bool
    def __init__(self, message: _Optional[_Union[_resources_pb2.Message, _Mapping]] = ..., untrusted: bool = ...) -> None: ...

class AssembleWindowRequest(_message.Message):
    __slots__ = ("name", "model", "token_budget", "reserve_tokens", "strategy", "tools", "dry")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOKEN_BUDGET_FIELD_NUMBER: _ClassVar[int]
    RESERVE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    DRY_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    token_budget: int
    reserve_tokens: int
    strategy: _resources_pb2.WindowStrategy
    tools: _containers.RepeatedCompositeFieldContainer[_chat_pb2.ToolDefinition]
    dry: bool
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., token_budget: _Optional[int] = ..., reserve_tokens: _Optional[int] = ..., strategy: _Optional[_Union[_resources_pb2.WindowStrategy, str]] = ..., tools: _Optional[_Iterable[_Union[_chat_pb2.ToolDefinition, _Mapping]]] = ..., dry: bool = ...) -> None: ...

class DroppedMessages(_message.Message):
    __slots__ = ("first_position", "last_position", "reason", "token_count")
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_POSITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    first_position: int
    last_position: int
    reason: DropReason
    token_count: int
    def __init__(self, first_position: _Optional[int] = ..., last_position: _Optional[int] = ..., reason: _Optional[_Union[DropReason, str]] = ..., token_count: _Optional[int] = ...) -> None: ...

class PositionRange(_message.Message):
    __slots__ = ("first_position", "last_position")
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_POSITION_FIELD_NUMBER: _ClassVar[int]
    first_position: int
    last_position: int
    def __init__(self, first_position: _Optional[int] = ..., last_position: _Optional[int] = ...) -> None: ...

class SummaryOrigin(_message.Message):
    __slots__ = ("covers", "model", "create_time")
    COVERS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    covers: _containers.RepeatedCompositeFieldContainer[PositionRange]
    model: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, covers: _Optional[_Iterable[_Union[PositionRange, _Mapping]]] = ..., model: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecalledNote(_message.Message):
    __slots__ = ("name", "score")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    score: float
    def __init__(self, name: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class AddedMessage(_message.Message):
    __slots__ = ("index", "summary", "notes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    index: int
    summary: SummaryOrigin
    notes: _containers.RepeatedCompositeFieldContainer[RecalledNote]
    def __init__(self, index: _Optional[int] = ..., summary: _Optional[_Union[SummaryOrigin, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[RecalledNote, _Mapping]]] = ...) -> None: ...

class AssembleWindowResponse(_message.Message):
    __slots__ = ("messages", "token_count", "token_budget", "available_tokens", "dropped", "exact_count", "strategy", "fallback", "fallback_reason", "recalled_notes", "etag", "added", "untrusted")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_BUDGET_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    EXACT_COUNT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_REASON_FIELD_NUMBER: _ClassVar[int]
    RECALLED_NOTES_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Message]
    token_count: int
    token_budget: int
    available_tokens: int
    dropped: _containers.RepeatedCompositeFieldContainer[DroppedMessages]
    exact_count: bool
    strategy: _resources_pb2.WindowStrategy
    fallback: bool
    fallback_reason: str
    recalled_notes: _containers.RepeatedScalarFieldContainer[str]
    etag: str
    added: _containers.RepeatedCompositeFieldContainer[AddedMessage]
    untrusted: bool
    def __init__(self, messages: _Optional[_Iterable[_Union[_resources_pb2.Message, _Mapping]]] = ..., token_count: _Optional[int] = ..., token_budget: _Optional[int] = ..., available_tokens: _Optional[int] = ..., dropped: _Optional[_Iterable[_Union[DroppedMessages, _Mapping]]] = ..., exact_count: bool = ..., strategy: _Optional[_Union[_resources_pb2.WindowStrategy, str]] = ..., fallback: bool = ..., fallback_reason: _Optional[str] = ..., recalled_notes: _Optional[_Iterable[str]] = ..., etag: _Optional[str] = ..., added: _Optional[_Iterable[_Union[AddedMessage, _Mapping]]] = ..., untrusted: bool = ...) -> None: ...

class ForkContextRequest(_message.Message):
    __slots__ = ("name", "source", "at_position", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    AT_POSITION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    at_position: int
    request_id: str
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., at_position: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class ForkContextResponse(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _resources_pb2.Context
    def __init__(self, context: _Optional[_Union[_resources_pb2.Context, _Mapping]] = ...) -> None: ...

class ListContextsRequest(_message.Message):
    __slots__ = ("parent", "labels", "page_size", "page_token")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PARENT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    labels: _containers.ScalarMap[str, str]
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListContextsResponse(_message.Message):
    __slots__ = ("contexts", "next_page_token")
    CONTEXTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    contexts: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Context]
    next_page_token: str
    def __init__(self, contexts: _Optional[_Iterable[_Union[_resources_pb2.Context, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteContextRequest(_message.Message):
    __slots__ = ("name", "etag", "allow_missing", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    allow_missing: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., allow_missing: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteContextResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SaveSnapshotRequest(_message.Message):
    __slots__ = ("snapshot", "after_sequence")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    snapshot: _resources_pb2.Snapshot
    after_sequence: int
    def __init__(self, snapshot: _Optional[_Union[_resources_pb2.Snapshot, _Mapping]] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class SaveSnapshotResponse(_message.Message):
    __slots__ = ("sequence", "epoch")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    epoch: int
    def __init__(self, sequence: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class LoadSnapshotRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class LoadSnapshotResponse(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: _resources_pb2.Snapshot
    def __init__(self, snapshot: _Optional[_Union[_resources_pb2.Snapshot, _Mapping]] = ...) -> None: ...

class ClaimSnapshotRequest(_message.Message):
    __slots__ = ("name", "owner", "expected_epoch")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    expected_epoch: int
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., expected_epoch: _Optional[int] = ...) -> None: ...

class ClaimSnapshotResponse(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: _resources_pb2.Snapshot
    def __init__(self, snapshot: _Optional[_Union[_resources_pb2.Snapshot, _Mapping]] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ("parent", "unfinished_only", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    unfinished_only: bool
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., unfinished_only: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSnapshotsResponse(_message.Message):
    __slots__ = ("snapshots", "next_page_token")
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Snapshot]
    next_page_token: str
    def __init__(self, snapshots: _Optional[_Iterable[_Union[_resources_pb2.Snapshot, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteSnapshotRequest(_message.Message):
    __slots__ = ("name", "epoch", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    epoch: int
    request_id: str
    def __init__(self, name: _Optional[str] = ..., epoch: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteSnapshotResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

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
