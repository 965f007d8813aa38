from aios.api.common.v1 import options_pb2 as _options_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_UNSPECIFIED: _ClassVar[Level]
    LEVEL_NONE: _ClassVar[Level]
    LEVEL_SINGLE: _ClassVar[Level]
    LEVEL_LANDLOCK: _ClassVar[Level]
    LEVEL_NAMESPACES: _ClassVar[Level]

class EndKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_KIND_UNSPECIFIED: _ClassVar[EndKind]
    END_KIND_EXITED: _ClassVar[EndKind]
    END_KIND_SIGNALLED: _ClassVar[EndKind]
    END_KIND_TIMEOUT: _ClassVar[EndKind]
    END_KIND_MEMORY: _ClassVar[EndKind]
    END_KIND_DISK: _ClassVar[EndKind]
    END_KIND_OUTPUT: _ClassVar[EndKind]
    END_KIND_STOPPED: _ClassVar[EndKind]
    END_KIND_PROCESSES: _ClassVar[EndKind]

class Part(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_UNSPECIFIED: _ClassVar[Part]
    PART_STDIN: _ClassVar[Part]
    PART_PYTHON: _ClassVar[Part]
    PART_FILE: _ClassVar[Part]
    PART_STDOUT: _ClassVar[Part]
    PART_STDERR: _ClassVar[Part]
    PART_ANSWER: _ClassVar[Part]
LEVEL_UNSPECIFIED: Level
LEVEL_NONE: Level
LEVEL_SINGLE: Level
LEVEL_LANDLOCK: Level
LEVEL_NAMESPACES: Level
END_KIND_UNSPECIFIED: EndKind
END_KIND_EXITED: EndKind
END_KIND_SIGNALLED: EndKind
END_KIND_TIMEOUT: EndKind
END_KIND_MEMORY: EndKind
END_KIND_DISK: EndKind
END_KIND_OUTPUT: EndKind
END_KIND_STOPPED: EndKind
END_KIND_PROCESSES: EndKind
PART_UNSPECIFIED: Part
PART_STDIN: Part
PART_PYTHON: Part
PART_FILE: Part
PART_STDOUT: Part
PART_STDERR: Part
PART_ANSWER: Part

class Limits(_message.Message):
    __slots__ = ("memory_bytes", "cpu_seconds", "wall_seconds", "scratch_bytes", "scratch_entries", "processes", "output_bytes", "kept_bytes", "answer_bytes", "network", "address_bytes", "open_files")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCRATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    SCRATCH_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEPT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_BYTES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    cpu_seconds: float
    wall_seconds: float
    scratch_bytes: int
    scratch_entries: int
    processes: int
    output_bytes: int
    kept_bytes: int
    answer_bytes: int
    network: bool
    address_bytes: int
    open_files: int
    def __init__(self, memory_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ..., wall_seconds: _Optional[float] = ..., scratch_bytes: _Optional[int] = ..., scratch_entries: _Optional[int] = ..., processes: _Optional[int] = ..., output_bytes: _Optional[int] = ..., kept_bytes: _Optional[int] = ..., answer_bytes: _Optional[int] = ..., network: bool = ..., address_bytes: _Optional[int] = ..., open_files: _Optional[int] = ...) -> None: ...

class Mount(_message.Message):
    __slots__ = ("inside", "outside")
    INSIDE_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    inside: str
    outside: str
    def __init__(self, inside: _Optional[str] = ..., outside: _Optional[str] = ...) -> None: ...

class Begin(_message.Message):
    __slots__ = ("argv", "environment", "limits", "want_files", "mounts", "talk")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    WANT_FILES_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    TALK_FIELD_NUMBER: _ClassVar[int]
    argv: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.ScalarMap[str, str]
    limits: Limits
    want_files: bool
    mounts: _containers.RepeatedCompositeFieldContainer[Mount]
    talk: bool
    def __init__(self, argv: _Optional[_Iterable[str]] = ..., environment: _Optional[_Mapping[str, str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., want_files: bool = ..., mounts: _Optional[_Iterable[_Union[Mount, _Mapping]]] = ..., talk: bool = ...) -> None: ...

class Piece(_message.Message):
    __slots__ = ("part", "path", "data")
    PART_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    part: Part
    path: bytes
    data: bytes
    def __init__(self, part: _Optional[_Union[Part, str]] = ..., path: _Optional[bytes] = ..., data: _Optional[bytes] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Write(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Taken(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Alive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("begin", "piece", "start", "write", "taken", "stop", "alive")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    begin: Begin
    piece: Piece
    start: Start
    write: Write
    taken: Taken
    stop: Stop
    alive: Alive
    def __init__(self, begin: _Optional[_Union[Begin, _Mapping]] = ..., piece: _Optional[_Union[Piece, _Mapping]] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., write: _Optional[_Union[Write, _Mapping]] = ..., taken: _Optional[_Union[Taken, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ..., alive: _Optional[_Union[Alive, _Mapping]] = ...) -> None: ...

class Admitted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Started(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Heard(_message.Message):
    __slots__ = ("part", "data")
    PART_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    part: Part
    data: bytes
    def __init__(self, part: _Optional[_Union[Part, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ("how", "code", "truncated", "removed", "memory_bytes", "cpu_seconds")
    HOW_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    how: EndKind
    code: int
    truncated: bool
    removed: _containers.RepeatedScalarFieldContainer[bytes]
    memory_bytes: int
    cpu_seconds: float
    def __init__(self, how: _Optional[_Union[EndKind, str]] = ..., code: _Optional[int] = ..., truncated: bool = ..., removed: _Optional[_Iterable[bytes]] = ..., memory_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ...) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("admitted", "started", "heard", "output", "taken", "piece", "end")
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    admitted: Admitted
    started: Started
    heard: Heard
    output: Output
    taken: Taken
    piece: Piece
    end: End
    def __init__(self, admitted: _Optional[_Union[Admitted, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., heard: _Optional[_Union[Heard, _Mapping]] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., taken: _Optional[_Union[Taken, _Mapping]] = ..., piece: _Optional[_Union[Piece, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ...) -> None: ...

class GetSandboxRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSandboxResponse(_message.Message):
    __slots__ = ("level", "problem", "running", "waiting")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    level: Level
    problem: str
    running: int
    waiting: int
    def __init__(self, level: _Optional[_Union[Level, str]] = ..., problem: _Optional[str] = ..., running: _Optional[int] = ..., waiting: _Optional[int] = ...) -> None: ...
