from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuotaLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUOTA_LEVEL_UNSPECIFIED: _ClassVar[QuotaLevel]
    QUOTA_LEVEL_AGENT: _ClassVar[QuotaLevel]
    QUOTA_LEVEL_TREE: _ClassVar[QuotaLevel]
    QUOTA_LEVEL_TENANT: _ClassVar[QuotaLevel]
QUOTA_LEVEL_UNSPECIFIED: QuotaLevel
QUOTA_LEVEL_AGENT: QuotaLevel
QUOTA_LEVEL_TREE: QuotaLevel
QUOTA_LEVEL_TENANT: QuotaLevel

class QuotaUsage(_message.Message):
    __slots__ = ("quota", "level", "used", "limit")
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    quota: str
    level: QuotaLevel
    used: int
    limit: int
    def __init__(self, quota: _Optional[str] = ..., level: _Optional[_Union[QuotaLevel, str]] = ..., used: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...
