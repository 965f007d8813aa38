from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpenApiChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPEN_API_CHANGE_KIND_UNSPECIFIED: _ClassVar[OpenApiChangeKind]
    OPEN_API_CHANGE_KIND_ADDED: _ClassVar[OpenApiChangeKind]
    OPEN_API_CHANGE_KIND_CHANGED: _ClassVar[OpenApiChangeKind]
    OPEN_API_CHANGE_KIND_REMOVED: _ClassVar[OpenApiChangeKind]
    OPEN_API_CHANGE_KIND_UNCHANGED: _ClassVar[OpenApiChangeKind]
OPEN_API_CHANGE_KIND_UNSPECIFIED: OpenApiChangeKind
OPEN_API_CHANGE_KIND_ADDED: OpenApiChangeKind
OPEN_API_CHANGE_KIND_CHANGED: OpenApiChangeKind
OPEN_API_CHANGE_KIND_REMOVED: OpenApiChangeKind
OPEN_API_CHANGE_KIND_UNCHANGED: OpenApiChangeKind

class OpenApiFieldChange(_message.Message):
    __slots__ = ("name", "before", "after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    before: str
    after: str
    def __init__(self, name: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class OpenApiChange(_message.Message):
    __slots__ = ("tool", "kind", "fields")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    tool: str
    kind: OpenApiChangeKind
    fields: _containers.RepeatedCompositeFieldContainer[OpenApiFieldChange]
    def __init__(self, tool: _Optional[str] = ..., kind: _Optional[_Union[OpenApiChangeKind, str]] = ..., fields: _Optional[_Iterable[_Union[OpenApiFieldChange, _Mapping]]] = ...) -> None: ...

class OpenApiLeftOut(_message.Message):
    __slots__ = ("operation", "reason")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    operation: str
    reason: str
    def __init__(self, operation: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RegisterOpenApiRequest(_message.Message):
    __slots__ = ("name", "document", "base_url", "operations", "headers", "secret_headers", "vouched", "replaces_sha256", "dry_run", "timeout", "max_response_bytes", "request_id", "allow_breaking")
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
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    SECRET_HEADERS_FIELD_NUMBER: _ClassVar[int]
    VOUCHED_FIELD_NUMBER: _ClassVar[int]
    REPLACES_SHA256_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BREAKING_FIELD_NUMBER: _ClassVar[int]
    name: str
    document: bytes
    base_url: str
    operations: _containers.RepeatedScalarFieldContainer[str]
    headers: _containers.ScalarMap[str, str]
    secret_headers: _containers.ScalarMap[str, str]
    vouched: bool
    replaces_sha256: str
    dry_run: bool
    timeout: _duration_pb2.Duration
    max_response_bytes: int
    request_id: str
    allow_breaking: bool
    def __init__(self, name: _Optional[str] = ..., document: _Optional[bytes] = ..., base_url: _Optional[str] = ..., operations: _Optional[_Iterable[str]] = ..., headers: _Optional[_Mapping[str, str]] = ..., secret_headers: _Optional[_Mapping[str, str]] = ..., vouched: bool = ..., replaces_sha256: _Optional[str] = ..., dry_run: bool = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_response_bytes: _Optional[int] = ..., request_id: _Optional[str] = ..., allow_breaking: bool = ...) -> None: ...

class RegisterOpenApiResponse(_message.Message):
    __slots__ = ("document_sha256", "proposed_servers", "changes", "left_out")
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_SERVERS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    document_sha256: str
    proposed_servers: _containers.RepeatedScalarFieldContainer[str]
    changes: _containers.RepeatedCompositeFieldContainer[OpenApiChange]
    left_out: _containers.RepeatedCompositeFieldContainer[OpenApiLeftOut]
    def __init__(self, document_sha256: _Optional[str] = ..., proposed_servers: _Optional[_Iterable[str]] = ..., changes: _Optional[_Iterable[_Union[OpenApiChange, _Mapping]]] = ..., left_out: _Optional[_Iterable[_Union[OpenApiLeftOut, _Mapping]]] = ...) -> None: ...

class UnregisterOpenApiRequest(_message.Message):
    __slots__ = ("name", "allow_missing", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    allow_missing: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., allow_missing: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class UnregisterOpenApiResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
