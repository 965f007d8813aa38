from aios.api.common.v1 import options_pb2 as _options_pb2
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

class ToolEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOOL_EFFECT_UNSPECIFIED: _ClassVar[ToolEffect]
    TOOL_EFFECT_PURE: _ClassVar[ToolEffect]
    TOOL_EFFECT_IDEMPOTENT: _ClassVar[ToolEffect]
    TOOL_EFFECT_REVERSIBLE: _ClassVar[ToolEffect]
    TOOL_EFFECT_IRREVERSIBLE: _ClassVar[ToolEffect]

class HttpMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HTTP_METHOD_UNSPECIFIED: _ClassVar[HttpMethod]
    HTTP_METHOD_GET: _ClassVar[HttpMethod]
    HTTP_METHOD_POST: _ClassVar[HttpMethod]
    HTTP_METHOD_PUT: _ClassVar[HttpMethod]
    HTTP_METHOD_PATCH: _ClassVar[HttpMethod]
    HTTP_METHOD_DELETE: _ClassVar[HttpMethod]

class HttpPlace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HTTP_PLACE_UNSPECIFIED: _ClassVar[HttpPlace]
    HTTP_PLACE_PATH: _ClassVar[HttpPlace]
    HTTP_PLACE_QUERY: _ClassVar[HttpPlace]
    HTTP_PLACE_HEADER: _ClassVar[HttpPlace]
    HTTP_PLACE_COOKIE: _ClassVar[HttpPlace]
    HTTP_PLACE_BODY: _ClassVar[HttpPlace]

class CallState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALL_STATE_UNSPECIFIED: _ClassVar[CallState]
    CALL_STATE_QUEUED: _ClassVar[CallState]
    CALL_STATE_WAITING_APPROVAL: _ClassVar[CallState]
    CALL_STATE_RUNNING: _ClassVar[CallState]
    CALL_STATE_SUCCEEDED: _ClassVar[CallState]
    CALL_STATE_FAILED: _ClassVar[CallState]
    CALL_STATE_CANCELLED: _ClassVar[CallState]
    CALL_STATE_UNKNOWN: _ClassVar[CallState]

class McpServerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MCP_SERVER_STATE_UNSPECIFIED: _ClassVar[McpServerState]
    MCP_SERVER_STATE_CONNECTING: _ClassVar[McpServerState]
    MCP_SERVER_STATE_READY: _ClassVar[McpServerState]
    MCP_SERVER_STATE_FAILED: _ClassVar[McpServerState]
    MCP_SERVER_STATE_CHANGED: _ClassVar[McpServerState]
TOOL_EFFECT_UNSPECIFIED: ToolEffect
TOOL_EFFECT_PURE: ToolEffect
TOOL_EFFECT_IDEMPOTENT: ToolEffect
TOOL_EFFECT_REVERSIBLE: ToolEffect
TOOL_EFFECT_IRREVERSIBLE: ToolEffect
HTTP_METHOD_UNSPECIFIED: HttpMethod
HTTP_METHOD_GET: HttpMethod
HTTP_METHOD_POST: HttpMethod
HTTP_METHOD_PUT: HttpMethod
HTTP_METHOD_PATCH: HttpMethod
HTTP_METHOD_DELETE: HttpMethod
HTTP_PLACE_UNSPECIFIED: HttpPlace
HTTP_PLACE_PATH: HttpPlace
HTTP_PLACE_QUERY: HttpPlace
HTTP_PLACE_HEADER: HttpPlace
HTTP_PLACE_COOKIE: HttpPlace
HTTP_PLACE_BODY: HttpPlace
CALL_STATE_UNSPECIFIED: CallState
CALL_STATE_QUEUED: CallState
CALL_STATE_WAITING_APPROVAL: CallState
CALL_STATE_RUNNING: CallState
CALL_STATE_SUCCEEDED: CallState
CALL_STATE_FAILED: CallState
CALL_STATE_CANCELLED: CallState
CALL_STATE_UNKNOWN: CallState
MCP_SERVER_STATE_UNSPECIFIED: McpServerState
MCP_SERVER_STATE_CONNECTING: McpServerState
MCP_SERVER_STATE_READY: McpServerState
MCP_SERVER_STATE_FAILED: McpServerState
MCP_SERVER_STATE_CHANGED: McpServerState

class BuiltinDriver(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: str
    def __init__(self, function: _Optional[str] = ...) -> None: ...

class PythonDriver(_message.Message):
    __slots__ = ("source", "function", "memory_bytes", "scratch_bytes", "cpu_time")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SCRATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_FIELD_NUMBER: _ClassVar[int]
    source: str
    function: str
    memory_bytes: int
    scratch_bytes: int
    cpu_time: _duration_pb2.Duration
    def __init__(self, source: _Optional[str] = ..., function: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., scratch_bytes: _Optional[int] = ..., cpu_time: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HttpArgument(_message.Message):
    __slots__ = ("argument", "place", "name", "joined")
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    argument: str
    place: HttpPlace
    name: str
    joined: bool
    def __init__(self, argument: _Optional[str] = ..., place: _Optional[_Union[HttpPlace, str]] = ..., name: _Optional[str] = ..., joined: bool = ...) -> None: ...

class HttpDriver(_message.Message):
    __slots__ = ("url", "method", "headers", "secret_headers", "max_response_bytes", "arguments", "document_sha256")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretHeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    URL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    SECRET_HEADERS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    url: str
    method: HttpMethod
    headers: _containers.ScalarMap[str, str]
    secret_headers: _containers.ScalarMap[str, str]
    max_response_bytes: int
    arguments: _containers.RepeatedCompositeFieldContainer[HttpArgument]
    document_sha256: str
    def __init__(self, url: _Optional[str] = ..., method: _Optional[_Union[HttpMethod, str]] = ..., headers: _Optional[_Mapping[str, str]] = ..., secret_headers: _Optional[_Mapping[str, str]] = ..., max_response_bytes: _Optional[int] = ..., arguments: _Optional[_Iterable[_Union[HttpArgument, _Mapping]]] = ..., document_sha256: _Optional[str] = ...) -> None: ...

class McpDriver(_message.Message):
    __slots__ = ("server", "tool", "pinned_sha256")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    PINNED_SHA256_FIELD_NUMBER: _ClassVar[int]
    server: str
    tool: str
    pinned_sha256: str
    def __init__(self, server: _Optional[str] = ..., tool: _Optional[str] = ..., pinned_sha256: _Optional[str] = ...) -> None: ...

class ProviderDriver(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: _duration_pb2.Duration
    def __init__(self, lease: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("name", "title", "description", "parameters_schema", "result_schema", "effect", "max_concurrency", "timeout", "builtin", "python", "http", "mcp", "provider", "locks", "labels", "requires_approval", "returns_untrusted", "owner", "create_time", "update_time", "etag", "available", "unavailable_reason", "parameters_schema_json", "result_schema_json", "vouched", "untrusted", "isolation")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    RESULT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    MCP_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    LOCKS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    RETURNS_UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    RESULT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    VOUCHED_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    description: str
    parameters_schema: _struct_pb2.Struct
    result_schema: _struct_pb2.Struct
    effect: ToolEffect
    max_concurrency: int
    timeout: _duration_pb2.Duration
    builtin: BuiltinDriver
    python: PythonDriver
    http: HttpDriver
    mcp: McpDriver
    provider: ProviderDriver
    locks: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    requires_approval: bool
    returns_untrusted: bool
    owner: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    available: bool
    unavailable_reason: str
    parameters_schema_json: str
    result_schema_json: str
    vouched: bool
    untrusted: bool
    isolation: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., parameters_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., result_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., effect: _Optional[_Union[ToolEffect, str]] = ..., max_concurrency: _Optional[int] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., builtin: _Optional[_Union[BuiltinDriver, _Mapping]] = ..., python: _Optional[_Union[PythonDriver, _Mapping]] = ..., http: _Optional[_Union[HttpDriver, _Mapping]] = ..., mcp: _Optional[_Union[McpDriver, _Mapping]] = ..., provider: _Optional[_Union[ProviderDriver, _Mapping]] = ..., locks: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., requires_approval: bool = ..., returns_untrusted: bool = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., available: bool = ..., unavailable_reason: _Optional[str] = ..., parameters_schema_json: _Optional[str] = ..., result_schema_json: _Optional[str] = ..., vouched: bool = ..., untrusted: bool = ..., isolation: _Optional[str] = ...) -> None: ...

class CallError(_message.Message):
    __slots__ = ("reason", "message", "details", "untrusted")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    details: _struct_pb2.Struct
    untrusted: bool
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., untrusted: bool = ...) -> None: ...

class Content(_message.Message):
    __slots__ = ("text", "data", "uri", "media_type")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    text: str
    data: bytes
    uri: str
    media_type: str
    def __init__(self, text: _Optional[str] = ..., data: _Optional[bytes] = ..., uri: _Optional[str] = ..., media_type: _Optional[str] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("value", "value_json", "content", "untrusted")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    value: _struct_pb2.Value
    value_json: str
    content: _containers.RepeatedCompositeFieldContainer[Content]
    untrusted: bool
    def __init__(self, value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., value_json: _Optional[str] = ..., content: _Optional[_Iterable[_Union[Content, _Mapping]]] = ..., untrusted: bool = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("name", "tool", "agent", "state", "arguments_sha256", "result", "error", "approval", "create_time", "start_time", "end_time", "attempt_count", "syscall_id", "provider", "arguments", "arguments_total_bytes", "arguments_cut")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SYSCALL_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_CUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    tool: str
    agent: str
    state: CallState
    arguments_sha256: str
    result: CallResult
    error: CallError
    approval: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    attempt_count: int
    syscall_id: str
    provider: str
    arguments: str
    arguments_total_bytes: int
    arguments_cut: bool
    def __init__(self, name: _Optional[str] = ..., tool: _Optional[str] = ..., agent: _Optional[str] = ..., state: _Optional[_Union[CallState, str]] = ..., arguments_sha256: _Optional[str] = ..., result: _Optional[_Union[CallResult, _Mapping]] = ..., error: _Optional[_Union[CallError, _Mapping]] = ..., approval: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., attempt_count: _Optional[int] = ..., syscall_id: _Optional[str] = ..., provider: _Optional[str] = ..., arguments: _Optional[str] = ..., arguments_total_bytes: _Optional[int] = ..., arguments_cut: bool = ...) -> None: ...

class McpStdio(_message.Message):
    __slots__ = ("command", "environment", "secret_environment", "allow_network")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretEnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SECRET_ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    ALLOW_NETWORK_FIELD_NUMBER: _ClassVar[int]
    command: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.ScalarMap[str, str]
    secret_environment: _containers.ScalarMap[str, str]
    allow_network: bool
    def __init__(self, command: _Optional[_Iterable[str]] = ..., environment: _Optional[_Mapping[str, str]] = ..., secret_environment: _Optional[_Mapping[str, str]] = ..., allow_network: bool = ...) -> None: ...

class McpOAuth(_message.Message):
    __slots__ = ("token_url", "client_id", "client_secret", "refresh_token", "scopes")
    TOKEN_URL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    token_url: str
    client_id: str
    client_secret: str
    refresh_token: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, token_url: _Optional[str] = ..., client_id: _Optional[str] = ..., client_secret: _Optional[str] = ..., refresh_token: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ...) -> None: ...

class McpHttp(_message.Message):
    __slots__ = ("url", "headers", "secret_headers", "oauth")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretHeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    SECRET_HEADERS_FIELD_NUMBER: _ClassVar[int]
    OAUTH_FIELD_NUMBER: _ClassVar[int]
    url: str
    headers: _containers.ScalarMap[str, str]
    secret_headers: _containers.ScalarMap[str, str]
    oauth: McpOAuth
    def __init__(self, url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., secret_headers: _Optional[_Mapping[str, str]] = ..., oauth: _Optional[_Union[McpOAuth, _Mapping]] = ...) -> None: ...

class McpServer(_message.Message):
    __slots__ = ("name", "stdio", "http", "allowed_tools", "default_effect", "trust_annotations", "timeout", "max_concurrency", "state", "problem", "tools", "protocol_version", "owner", "create_time", "etag", "changed_tools", "untrusted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STDIO_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_EFFECT_FIELD_NUMBER: _ClassVar[int]
    TRUST_ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CHANGED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    stdio: McpStdio
    http: McpHttp
    allowed_tools: _containers.RepeatedScalarFieldContainer[str]
    default_effect: ToolEffect
    trust_annotations: bool
    timeout: _duration_pb2.Duration
    max_concurrency: int
    state: McpServerState
    problem: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    protocol_version: str
    owner: str
    create_time: _timestamp_pb2.Timestamp
    etag: str
    changed_tools: _containers.RepeatedScalarFieldContainer[str]
    untrusted: bool
    def __init__(self, name: _Optional[str] = ..., stdio: _Optional[_Union[McpStdio, _Mapping]] = ..., http: _Optional[_Union[McpHttp, _Mapping]] = ..., allowed_tools: _Optional[_Iterable[str]] = ..., default_effect: _Optional[_Union[ToolEffect, str]] = ..., trust_annotations: bool = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_concurrency: _Optional[int] = ..., state: _Optional[_Union[McpServerState, str]] = ..., problem: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., protocol_version: _Optional[str] = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., changed_tools: _Optional[_Iterable[str]] = ..., untrusted: bool = ...) -> None: ...
