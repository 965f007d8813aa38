"""Tools between protobuf and the model."""

import json
from collections.abc import Sequence
from typing import Final

from google.protobuf import struct_pb2

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.identity import Caller, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import duration, stamp
from services.tool.errors import CapabilityMissing
from services.tool.model import (
    DEFAULT_LEASE_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    Driver,
    DriverKind,
    Effect,
    Tool,
    ToolQuery,
)
from services.tool.service.registry import Shown
from services.tool.wire import common

PAGE: Final = 100
MOST: Final = 500
_PAGE_BYTES: Final = 3 * 1024 * 1024
_PLACES: Final = 8

_EFFECTS: Final = {
    resources_pb2.TOOL_EFFECT_PURE: Effect.PURE,
    resources_pb2.TOOL_EFFECT_IDEMPOTENT: Effect.IDEMPOTENT,
    resources_pb2.TOOL_EFFECT_REVERSIBLE: Effect.REVERSIBLE,
    resources_pb2.TOOL_EFFECT_IRREVERSIBLE: Effect.IRREVERSIBLE,
}
_EFFECTS_BACK: Final = {effect: number for number, effect in _EFFECTS.items()}
_LATER: Final = {
    "python": "Python tools: this kernel has no sandbox for them yet",
    "http": "HTTP tools",
    "mcp": "tools of MCP servers",
}


def read(given: resources_pb2.Tool, caller: Caller) -> Tool:
    """Read a tool that a caller registers. Raises InvalidRequest, CapabilityMissing."""
    return Tool(
        id=common.tool_id(given.name, "tool.name"),
        title=given.title,
        description=given.description,
        parameters_schema=_schema(given, "parameters_schema"),
        result_schema=_schema(given, "result_schema"),
        effect=_EFFECTS.get(given.effect, Effect.IRREVERSIBLE),
        max_concurrency=given.max_concurrency or _PLACES,
        driver=_driver(given),
        locks=tuple(given.locks),
        labels=dict(given.labels),
        requires_approval=given.requires_approval,
        returns_untrusted=given.returns_untrusted,
        vouched=given.vouched,
        untrusted=caller.untrusted,
        timeout_seconds=common.seconds(given, "timeout") or DEFAULT_TIMEOUT_SECONDS,
    )


def write(shown: Shown, *, basic: bool = False) -> resources_pb2.Tool:
    """Write a tool; `basic` leaves schemas, driver and limits out."""
    tool = shown.tool
    message = resources_pb2.Tool(
        name=f"{common.TOOLS}/{tool.id}",
        title=tool.title,
        description=tool.description,
        effect=_EFFECTS_BACK[tool.effect],
        labels=tool.labels,
        available=not shown.unavailable,
        unavailable_reason=shown.unavailable,
        untrusted=tool.untrusted,
    )
    if basic:
        return message
    message.MergeFrom(
        resources_pb2.Tool(
            max_concurrency=tool.max_concurrency,
            timeout=duration(tool.timeout_seconds),
            locks=tool.locks,
            requires_approval=tool.requires_approval,
            returns_untrusted=tool.returns_untrusted,
            vouched=tool.vouched,
            owner=names.agent_name(tool.owner) if tool.owner else "",
            create_time=stamp(tool.created_at),
            update_time=stamp(tool.updated_at),
            etag=str(tool.version),
            parameters_schema=_struct(tool.parameters_schema),
            parameters_schema_json=tool.parameters_schema,
            result_schema=_struct(tool.result_schema),
            result_schema_json=tool.result_schema,
        )
    )
    if tool.driver.kind is DriverKind.BUILTIN:
        message.builtin.function = tool.driver.function
    else:
        message.provider.lease.CopyFrom(duration(tool.driver.lease_seconds))
    return message


def query(request: tool_pb2.ListToolsRequest) -> ToolQuery:
    """Read which tools are wanted."""
    return ToolQuery(
        ids=frozenset(common.tool_id(name, "names") for name in request.names),
        labels=dict(request.labels),
        words=tuple(request.query.lower().split()),
        available_only=request.available_only,
    )


def position(request: tool_pb2.ListToolsRequest, scope: Scope) -> str:
    """Return the last id of the page before; empty for the first page. Raises InvalidPageToken."""
    found = paging.decode(request.page_token, *_query_key(request, scope), shape=(str,))
    return str(found[0]) if found else ""


def page(
    request: tool_pb2.ListToolsRequest, scope: Scope, found: Sequence[Shown], size: int
) -> tool_pb2.ListToolsResponse:
    """Write a page of at most `size` tools and 3 MiB; `found` holds one more if there is one."""
    response = tool_pb2.ListToolsResponse()
    room = _PAGE_BYTES
    for item in found[:size]:
        message = write(item, basic=request.view == tool_pb2.TOOL_VIEW_BASIC)
        room -= message.ByteSize()
        if room < 0 and response.tools:
            break
        response.tools.append(message)
    if len(found) > len(response.tools):
        last = found[len(response.tools) - 1].tool.id
        response.next_page_token = paging.encode([last], *_query_key(request, scope))
    return response


def _driver(given: resources_pb2.Tool) -> Driver:
    kind = given.WhichOneof("driver")
    if kind == "builtin":
        return Driver(DriverKind.BUILTIN, given.builtin.function)
    if kind == "provider":
        lease = common.seconds(given.provider, "lease") or DEFAULT_LEASE_SECONDS
        return Driver(DriverKind.PROVIDER, lease_seconds=lease)
    raise CapabilityMissing(
        f"this kernel does not run {_LATER.get(str(kind), 'such tools')}", metadata={"driver": str(kind)}
    )


def _schema(given: resources_pb2.Tool, field: str) -> str:
    text: str = getattr(given, f"{field}_json")
    if not given.HasField(field):
        return text
    if text:
        raise InvalidRequest.field(f"tool.{field}", f"give {field} or {field}_json, not both")
    return json.dumps(common.plain_object(getattr(given, field)))


def _struct(schema: str) -> struct_pb2.Struct | None:
    value = common.shown(json.loads(schema)) if schema else None
    return None if value is None else value.struct_value


def _query_key(request: tool_pb2.ListToolsRequest, scope: Scope) -> tuple[str, ...]:
    labels = [f"{key}\0{value}" for key, value in sorted(request.labels.items())]
    flags = f"{request.query}\0{request.available_only}"
    return "tools", scope.tenant, scope.agent, flags, *sorted(request.names), *labels
