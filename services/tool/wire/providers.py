"""What provider processes are told, as protobuf."""

from aios.api.tool.v1 import tool_pb2
from services.chassis.auth.identity import Caller
from services.chassis.rpc.wire import duration, stamp
from services.tool.model import Heartbeat, HeldCall, LeaseTerms, ProviderEvent, Revoked, Taken
from services.tool.wire import common


def held(name: str, lease_id: str, caller: Caller) -> HeldCall:
    """Read which call a provider means. Raises InvalidRequest."""
    owner, identifier = common.call_id(name, caller, "call")
    return HeldCall(owner, identifier, lease_id)


def in_hand(request: tool_pb2.TakeCallsRequest, caller: Caller) -> list[HeldCall]:
    """Read which calls a process has in hand. Raises InvalidRequest."""
    return [held(each.call, each.lease_id, caller) for each in request.held]


def prolonged(terms: LeaseTerms) -> tool_pb2.ReportCallProgressResponse:
    """Write how long a lease lasts now."""
    return tool_pb2.ReportCallProgressResponse(
        lease_expire_time=stamp(terms.expires_at), lease_left=duration(terms.left)
    )


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
            heartbeat = tool_pb2.TakeCallsHeartbeat(held_count=happened.held, lease_ids=happened.leases)
            return tool_pb2.TakeCallsResponse(heartbeat=heartbeat)


def _taken(taken: Taken) -> tool_pb2.TakenCall:
    call = taken.call
    return tool_pb2.TakenCall(
        call=common.call_name(taken.scope.agent, call.id),
        lease_id=taken.lease_id,
        tool=f"{common.TOOLS}/{call.tool}",
        agent=f"agents/{taken.scope.agent}",
        arguments_json=taken.arguments_json,
        deadline=stamp(taken.deadline),
        lease_expire_time=stamp(taken.terms.expires_at),
        time_left=duration(taken.time_left),
        lease_left=duration(taken.terms.left),
        attempt=call.attempts,
        syscall_id=call.syscall_id,
        untrusted=taken.untrusted,
    )
