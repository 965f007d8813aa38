"""GatewayService over gRPC."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aios.api.gateway.v1 import gateway_pb2 as pb
from aios.api.gateway.v1 import gateway_pb2_grpc
from gateway.syscalls import SyscallWatch, Told
from services.chassis.auth.identity import current_caller
from services.chassis.rpc.wire import duration, stamp


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """Implements aios.api.gateway.v1.GatewayService. The proto says what each method promises."""

    def __init__(self, watch: SyscallWatch) -> None:
        self._watch = watch

    async def WatchSyscalls(
        self, request: pb.WatchSyscallsRequest, context: Any
    ) -> AsyncGenerator[pb.WatchSyscallsResponse, None]:
        caller = current_caller()
        seen = self._watch.watch(caller.tenant, caller.owner, descendants=request.descendants)
        async with aclosing(seen) as events:
            async for told in events:
                yield pb.WatchSyscallsResponse() if told is None else _response(told)


def _response(told: Told) -> pb.WatchSyscallsResponse:
    call = told.call
    event = pb.SyscallEvent(
        syscall_id=call.syscall_id,
        phase=pb.SYSCALL_PHASE_ENDED if call.code else pb.SYSCALL_PHASE_BEGUN,
        agent=f"agents/{call.agent}",
        method=call.method,
        resource=call.resource,
        begin_time=stamp(told.began),
        code=call.code,
        reason=call.reason,
        request_bytes=call.request_bytes,
    )
    if call.code:
        event.duration.CopyFrom(duration(call.age))
    return pb.WatchSyscallsResponse(event=event, lost_count=told.lost)
