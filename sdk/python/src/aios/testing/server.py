"""The socket of a fake kernel: every RPC of the API, answered by plain objects."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message

from aios._methods import endless
from aios._transport import OPEN_KEY
from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.context.v1 import context_pb2
from aios.api.gateway.v1 import gateway_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from aios.errors import AiosError, Unauthenticated, Unimplemented
from aios.testing.caller import Caller
from aios.testing.recorder import Call, Recorder
from aios.testing.status import code_of, trailers_of

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        access_pb2,
        agent_pb2,
        context_pb2,
        gateway_pb2,
        inference_pb2,
        memory_pb2,
        scheduler_pb2,
        storage_pb2,
        tool_pb2,
    )
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Kernel(Protocol):
    """What the socket needs from the fake behind it."""

    recorders: list[Recorder]

    def caller(self, token: str) -> Caller:
        """Return who a token names. Raises Unauthenticated."""
        ...

    def ended(self, method: str, token: str, reason: str) -> None:
        """Take note of a call that has ended; an empty reason is success."""
        ...

    def area(self, service: str) -> object | None:
        """Return the object that answers a service, such as `MemoryService`, or None."""
        ...


class Handlers(grpc.GenericRpcHandler):
    """Finds the fake's method for an RPC: `MemoryService/PutNote` is `put_note` of the memory area."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._methods: Mapping[str, MethodDescriptor] = {
            f"/{service.full_name}/{method.name}": method
            for file in FILES
            for service in file.services_by_name.values()
            for method in service.methods
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Return the handler of one call; None for a method that the API does not have."""
        method = self._methods.get(str(handler_call_details.method))
        if method is None:
            return None
        decode = message_factory.GetMessageClass(method.input_type).FromString

        async def answer(request: Message, context: Context) -> AsyncIterator[Message]:
            reason = ""
            try:
                async for response in self._answers(method, request, context):
                    yield response
            except AiosError as error:
                reason = error.reason
                await context.abort(code_of(error), error.message, trailers_of(error))
            finally:
                self._kernel.ended(
                    f"{method.containing_service.full_name}/{method.name}", _token(context), reason
                )

        return grpc.unary_stream_rpc_method_handler(
            answer, request_deserializer=decode, response_serializer=_to_bytes
        )

    async def _answers(
        self, method: MethodDescriptor, request: Message, context: Context
    ) -> AsyncIterator[Message]:
        caller, refusal = self._known(_token(context))
        failure = self._record(method.name, caller, request)
        if failure is not None and failure.after == 0:
            raise failure.error
        if refusal is not None and method.name not in ("IssueToken", "GetJwks"):
            raise refusal
        sent = 0
        handle = self._handler(method)
        if method.server_streaming:
            if endless(method):
                await context.send_initial_metadata(((OPEN_KEY, "1"),))
            async for response in handle(request, caller):
                yield response
                sent += 1
                if failure is not None and sent == failure.after:
                    raise failure.error
        else:
            yield await handle(request, caller)

    def _known(self, token: str) -> tuple[Caller | None, Unauthenticated | None]:
        if not token:
            return None, Unauthenticated("the call carries no credential")
        try:
            return self._kernel.caller(token), None
        except Unauthenticated as refusal:
            return None, refusal

    def _record(self, method: str, caller: Caller | None, request: Message) -> Any:
        fields = json_format.MessageToDict(
            request, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        failure = None
        for recorder in self._kernel.recorders:
            recorder.calls.append(Call(method, caller.agent if caller else "", fields))
            failure = failure or recorder.take_failure(method)
        return failure

    def _handler(self, method: MethodDescriptor) -> Callable[..., Any]:
        area = self._kernel.area(method.containing_service.name)
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
        found: Callable[..., Any] | None = getattr(area, name, None)
        if found is None:
            raise Unimplemented(f"the fake kernel has no {method.full_name}")
        return found


def _to_bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _token(context: Context) -> str:
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get("authorization", "")).removeprefix("Bearer ")
