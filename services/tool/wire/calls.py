"""Calls between protobuf and the model."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from google.protobuf import struct_pb2

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.identity import Caller, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import InvalidPageToken
from services.chassis.rpc.steps import validation
from services.chassis.rpc.wire import duration, moment, stamp
from services.chassis.times import from_micros, micros
from services.tool.core import schemas
from services.tool.errors import ArgumentsInvalid, CallFailed, ResultInvalid
from services.tool.model import (
    Accepted,
    CallError,
    CallEvent,
    CallQuery,
    CallRequest,
    CallState,
    ContentPart,
    Progress,
    Started,
    ToolCall,
    ToolOutcome,
    UnreadableResult,
    WaitsForApproval,
)
from services.tool.ports import CallPlace
from services.tool.wire import common

PAGE: Final = 50
MOST: Final = 500
_LATER: Final = 1.0
_LONGEST: Final = 3600.0

STATES: Final = {
    resources_pb2.CALL_STATE_QUEUED: CallState.QUEUED,
    resources_pb2.CALL_STATE_WAITING_APPROVAL: CallState.WAITING_APPROVAL,
    resources_pb2.CALL_STATE_RUNNING: CallState.RUNNING,
    resources_pb2.CALL_STATE_SUCCEEDED: CallState.SUCCEEDED,
    resources_pb2.CALL_STATE_FAILED: CallState.FAILED,
    resources_pb2.CALL_STATE_CANCELLED: CallState.CANCELLED,
    resources_pb2.CALL_STATE_UNKNOWN: CallState.UNKNOWN,
}
STATES_BACK: Final = {state: number for number, state in STATES.items()}
_PASSING: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED})


def call_request(request: tool_pb2.CallToolRequest, caller: Caller) -> CallRequest:
    """Read a call to make. Raises ArgumentsInvalid."""
    wait = common.seconds(request, "max_wait")
    if wait is None and request.detach:
        wait = _LONGEST  # nobody's deadline ends it
    return CallRequest(
        tool=common.tool_id(request.tool, "tool"),
        arguments=_arguments(request),
        call_id=request.request_id,
        run_seconds=common.seconds(request, "timeout"),
        wait_seconds=wait,
        detach=request.detach,
        approval=request.approval.removeprefix("approvals/"),
        wait_for_approval=request.wait_for_approval,
        syscall_id=caller.syscall_id,
        untrusted=request.untrusted,
        marked=caller.untrusted,
        needs_approval=caller.needs_approval,
        effect_matters=caller.effect_matters,
        credential=caller.credential,
    )


def event(
    scope: Scope, request: tool_pb2.CallToolRequest, sequence: int, happened: CallEvent
) -> tool_pb2.CallToolResponse:
    """Write what happened. Raises CallFailed for the end of a call that did not succeed."""
    response = tool_pb2.CallToolResponse(sequence=sequence, tool_call_id=request.tool_call_id)
    match happened:
        case Accepted():
            response.accepted.call = common.call_name(scope.agent, happened.call_id)
            response.accepted.joined = happened.joined
        case Started():
            response.started.CopyFrom(
                tool_pb2.CallStarted(
                    start_time=stamp(happened.at),
                    wait=duration(happened.wait),
                    attempt=happened.attempt,
                )
            )
        case WaitsForApproval():
            response.waits_for_approval.approval = f"approvals/{happened.approval.id}"
            response.waits_for_approval.expire_time.FromDatetime(happened.approval.expires_at)
        case Progress():
            response.progress.CopyFrom(_progress(happened))
        case ToolCall():
            if happened.state is not CallState.SUCCEEDED:
                raise failure(scope, happened)
            response.result.CopyFrom(call(scope, happened))
    return response


def failure(scope: Scope, ended: ToolCall) -> CallFailed:
    """Return the error of a call that did not succeed."""
    error = ended.error or CallError("INTERNAL", "the call ended without a reason", Code.INTERNAL)
    approval = {"approval": f"approvals/{ended.approval}"} if ended.approval else {}
    return CallFailed(
        error.reason,
        error.code,
        error.message,
        metadata={"call": common.call_name(scope.agent, ended.id), **approval},
        retry_after=_LATER if error.code in _PASSING else None,
        untrusted=ended.untrusted,
    )


def call(scope: Scope, found: ToolCall, *, listed: bool = False) -> resources_pb2.Call:
    """Write a call; `listed` leaves out what its tool returned."""
    message = resources_pb2.Call(
        name=common.call_name(scope.agent, found.id),
        tool=f"{common.TOOLS}/{found.tool}",
        agent=names.agent_name(scope.agent),
        state=STATES_BACK[found.state],
        arguments_sha256=found.arguments_sha256,
        create_time=stamp(found.created_at),
        start_time=stamp(found.started_at),
        end_time=stamp(found.ended_at),
        attempt_count=found.attempts,
        syscall_id=found.syscall_id,
        provider=found.provider,
        approval=f"approvals/{found.approval}" if found.approval else "",
        arguments=found.arguments,
        arguments_total_bytes=found.arguments_bytes,
        arguments_cut=found.arguments_cut,
    )
    if found.error is not None:
        message.error.reason, message.error.message = found.error.reason, found.error.message
        message.error.untrusted = found.untrusted
        if found.error.details_json and not listed:
            details = common.shown(json.loads(found.error.details_json))
            message.error.details.CopyFrom(details.struct_value if details else struct_pb2.Struct())
    if found.state is CallState.SUCCEEDED and not listed:
        message.result.CopyFrom(_result(found))
    return message


def query(request: tool_pb2.ListCallsRequest) -> CallQuery:
    """Read which calls are wanted."""
    return CallQuery(
        tool=common.tool_id(request.tool, "tool") if request.tool else "",
        states=frozenset(STATES[state] for state in request.states if state in STATES),
        created_after=moment(request, "created_after"),
        created_before=moment(request, "created_before"),
    )


def position(request: tool_pb2.ListCallsRequest, scope: Scope) -> tuple[datetime, str] | None:
    """Return where the page before ended; None for the first page. Raises InvalidPageToken."""
    found = paging.decode(request.page_token, *_query_key(request, scope), shape=(int, str))
    match found:
        case []:
            return None
        case [int() as count, str() as identifier]:
            return from_micros(count), identifier
        case _:
            raise InvalidPageToken("the page token is not one this list returned")


def page(
    request: tool_pb2.ListCallsRequest, scope: Scope, found: list[ToolCall], size: int
) -> tool_pb2.ListCallsResponse:
    """Write a page of at most `size` calls out of `found`, which holds one more if there is one."""
    response = tool_pb2.ListCallsResponse(calls=[call(scope, item, listed=True) for item in found[:size]])
    if len(found) > size:
        last = found[size - 1]
        response.next_page_token = paging.encode(
            [micros(last.created_at), last.id], *_query_key(request, scope)
        )
    return response


def place(request: tool_pb2.ListCallsRequest, tenant: str) -> CallPlace | None:
    """Return where the page before ended in a tenant's calls, None: nowhere. Raises InvalidPageToken."""
    key = _query_key(request, Scope(tenant, ""))
    found = paging.decode(request.page_token, *key, shape=(int, str, str))
    return (from_micros(int(found[0] or 0)), str(found[1]), str(found[2])) if found else None


def page_of_tenant(
    request: tool_pb2.ListCallsRequest, tenant: str, found: list[tuple[Scope, ToolCall]], size: int
) -> tool_pb2.ListCallsResponse:
    """Write a page of at most `size` calls of a tenant out of `found`, which may hold one more."""
    calls = [call(scope, item, listed=True) for scope, item in found[:size]]
    response = tool_pb2.ListCallsResponse(calls=calls)
    if len(found) > size:
        scope, last = found[size - 1]
        key = _query_key(request, Scope(tenant, ""))
        response.next_page_token = paging.encode([micros(last.created_at), scope.agent, last.id], *key)
    return response


def outcome(request: tool_pb2.CompleteCallRequest, provider: Caller) -> ToolOutcome:
    """Read how a provider ended a call.

    A report that breaks a rule ends the call all the same: the tool has run, and its caller waits.
    """
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return replace(_reported_outcome(request), untrusted=provider.untrusted, digest=digest)


def _reported_outcome(request: tool_pb2.CompleteCallRequest) -> ToolOutcome:
    match request.WhichOneof("outcome"):
        case "error":
            given = request.error
            details = json.dumps(common.plain_object(given.details)) if given.HasField("details") else ""
            return ToolOutcome(error=CallError("TOOL_FAILED", given.message, details_json=details))
        case "result":
            return _result_of(request.result)
        case _:
            return _unreadable("its report holds neither a result nor an error")


def _result_of(result: resources_pb2.CallResult) -> ToolOutcome:
    if broken := validation.violations(result):
        return _unreadable(f"the tool's result cannot be taken: {broken[0].field}: {broken[0].description}")
    if result.value_json and result.HasField("value"):
        return _unreadable("the tool's result has a value and a value_json; give one of them")
    value: Any = None
    if result.value_json:
        value = _reported(result.value_json)
    elif result.HasField("value"):
        value = common.plain(result.value)
    return ToolOutcome(value=value, pieces=tuple(_piece(piece) for piece in result.content))


def _unreadable(why: str) -> ToolOutcome:
    return ToolOutcome(value=UnreadableResult(why))


def _reported(text: str) -> Any:
    """Read a result. One that is no JSON ends the call too: its caller does not wait for a better one."""
    try:
        # Its caller gets it as it is read here, and what has run is not failed for its style.
        return schemas.parse_json(text, "the tool's result", ResultInvalid, once=False)
    except ResultInvalid as refused:
        return UnreadableResult(refused.message)


def progress(given: tool_pb2.CallProgress, provider: Caller) -> Progress:
    """Read how far a call is."""
    texts = given.message, given.partial_output
    return Progress(given.progress, given.total, *texts, untrusted=provider.untrusted)


def _arguments(request: tool_pb2.CallToolRequest) -> Any:
    if request.arguments_json:
        return schemas.parse_json(request.arguments_json, "arguments_json", ArgumentsInvalid)
    return common.plain_object(request.arguments)


def _progress(happened: Progress) -> tool_pb2.CallProgress:
    return tool_pb2.CallProgress(
        progress=happened.progress,
        total=happened.total,
        message=happened.message,
        partial_output=happened.partial_output,
        untrusted=happened.untrusted,
    )


def _result(found: ToolCall) -> resources_pb2.CallResult:
    return resources_pb2.CallResult(
        value=common.shown(json.loads(found.result_json)),
        value_json=found.result_json,
        content=[_content(piece) for piece in found.pieces],
        untrusted=found.untrusted,
    )


def _piece(given: resources_pb2.Content) -> ContentPart:
    return ContentPart(
        text=given.text,
        data_base64=base64.b64encode(given.data).decode(),
        uri=given.uri,
        media_type=given.media_type,
    )


def _content(piece: ContentPart) -> resources_pb2.Content:
    message = resources_pb2.Content(media_type=piece.media_type)
    if piece.uri:
        message.uri = piece.uri
    elif piece.data_base64:
        message.data = base64.b64decode(piece.data_base64)
    else:
        message.text = piece.text
        message.media_type = piece.media_type or "text/plain"
    return message


def _query_key(request: tool_pb2.ListCallsRequest, scope: Scope) -> tuple[str, ...]:
    states = ",".join(str(state) for state in sorted(request.states))
    since = str(request.created_after.ToNanoseconds()) if request.HasField("created_after") else ""
    if not request.HasField("created_before"):
        return "calls", scope.tenant, scope.agent, request.tool, states, since
    until = str(request.created_before.ToNanoseconds())
    return "calls", scope.tenant, scope.agent, request.tool, states, since, until
