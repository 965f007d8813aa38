from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EgressPolicy(_message.Message):
    __slots__ = ("narrowed", "origins", "etag", "update_time", "allowed")
    NARROWED_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    narrowed: bool
    origins: _containers.RepeatedScalarFieldContainer[str]
    etag: str
    update_time: _timestamp_pb2.Timestamp
    allowed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, narrowed: bool = ..., origins: _Optional[_Iterable[str]] = ..., etag: _Optional[str] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., allowed: _Optional[_Iterable[str]] = ...) -> None: ...

class SetEgressPolicyRequest(_message.Message):
    __slots__ = ("policy", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: EgressPolicy
    request_id: str
    def __init__(self, policy: _Optional[_Union[EgressPolicy, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetEgressPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: EgressPolicy
    def __init__(self, policy: _Optional[_Union[EgressPolicy, _Mapping]] = ...) -> None: ...

class GetEgressPolicyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetEgressPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: EgressPolicy
    def __init__(self, policy: _Optional[_Union[EgressPolicy, _Mapping]] = ...) -> None: ...
