from aios.api.common.v1 import options_pb2 as _options_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyscallPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYSCALL_PHASE_UNSPECIFIED: _ClassVar[SyscallPhase]
    SYSCALL_PHASE_BEGUN: _ClassVar[SyscallPhase]
    SYSCALL_PHASE_ENDED: _ClassVar[SyscallPhase]
SYSCALL_PHASE_UNSPECIFIED: SyscallPhase
SYSCALL_PHASE_BEGUN: SyscallPhase
SYSCALL_PHASE_ENDED: SyscallPhase

class WatchSyscallsRequest(_message.Message):
    __slots__ = ("name", "descendants")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCENDANTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    descendants: bool
    def __init__(self, name: _Optional[str] = ..., descendants: bool = ...) -> None: ...

class WatchSyscallsResponse(_message.Message):
    __slots__ = ("event", "lost_count")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    LOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    event: SyscallEvent
    lost_count: int
    def __init__(self, event: _Optional[_Union[SyscallEvent, _Mapping]] = ..., lost_count: _Optional[int] = ...) -> None: ...

class SyscallEvent(_message.Message):
    __slots__ = ("syscall_id", "phase", "agent", "method", "resource", "begin_time", "duration", "code", "reason", "request_bytes")
    SYSCALL_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    syscall_id: str
    phase: SyscallPhase
    agent: str
    method: str
    resource: str
    begin_time: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    code: str
    reason: str
    request_bytes: int
    def __init__(self, syscall_id: _Optional[str] = ..., phase: _Optional[_Union[SyscallPhase, str]] = ..., agent: _Optional[str] = ..., method: _Optional[str] = ..., resource: _Optional[str] = ..., begin_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ..., request_bytes: _Optional[int] = ...) -> None: ...
