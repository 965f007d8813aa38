from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.tool.v1 import resources_pb2 as _resources_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class McpToolChange(_message.Message):
    __slots__ = ("tool", "accepted_json", "offered_json", "untrusted")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_JSON_FIELD_NUMBER: _ClassVar[int]
    OFFERED_JSON_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    tool: str
    accepted_json: str
    offered_json: str
    untrusted: bool
    def __init__(self, tool: _Optional[str] = ..., accepted_json: _Optional[str] = ..., offered_json: _Optional[str] = ..., untrusted: bool = ...) -> None: ...

class ReviewMcpServerRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReviewMcpServerResponse(_message.Message):
    __slots__ = ("server", "changes", "server_changed", "offered_sha256")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    SERVER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    OFFERED_SHA256_FIELD_NUMBER: _ClassVar[int]
    server: _resources_pb2.McpServer
    changes: _containers.RepeatedCompositeFieldContainer[McpToolChange]
    server_changed: bool
    offered_sha256: str
    def __init__(self, server: _Optional[_Union[_resources_pb2.McpServer, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[McpToolChange, _Mapping]]] = ..., server_changed: bool = ..., offered_sha256: _Optional[str] = ...) -> None: ...

class AcceptMcpServerRequest(_message.Message):
    __slots__ = ("name", "offered_sha256", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFERED_SHA256_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    offered_sha256: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., offered_sha256: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AcceptMcpServerResponse(_message.Message):
    __slots__ = ("server",)
    SERVER_FIELD_NUMBER: _ClassVar[int]
    server: _resources_pb2.McpServer
    def __init__(self, server: _Optional[_Union[_resources_pb2.McpServer, _Mapping]] = ...) -> None: ...
