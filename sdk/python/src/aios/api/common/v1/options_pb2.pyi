from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_INFERENCE: _ClassVar[Lane]
    LANE_TOOL: _ClassVar[Lane]
    LANE_DATA: _ClassVar[Lane]
    LANE_CONTROL: _ClassVar[Lane]

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_READ: _ClassVar[Effect]
    EFFECT_WRITE: _ClassVar[Effect]
    EFFECT_EXTERNAL: _ClassVar[Effect]

class Audience(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIENCE_UNSPECIFIED: _ClassVar[Audience]
    AUDIENCE_KERNEL: _ClassVar[Audience]
    AUDIENCE_PUBLIC: _ClassVar[Audience]
LANE_UNSPECIFIED: Lane
LANE_INFERENCE: Lane
LANE_TOOL: Lane
LANE_DATA: Lane
LANE_CONTROL: Lane
EFFECT_UNSPECIFIED: Effect
EFFECT_READ: Effect
EFFECT_WRITE: Effect
EFFECT_EXTERNAL: Effect
AUDIENCE_UNSPECIFIED: Audience
AUDIENCE_KERNEL: Audience
AUDIENCE_PUBLIC: Audience
MARKS_READER_FIELD_NUMBER: _ClassVar[int]
marks_reader: _descriptor.FieldDescriptor
SYSCALL_FIELD_NUMBER: _ClassVar[int]
syscall: _descriptor.FieldDescriptor

class Syscall(_message.Message):
    __slots__ = ("lane", "permission", "effect", "default_deadline", "max_request_bytes", "resource", "audience", "creates", "content", "approvable", "services", "delegates")
    LANE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    CREATES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    APPROVABLE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    lane: Lane
    permission: str
    effect: Effect
    default_deadline: _duration_pb2.Duration
    max_request_bytes: int
    resource: str
    audience: Audience
    creates: _containers.RepeatedScalarFieldContainer[str]
    content: bool
    approvable: bool
    services: _containers.RepeatedScalarFieldContainer[str]
    delegates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lane: _Optional[_Union[Lane, str]] = ..., permission: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., default_deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_request_bytes: _Optional[int] = ..., resource: _Optional[str] = ..., audience: _Optional[_Union[Audience, str]] = ..., creates: _Optional[_Iterable[str]] = ..., content: bool = ..., approvable: bool = ..., services: _Optional[_Iterable[str]] = ..., delegates: _Optional[_Iterable[str]] = ...) -> None: ...
