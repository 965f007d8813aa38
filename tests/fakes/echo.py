"""A service that only the chassis' own tests know: every arity, audience and deadline, without protoc."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor

from aios.api.common.v1 import options_pb2
from buf.validate import validate_pb2
from services.chassis.runtime.server import Servicer

PACKAGE: Final = "aios.testing.v1"
SERVICE: Final = f"{PACKAGE}.EchoService"
MAX_BYTES: Final = 10_000
QUICK_SECONDS: Final = 0.2

_SYSCALL: Final[Any] = options_pb2.syscall
_FIELD_RULES: Final[Any] = validate_pb2.field


def _field(message: Any, name: str, number: int, kind: int, **more: Any) -> Any:
    return message.field.add(
        name=name, number=number, type=kind, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, **more
    )


def _method(service: Any, name: str, *, streams: str = "", seconds: float = 5, **syscall: Any) -> None:
    method = service.method.add(
        name=name,
        input_type=f".{PACKAGE}.Echo",
        output_type=f".{PACKAGE}.Echo",
        client_streaming="in" in streams.split(),
        server_streaming="out" in streams.split(),
    )
    option = options_pb2.Syscall(
        lane=options_pb2.LANE_DATA,
        permission="echo.read",
        effect=options_pb2.EFFECT_READ,
        max_request_bytes=MAX_BYTES,
    )
    option.default_deadline.FromTimedelta(timedelta(seconds=seconds))
    option.MergeFrom(options_pb2.Syscall(**syscall))
    method.options.Extensions[_SYSCALL].CopyFrom(option)


def _build() -> FileDescriptor:
    file = descriptor_pb2.FileDescriptorProto(
        name="aios/testing/v1/echo.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=["aios/api/common/v1/options.proto", "buf/validate/validate.proto"],
    )
    message = file.message_type.add(name="Echo")
    _field(message, "name", 1, descriptor_pb2.FieldDescriptorProto.TYPE_STRING)
    text = _field(message, "text", 2, descriptor_pb2.FieldDescriptorProto.TYPE_STRING)
    text.options.Extensions[_FIELD_RULES].string.max_len = 100
    _field(message, "count", 3, descriptor_pb2.FieldDescriptorProto.TYPE_INT32)
    service = file.service.add(name="EchoService")
    _method(service, "Unary", resource="name", delegates=["tool"])
    _method(service, "StreamOut", streams="out", resource="name")
    _method(service, "StreamIn", streams="in")
    _method(service, "Chat", streams="in out")
    _method(service, "Kernel", audience=options_pb2.AUDIENCE_KERNEL, services=["memory"])
    _method(service, "Public", audience=options_pb2.AUDIENCE_PUBLIC)
    _method(service, "Scheduled", lane=options_pb2.LANE_TOOL)
    _method(service, "Quick", seconds=QUICK_SECONDS, effect=options_pb2.EFFECT_WRITE)
    _method(service, "Watch", streams="out", seconds=86_400)
    descriptor_pool.Default().Add(file)
    return descriptor_pool.Default().FindFileByName(file.name)


DESCRIPTOR: Final = _build()
Echo: Final[Any] = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["Echo"])

Behaviour = Callable[[Any, Any], Awaitable[Any]]


class EchoServicer:
    """Answers with what it was sent. `behaviour` replaces what the unary methods do."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour
        self.closed = asyncio.Event()
        """Set when a stream's generator was closed."""

    async def unary(self, request: Any, context: Any) -> Any:
        """Answer with the request."""
        return await self.behaviour(request, context) if self.behaviour else request

    async def stream_out(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Answer with the request `count` times, then do what `behaviour` does."""
        try:
            for _ in range(request.count):
                yield request
            if self.behaviour:
                await self.behaviour(request, context)
        finally:
            self.closed.set()

    async def stream_in(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        """Answer with the number of messages."""
        return Echo(count=len([request async for request in requests]))

    async def chat(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """Answer each message with itself."""
        async for request in requests:
            yield request

    def servicer(self) -> Servicer:
        """Return the triple that ChassisServer takes."""
        return (_add, self, DESCRIPTOR)


def _add(servicer: EchoServicer, server: Any) -> None:
    codec = {"request_deserializer": Echo.FromString, "response_serializer": Echo.SerializeToString}
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(servicer.unary, **codec)
        for name in ("Unary", "Kernel", "Public", "Quick", "Scheduled")
    }
    handlers |= {
        name: grpc.unary_stream_rpc_method_handler(servicer.stream_out, **codec)
        for name in ("StreamOut", "Watch")
    }
    handlers["StreamIn"] = grpc.stream_unary_rpc_method_handler(servicer.stream_in, **codec)
    handlers["Chat"] = grpc.stream_stream_rpc_method_handler(servicer.chat, **codec)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class EchoStub:
    """Calls the service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        codec: Any = {"request_serializer": Echo.SerializeToString, "response_deserializer": Echo.FromString}
        unary = {name: channel.unary_unary(f"/{SERVICE}/{name}", **codec) for name in ("Unary", "Kernel")}
        self.unary: Any = unary["Unary"]
        self.kernel: Any = unary["Kernel"]
        self.public: Any = channel.unary_unary(f"/{SERVICE}/Public", **codec)
        self.quick: Any = channel.unary_unary(f"/{SERVICE}/Quick", **codec)
        self.scheduled: Any = channel.unary_unary(f"/{SERVICE}/Scheduled", **codec)
        self.missing: Any = channel.unary_unary(f"/{SERVICE}/Missing", **codec)
        self.stream_out: Any = channel.unary_stream(f"/{SERVICE}/StreamOut", **codec)
        self.watch: Any = channel.unary_stream(f"/{SERVICE}/Watch", **codec)
        self.stream_in: Any = channel.stream_unary(f"/{SERVICE}/StreamIn", **codec)
        self.chat: Any = channel.stream_stream(f"/{SERVICE}/Chat", **codec)
        self.raw_unary: Any = channel.unary_unary(f"/{SERVICE}/Unary")
        self.raw_chat: Any = channel.stream_stream(f"/{SERVICE}/Chat")
