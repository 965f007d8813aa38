"""Tools between protobuf and the model."""

import json
from collections.abc import Sequence
from typing import Final

from google.protobuf import struct_pb2

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.identity import Caller, Kind, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest
from services.chassis.rpc.wire import duration, stamp
from services.tool.errors import CapabilityMissing
from services.tool.model import (
    DEFAULT_LEASE_SECONDS,
    DEFAULT_MEMORY_BYTES,
    DEFAULT_RESPONSE_BYTES,
    DEFAULT_SCRATCH_BYTES,
    DEFAULT_TIMEOUT_SECONDS,
    Driver,
    DriverKind,
    Effect,
    HttpArgument,
    HttpEndpoint,
    HttpPlace,
    PythonCode,
    Tool,
    ToolQuery,
)
from services.tool.service.registry import Shown
from services.tool.wire import common

PAGE: Final = 100
MOST: Final = 500
PAGE_BYTES: Final = 3 * 1024 * 1024
_PLACES: Final = 8

EFFECTS: Final = {
    resources_pb2.TOOL_EFFECT_PURE: Effect.PURE,
    resources_pb2.TOOL_EFFECT_IDEMPOTENT: Effect.IDEMPOTENT,
    resources_pb2.TOOL_EFFECT_REVERSIBLE: Effect.REVERSIBLE,
    resources_pb2.TOOL_EFFECT_IRREVERSIBLE: Effect.IRREVERSIBLE,
}
EFFECTS_BACK: Final = {effect: number for number, effect in EFFECTS.items()}
_METHODS: Final = {
    resources_pb2.HTTP_METHOD_GET: "GET",
    resources_pb2.HTTP_METHOD_PUT: "PUT",
    resources_pb2.HTTP_METHOD_PATCH: "PATCH",
    resources_pb2.HTTP_METHOD_DELETE: "DELETE",
}
_PLACES_OF: Final = {
    resources_pb2.HTTP_PLACE_PATH: HttpPlace.PATH,
    resources_pb2.HTTP_PLACE_QUERY: HttpPlace.QUERY,
    resources_pb2.HTTP_PLACE_HEADER: HttpPlace.HEADER,
    resources_pb2.HTTP_PLACE_COOKIE: HttpPlace.COOKIE,
    resources_pb2.HTTP_PLACE_BODY: HttpPlace.BODY,
}
_PLACES_OF_BACK: Final = {place: number for number, place in _PLACES_OF.items()}
_METHODS_BACK: Final = {method: number for number, method in _METHODS.items()}


def read(given: resources_pb2.Tool, caller: Caller) -> Tool:
    """Read a tool that a caller registers. Raises InvalidRequest, CapabilityMissing."""
    return Tool(
        id=common.tool_id(given.name, "tool.name"),
        title=given.title,
        description=given.description,
        parameters_schema=_schema(given, "parameters_schema"),
        result_schema=_schema(given, "result_schema"),
        effect=EFFECTS.get(given.effect, Effect.IRREVERSIBLE),
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


def write(shown: Shown, reader: Caller | None = None, *, basic: bool = False) -> resources_pb2.Tool:
    """Write a tool; `basic` leaves schemas, driver and limits out.

    `reader`: who sees the driver's content, source and headers, where the tool is its own or it is an
    administrator; None: nobody does.
    """
    tool = shown.tool
    message = resources_pb2.Tool(
        name=f"{common.TOOLS}/{tool.id}",
        title=tool.title,
        description=tool.description,
        effect=EFFECTS_BACK[tool.effect],
        labels=tool.labels,
        available=not shown.unavailable,
        unavailable_reason=shown.unavailable,
        isolation=shown.isolation,
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
    whole = reader is not None and (reader.kind is Kind.ADMIN or reader.agent == tool.owner)
    _write_driver(tool.driver, message, whole=whole)
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
    room = PAGE_BYTES
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


def only_page(
    request: tool_pb2.ListToolsRequest, scope: Scope, found: Sequence[Shown]
) -> tool_pb2.ListToolsResponse:
    """Write what a search has found, which has one page of at most 3 MiB. Raises InvalidPageToken."""
    if request.page_token:
        raise InvalidPageToken("what a search finds has one page")
    response = page(request, scope, found, len(found))
    response.ClearField("next_page_token")
    return response


def _driver(given: resources_pb2.Tool) -> Driver:
    kind = given.WhichOneof("driver")
    if kind == "builtin":
        return Driver(DriverKind.BUILTIN, given.builtin.function)
    if kind == "provider":
        lease = common.seconds(given.provider, "lease") or DEFAULT_LEASE_SECONDS
        return Driver(DriverKind.PROVIDER, lease_seconds=lease)
    if kind == "python":
        return Driver(DriverKind.PYTHON, python=python_code(given.python))
    if kind == "http":
        return Driver(DriverKind.HTTP, http=_http(given.http))
    raise CapabilityMissing("tools of MCP servers come with AddMcpServer", metadata={"driver": str(kind)})


def python_code(given: resources_pb2.PythonDriver) -> PythonCode:
    """Read a Python function."""
    return PythonCode(
        source=given.source,
        function=given.function,
        memory_bytes=given.memory_bytes or DEFAULT_MEMORY_BYTES,
        scratch_bytes=given.scratch_bytes or DEFAULT_SCRATCH_BYTES,
        cpu_seconds=common.seconds(given, "cpu_time"),
    )


def python_driver(code: PythonCode, *, whole: bool) -> resources_pb2.PythonDriver:
    """Write a Python function; without its source unless `whole`."""
    return resources_pb2.PythonDriver(
        function=code.function,
        source=code.source if whole else "",
        memory_bytes=code.memory_bytes,
        scratch_bytes=code.scratch_bytes,
        cpu_time=None if code.cpu_seconds is None else duration(code.cpu_seconds),
    )


def _http(given: resources_pb2.HttpDriver) -> HttpEndpoint:
    return HttpEndpoint(
        url=given.url,
        method=_METHODS.get(given.method, "POST"),
        headers=dict(given.headers),
        secret_headers=dict(given.secret_headers),
        max_response_bytes=given.max_response_bytes or DEFAULT_RESPONSE_BYTES,
        arguments=tuple(
            HttpArgument(
                argument=one.argument,
                place=_PLACES_OF[one.place],
                name="" if one.place == resources_pb2.HTTP_PLACE_BODY else one.name or one.argument,
                joined=one.joined,
            )
            for one in given.arguments
        ),
    )


def _write_driver(driver: Driver, message: resources_pb2.Tool, *, whole: bool) -> None:
    if driver.python is not None:
        message.python.CopyFrom(python_driver(driver.python, whole=whole))
    elif driver.http is not None:
        endpoint = driver.http
        message.http.CopyFrom(
            resources_pb2.HttpDriver(
                url=endpoint.url,
                method=_METHODS_BACK.get(endpoint.method, resources_pb2.HTTP_METHOD_POST),
                headers=endpoint.headers if whole else {},
                secret_headers=endpoint.secret_headers if whole else {},
                max_response_bytes=endpoint.max_response_bytes,
                document_sha256=endpoint.document_sha256,
                arguments=[
                    resources_pb2.HttpArgument(
                        argument=one.argument,
                        place=_PLACES_OF_BACK[one.place],
                        name=one.name,
                        joined=one.joined,
                    )
                    for one in endpoint.arguments
                ],
            )
        )
    elif driver.mcp is not None:
        bound = driver.mcp
        message.mcp.CopyFrom(
            resources_pb2.McpDriver(
                server=f"mcpservers/{bound.server}", tool=bound.tool, pinned_sha256=bound.pinned_sha256
            )
        )
    elif driver.kind is DriverKind.BUILTIN:
        message.builtin.function = driver.function
    else:
        message.provider.lease.CopyFrom(duration(driver.lease_seconds))


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
