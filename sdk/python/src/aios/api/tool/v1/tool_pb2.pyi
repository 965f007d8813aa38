from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.common.v1 import quotas_pb2 as _quotas_pb2
from aios.api.tool.v1 import egress_pb2 as _egress_pb2
from aios.api.tool.v1 import making_pb2 as _making_pb2
from aios.api.tool.v1 import openapi_pb2 as _openapi_pb2
from aios.api.tool.v1 import mcp_pb2 as _mcp_pb2
from aios.api.tool.v1 import resources_pb2 as _resources_pb2
from aios.api.tool.v1 import secrets_pb2 as _secrets_pb2
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

class ToolView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOOL_VIEW_UNSPECIFIED: _ClassVar[ToolView]
    TOOL_VIEW_BASIC: _ClassVar[ToolView]
    TOOL_VIEW_FULL: _ClassVar[ToolView]
TOOL_VIEW_UNSPECIFIED: ToolView
TOOL_VIEW_BASIC: ToolView
TOOL_VIEW_FULL: ToolView

class RegisterToolRequest(_message.Message):
    __slots__ = ("tool", "request_id", "allow_breaking")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BREAKING_FIELD_NUMBER: _ClassVar[int]
    tool: _resources_pb2.Tool
    request_id: str
    allow_breaking: bool
    def __init__(self, tool: _Optional[_Union[_resources_pb2.Tool, _Mapping]] = ..., request_id: _Optional[str] = ..., allow_breaking: bool = ...) -> None: ...

class RegisterToolResponse(_message.Message):
    __slots__ = ("tool",)
    TOOL_FIELD_NUMBER: _ClassVar[int]
    tool: _resources_pb2.Tool
    def __init__(self, tool: _Optional[_Union[_resources_pb2.Tool, _Mapping]] = ...) -> None: ...

class UnregisterToolRequest(_message.Message):
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

class UnregisterToolResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListToolsRequest(_message.Message):
    __slots__ = ("names", "labels", "query", "available_only", "view", "page_size", "page_token", "search")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_ONLY_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    query: str
    available_only: bool
    view: ToolView
    page_size: int
    page_token: str
    search: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., query: _Optional[str] = ..., available_only: bool = ..., view: _Optional[_Union[ToolView, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., search: _Optional[str] = ...) -> None: ...

class ListToolsResponse(_message.Message):
    __slots__ = ("tools", "next_page_token")
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Tool]
    next_page_token: str
    def __init__(self, tools: _Optional[_Iterable[_Union[_resources_pb2.Tool, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetToolRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetToolResponse(_message.Message):
    __slots__ = ("tool",)
    TOOL_FIELD_NUMBER: _ClassVar[int]
    tool: _resources_pb2.Tool
    def __init__(self, tool: _Optional[_Union[_resources_pb2.Tool, _Mapping]] = ...) -> None: ...

class CallToolRequest(_message.Message):
    __slots__ = ("tool", "arguments", "arguments_json", "timeout", "max_wait", "wait_for_approval", "detach", "approval", "untrusted", "request_id", "tool_call_id")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    tool: str
    arguments: _struct_pb2.Struct
    arguments_json: str
    timeout: _duration_pb2.Duration
    max_wait: _duration_pb2.Duration
    wait_for_approval: bool
    detach: bool
    approval: str
    untrusted: bool
    request_id: str
    tool_call_id: str
    def __init__(self, tool: _Optional[str] = ..., arguments: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., arguments_json: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., wait_for_approval: bool = ..., detach: bool = ..., approval: _Optional[str] = ..., untrusted: bool = ..., request_id: _Optional[str] = ..., tool_call_id: _Optional[str] = ...) -> None: ...

class CallAccepted(_message.Message):
    __slots__ = ("call", "joined")
    CALL_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    call: str
    joined: bool
    def __init__(self, call: _Optional[str] = ..., joined: bool = ...) -> None: ...

class CallWaitsForApproval(_message.Message):
    __slots__ = ("approval", "expire_time")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    approval: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, approval: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CallStarted(_message.Message):
    __slots__ = ("start_time", "wait", "attempt")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    wait: _duration_pb2.Duration
    attempt: int
    def __init__(self, start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class CallProgress(_message.Message):
    __slots__ = ("progress", "total", "message", "partial_output", "untrusted")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    progress: float
    total: float
    message: str
    partial_output: str
    untrusted: bool
    def __init__(self, progress: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ..., partial_output: _Optional[str] = ..., untrusted: bool = ...) -> None: ...

class CallToolResponse(_message.Message):
    __slots__ = ("sequence", "accepted", "waits_for_approval", "started", "progress", "result", "tool_call_id")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    accepted: CallAccepted
    waits_for_approval: CallWaitsForApproval
    started: CallStarted
    progress: CallProgress
    result: _resources_pb2.Call
    tool_call_id: str
    def __init__(self, sequence: _Optional[int] = ..., accepted: _Optional[_Union[CallAccepted, _Mapping]] = ..., waits_for_approval: _Optional[_Union[CallWaitsForApproval, _Mapping]] = ..., started: _Optional[_Union[CallStarted, _Mapping]] = ..., progress: _Optional[_Union[CallProgress, _Mapping]] = ..., result: _Optional[_Union[_resources_pb2.Call, _Mapping]] = ..., tool_call_id: _Optional[str] = ...) -> None: ...

class CancelCallRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CancelCallResponse(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: _resources_pb2.Call
    def __init__(self, call: _Optional[_Union[_resources_pb2.Call, _Mapping]] = ...) -> None: ...

class GetCallRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetCallResponse(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: _resources_pb2.Call
    def __init__(self, call: _Optional[_Union[_resources_pb2.Call, _Mapping]] = ...) -> None: ...

class ListCallsRequest(_message.Message):
    __slots__ = ("parent", "tool", "states", "created_after", "page_size", "page_token", "created_before")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    tool: str
    states: _containers.RepeatedScalarFieldContainer[_resources_pb2.CallState]
    created_after: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, parent: _Optional[str] = ..., tool: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_resources_pb2.CallState, str]]] = ..., created_after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., created_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListCallsResponse(_message.Message):
    __slots__ = ("calls", "next_page_token")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Call]
    next_page_token: str
    def __init__(self, calls: _Optional[_Iterable[_Union[_resources_pb2.Call, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AddMcpServerRequest(_message.Message):
    __slots__ = ("server", "request_id")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    server: _resources_pb2.McpServer
    request_id: str
    def __init__(self, server: _Optional[_Union[_resources_pb2.McpServer, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddMcpServerResponse(_message.Message):
    __slots__ = ("server", "tools")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    server: _resources_pb2.McpServer
    tools: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Tool]
    def __init__(self, server: _Optional[_Union[_resources_pb2.McpServer, _Mapping]] = ..., tools: _Optional[_Iterable[_Union[_resources_pb2.Tool, _Mapping]]] = ...) -> None: ...

class RemoveMcpServerRequest(_message.Message):
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

class RemoveMcpServerResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMcpServersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMcpServersResponse(_message.Message):
    __slots__ = ("servers", "next_page_token")
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    servers: _containers.RepeatedCompositeFieldContainer[_resources_pb2.McpServer]
    next_page_token: str
    def __init__(self, servers: _Optional[_Iterable[_Union[_resources_pb2.McpServer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TakeCallsRequest(_message.Message):
    __slots__ = ("parent", "tools", "capacity", "instance", "process_id", "held")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    parent: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    capacity: int
    instance: str
    process_id: str
    held: _containers.RepeatedCompositeFieldContainer[HeldCall]
    def __init__(self, parent: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., capacity: _Optional[int] = ..., instance: _Optional[str] = ..., process_id: _Optional[str] = ..., held: _Optional[_Iterable[_Union[HeldCall, _Mapping]]] = ...) -> None: ...

class HeldCall(_message.Message):
    __slots__ = ("call", "lease_id")
    CALL_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    call: str
    lease_id: str
    def __init__(self, call: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class TakenCall(_message.Message):
    __slots__ = ("call", "lease_id", "tool", "agent", "arguments_json", "deadline", "lease_expire_time", "attempt", "syscall_id", "time_left", "lease_left", "untrusted")
    CALL_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SYSCALL_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_LEFT_FIELD_NUMBER: _ClassVar[int]
    LEASE_LEFT_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    call: str
    lease_id: str
    tool: str
    agent: str
    arguments_json: str
    deadline: _timestamp_pb2.Timestamp
    lease_expire_time: _timestamp_pb2.Timestamp
    attempt: int
    syscall_id: str
    time_left: _duration_pb2.Duration
    lease_left: _duration_pb2.Duration
    untrusted: bool
    def __init__(self, call: _Optional[str] = ..., lease_id: _Optional[str] = ..., tool: _Optional[str] = ..., agent: _Optional[str] = ..., arguments_json: _Optional[str] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., lease_expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., syscall_id: _Optional[str] = ..., time_left: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., lease_left: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., untrusted: bool = ...) -> None: ...

class RevokedCall(_message.Message):
    __slots__ = ("call", "lease_id", "reason")
    CALL_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call: str
    lease_id: str
    reason: str
    def __init__(self, call: _Optional[str] = ..., lease_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TakeCallsHeartbeat(_message.Message):
    __slots__ = ("held_count", "lease_ids")
    HELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    held_count: int
    lease_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, held_count: _Optional[int] = ..., lease_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class TakeCallsResponse(_message.Message):
    __slots__ = ("call", "revoked", "heartbeat")
    CALL_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    call: TakenCall
    revoked: RevokedCall
    heartbeat: TakeCallsHeartbeat
    def __init__(self, call: _Optional[_Union[TakenCall, _Mapping]] = ..., revoked: _Optional[_Union[RevokedCall, _Mapping]] = ..., heartbeat: _Optional[_Union[TakeCallsHeartbeat, _Mapping]] = ...) -> None: ...

class ReportCallProgressRequest(_message.Message):
    __slots__ = ("call", "lease_id", "progress")
    CALL_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    call: str
    lease_id: str
    progress: CallProgress
    def __init__(self, call: _Optional[str] = ..., lease_id: _Optional[str] = ..., progress: _Optional[_Union[CallProgress, _Mapping]] = ...) -> None: ...

class ReportCallProgressResponse(_message.Message):
    __slots__ = ("lease_expire_time", "lease_left")
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASE_LEFT_FIELD_NUMBER: _ClassVar[int]
    lease_expire_time: _timestamp_pb2.Timestamp
    lease_left: _duration_pb2.Duration
    def __init__(self, lease_expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., lease_left: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CompleteCallRequest(_message.Message):
    __slots__ = ("call", "lease_id", "result", "error", "request_id")
    CALL_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    call: str
    lease_id: str
    result: _resources_pb2.CallResult
    error: _resources_pb2.CallError
    request_id: str
    def __init__(self, call: _Optional[str] = ..., lease_id: _Optional[str] = ..., result: _Optional[_Union[_resources_pb2.CallResult, _Mapping]] = ..., error: _Optional[_Union[_resources_pb2.CallError, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CompleteCallResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: _resources_pb2.CallState
    def __init__(self, state: _Optional[_Union[_resources_pb2.CallState, str]] = ...) -> None: ...

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
