"""What the protos say about an RPC: its path, whether it may be repeated, how long it may take."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from aios.api.common.v1 import options_pb2

ENDLESS_SECONDS = 3600.0
"""A stream whose default deadline is this long or longer has no end of its own."""

_SAFE_LEVELS = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC."""

    path: str
    """Such as `/aios.api.agent.v1.AgentService/GetAgent`."""

    name: str
    """Such as `GetAgent`."""

    repeatable: bool
    """Whether a repeated call has the effect of one."""

    takes_request_id: bool
    """Whether the request has a `request_id`."""

    default_timeout: float
    """Time the call may take when nobody says otherwise. Unit: seconds."""

    endless: bool = False
    """Whether it is a stream that runs until the caller leaves; its deadline bounds one attempt."""


def method_of(request: Message) -> Method:
    """Return the RPC that takes `request`: each request type belongs to exactly one."""
    return _method(request.DESCRIPTOR)


@cache
def _method(request: Descriptor) -> Method:
    for file in (request.file, _home(request)):
        for service in file.services_by_name.values():
            for method in service.methods:
                if method.input_type is request:
                    return _describe(method)
    raise LookupError(f"no RPC takes {request.full_name}")


def _home(request: Descriptor) -> FileDescriptor:
    """Return the file of the area's service, where the request lies in a file beside it."""
    package = str(request.file.package)
    module = import_module(f"{package}.{package.split('.')[-2]}_pb2")
    home: FileDescriptor = module.DESCRIPTOR
    return home


def endless(method: MethodDescriptor) -> bool:
    """Tell whether a method is a stream that runs until its caller leaves."""
    extensions: Any = method.GetOptions().Extensions
    syscall: options_pb2.Syscall = extensions[options_pb2.syscall]
    return method.server_streaming and syscall.default_deadline.ToMilliseconds() / 1000 >= ENDLESS_SECONDS


def _describe(method: MethodDescriptor) -> Method:
    options = method.GetOptions()
    takes_request_id = "request_id" in method.input_type.fields_by_name
    extensions: Any = options.Extensions
    syscall: options_pb2.Syscall = extensions[options_pb2.syscall]
    return Method(
        path=f"/{method.containing_service.full_name}/{method.name}",
        name=method.name,
        repeatable=takes_request_id or options.idempotency_level in _SAFE_LEVELS,
        takes_request_id=takes_request_id,
        default_timeout=syscall.default_deadline.ToMilliseconds() / 1000,
        endless=endless(method),
    )
