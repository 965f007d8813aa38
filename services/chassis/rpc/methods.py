"""What the kernel knows about each method, read once from the `syscall` options of the descriptors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor import ServiceDescriptor as Service
from google.protobuf.message import Message

from aios.api.common.v1 import options_pb2
from buf.validate import validate_pb2
from services.chassis.auth.processes import PROCESSES
from services.chassis.rpc.field_count import Inner, inner

ENDLESS_SECONDS: Final = 3600.0
"""A stream whose default deadline is this long or longer is a watch: it is ended when the process drains."""

# The stubs of extensions are generated without their types.
_SYSCALL: Final[Any] = options_pb2.syscall
_FIELD_RULES: Final[Any] = validate_pb2.field
_ONEOF_RULES: Final[Any] = validate_pb2.oneof
_MESSAGE_RULES: Final[Any] = validate_pb2.message

_CAP_FACTOR: Final = 10
_LEAST_CAP_SECONDS: Final = 60.0

_BYTES_PER_FIELD: Final = 32
"""How long fields are on average, at least, in the largest request that a method takes."""
_LEAST_FIELD_CAP: Final = 4096


class Lane(Enum):
    """How a syscall is admitted. Values are metric labels."""

    INFERENCE = "inference"
    TOOL = "tool"
    DATA = "data"
    CONTROL = "control"


class Effect(Enum):
    """What a syscall may change."""

    READ = "read"
    WRITE = "write"
    EXTERNAL = "external"


class Audience(Enum):
    """Who may call a method."""

    AGENTS = "agents"  # agents and administrators; the permission decides
    KERNEL = "kernel"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Method:
    """The kernel's treatment of one method."""

    path: str
    """As on the wire: `/aios.api.memory.v1.MemoryService/PutNote`."""
    label: str
    """Metric label: the path without the first slash."""
    lane: Lane
    permission: str
    effect: Effect
    audience: Audience
    default_deadline: float
    """Seconds."""
    deadline_cap: float
    """Longest deadline a caller gets. Unit: seconds."""
    max_request_bytes: int
    resource: str
    """Path of the request field that names the resource; empty means the caller itself."""
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    creates: tuple[str, ...]
    """The quotas that a successful call adds to."""
    content: bool
    """Whether its answers are content of the resource's owner."""
    approvable: bool
    """Whether it waits for a person's approval by itself."""
    has_rules: bool
    """Whether the request has any buf.validate rule."""
    resource_of: Callable[[Any], str]
    """Reads the resource name from a request."""
    services: frozenset[str] = frozenset()
    """Processes of the kernel that may call with their own credential."""
    delegates: frozenset[str] = frozenset()
    """Processes beside the gateway that may call on behalf of an agent."""
    inner: Inner = field(default_factory=dict, compare=False)
    """Where the request holds messages."""

    @property
    def max_fields(self) -> int:
        """Most fields of a request, those of all messages within it counted."""
        return max(_LEAST_FIELD_CAP, self.max_request_bytes // _BYTES_PER_FIELD)

    @property
    def endless(self) -> bool:
        """Whether the method is a watch that runs until the caller leaves."""
        return self.server_streaming and self.default_deadline >= ENDLESS_SECONDS

    @property
    def followed(self) -> bool:
        """Whether a call may run for so long that it ends with its credential: streams, scheduled work."""
        return self.server_streaming or self.lane in (Lane.INFERENCE, Lane.TOOL)


class BadMethod(ValueError):
    """A method's syscall option is missing or contradicts its request."""


def table(*descriptors: FileDescriptor | Service) -> Mapping[str, Method]:
    """Return every method of the given files and services by its path.

    Raises BadMethod when a method has no valid syscall option.
    """
    return {
        method.path: method for service in _services(descriptors) for method in map(_method, service.methods)
    }


def service_names(*descriptors: FileDescriptor | Service) -> list[str]:
    """Return the full names of the services in the given descriptors."""
    return [service.full_name for service in _services(descriptors)]


def _services(descriptors: Iterable[FileDescriptor | Service]) -> list[Service]:
    found: list[Service] = []
    for descriptor in descriptors:
        if isinstance(descriptor, FileDescriptor):
            found += descriptor.services_by_name.values()
        else:
            found.append(descriptor)
    return found


def _method(descriptor: MethodDescriptor) -> Method:
    name = descriptor.full_name
    options = descriptor.GetOptions()
    if not options.HasExtension(_SYSCALL):
        raise BadMethod(f"{name}: no option (aios.api.common.v1.syscall)")
    syscall = options.Extensions[_SYSCALL]
    problems = _problems(descriptor, syscall)
    if problems:
        raise BadMethod(f"{name}: " + "; ".join(problems))
    path = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
    default = syscall.default_deadline.seconds + syscall.default_deadline.nanos / 1e9
    return Method(
        path=path,
        label=path[1:],
        lane=_LANES[syscall.lane],
        permission=syscall.permission,
        effect=_EFFECTS[syscall.effect],
        audience=_AUDIENCES[syscall.audience],
        default_deadline=default,
        deadline_cap=max(_CAP_FACTOR * default, _LEAST_CAP_SECONDS),
        max_request_bytes=syscall.max_request_bytes,
        resource=syscall.resource,
        request=message_factory.GetMessageClass(descriptor.input_type),
        response=message_factory.GetMessageClass(descriptor.output_type),
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        creates=tuple(syscall.creates),
        content=syscall.content,
        approvable=syscall.approvable,
        has_rules=_has_rules(descriptor.input_type, set()),
        resource_of=_getter(syscall.resource),
        services=frozenset(syscall.services),
        delegates=frozenset(syscall.delegates),
        inner=inner(descriptor.input_type),
    )


def _problems(descriptor: MethodDescriptor, syscall: options_pb2.Syscall) -> list[str]:
    problems: list[str] = []
    if syscall.lane not in _LANES:
        problems.append("no lane")
    if syscall.effect not in _EFFECTS:
        problems.append("no effect")
    if syscall.audience not in _AUDIENCES:
        problems.append("unknown audience")
    if not syscall.permission and syscall.audience != options_pb2.AUDIENCE_PUBLIC:
        problems.append("no permission")
    problems += _process_problems(syscall)
    if not syscall.default_deadline.ToNanoseconds():
        problems.append("no default_deadline")
    if not 0 < syscall.max_request_bytes <= 4 * 1024 * 1024:
        problems.append("max_request_bytes must be 1 to 4194304")
    if syscall.resource and descriptor.client_streaming:
        problems.append("a client stream cannot name a resource")
    if syscall.resource and not _is_string_field(descriptor.input_type, syscall.resource):
        problems.append(f"resource {syscall.resource!r} is no string field of the request")
    return problems


def _process_problems(syscall: options_pb2.Syscall) -> list[str]:
    problems: list[str] = []
    if syscall.audience == options_pb2.AUDIENCE_KERNEL and not syscall.services:
        problems.append("a method of the kernel's own names no services")
    if syscall.audience != options_pb2.AUDIENCE_UNSPECIFIED and syscall.delegates:
        problems.append("only a method of agents has delegates")
    unknown = {*syscall.services, *syscall.delegates} - PROCESSES
    if unknown:
        problems.append(f"no such processes: {', '.join(sorted(unknown))}")
    return problems


def _is_string_field(message: Descriptor, path: str) -> bool:
    *parents, last = path.split(".")
    for name in parents:
        field = message.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            return False
        message = field.message_type
    field = message.fields_by_name.get(last)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def _getter(path: str) -> Callable[[Any], str]:
    if not path:
        return lambda _request: ""
    parts = path.split(".")

    def read(request: Any) -> str:
        value = request
        for part in parts:
            value = getattr(value, part)
        return str(value)

    return read


def _has_rules(message: Descriptor, seen: set[str]) -> bool:
    if message.full_name in seen:
        return False
    seen.add(message.full_name)
    return (
        message.GetOptions().HasExtension(_MESSAGE_RULES)
        or any(oneof.GetOptions().HasExtension(_ONEOF_RULES) for oneof in message.oneofs)
        or any(
            field.GetOptions().HasExtension(_FIELD_RULES)
            or (field.message_type is not None and _has_rules(field.message_type, seen))
            for field in message.fields
        )
    )


_LANES: Final = {
    options_pb2.LANE_INFERENCE: Lane.INFERENCE,
    options_pb2.LANE_TOOL: Lane.TOOL,
    options_pb2.LANE_DATA: Lane.DATA,
    options_pb2.LANE_CONTROL: Lane.CONTROL,
}
_EFFECTS: Final = {
    options_pb2.EFFECT_READ: Effect.READ,
    options_pb2.EFFECT_WRITE: Effect.WRITE,
    options_pb2.EFFECT_EXTERNAL: Effect.EXTERNAL,
}
_AUDIENCES: Final = {
    options_pb2.AUDIENCE_UNSPECIFIED: Audience.AGENTS,
    options_pb2.AUDIENCE_KERNEL: Audience.KERNEL,
    options_pb2.AUDIENCE_PUBLIC: Audience.PUBLIC,
}
