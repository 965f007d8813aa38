"""What provider processes are told, as protobuf."""

from aios.api.tool.v1 import tool_pb2
from services.chassis.auth.identity import Caller
from services.chassis.rpc.wire import stamp
from services.tool.model import Heartbeat, ProviderEvent, Revoked, Taken
from services.tool.service.providers import Held
from services.tool.wire import common


def held(name: str, lease_id: str, caller: Caller) -> Held:
    """Read which call a provider means. Raises InvalidRequest."""
    owner, identifier = common.call_id(name, caller, "call")
    return Held(owner, identifier, lease_id)


def event(happened: ProviderEvent) -> tool_pb2.TakeCallsResponse:
    """Write what happened."""
    match happened:
        case Taken():
            return tool_pb2.TakeCallsResponse(call=_taken(happened))
        case Revoked():
            name = common.call_name(happened.scope.agent, happened.call_id)
            revoked = tool_pb2.RevokedCall(call=name, lease_id=happened.lease_id, reason=happened.reason)
            return tool_pb2.TakeCallsResponse(revoked=revoked)
        case Heartbeat():
            return tool_pb2.TakeCallsResponse(heartbeat=tool_pb2.TakeCallsHeartbeat(held_count=happened.held))


def _taken(taken: Taken) -> tool_pb2.TakenCall:
    call = taken.call
    return tool_pb2.TakenCall(
        call=common.call_name(taken.scope.agent, call.id),
        lease_id=taken.lease_id,
        tool=f"{common.TOOLS}/{call.tool}",
        agent=f"agents/{taken.scope.agent}",
        arguments_json=taken.arguments_json,
        deadline=stamp(taken.deadline),
        lease_expire_time=stamp(taken.lease_expires_at),
        attempt=call.attempts,
        syscall_id=call.syscall_id,
    )
