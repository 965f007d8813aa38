"""MCP servers between protobuf and the model."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aios.api.tool.v1 import mcp_pb2, resources_pb2, tool_pb2
from services.chassis.auth.identity import Caller, Kind, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.chassis.rpc.wire import duration, stamp
from services.tool.core.mcp_servers import HttpServer, McpServer, OAuthClient, ServerState, StdioServer
from services.tool.core.pins import visible
from services.tool.model import DEFAULT_TIMEOUT_SECONDS, Effect
from services.tool.service.registry import Shown
from services.tool.service.servers import Review, ShownServer
from services.tool.wire import common
from services.tool.wire import tools as tool_wire

SERVERS: Final = "mcpservers"
PAGE: Final = 50
MOST: Final = 200
_PLACES: Final = 8
_PROTOCOL: Final = 32
_PEOPLE: Final = frozenset({Kind.ADMIN, Kind.PERSON})
_STATES: Final = {
    ServerState.CONNECTING: resources_pb2.MCP_SERVER_STATE_CONNECTING,
    ServerState.READY: resources_pb2.MCP_SERVER_STATE_READY,
    ServerState.FAILED: resources_pb2.MCP_SERVER_STATE_FAILED,
    ServerState.CHANGED: resources_pb2.MCP_SERVER_STATE_CHANGED,
}


def server_id(name: str, field: str = "name") -> str:
    """Return the id in the name of a server. Raises InvalidRequest."""
    return names.parse_in(name, SERVERS, field=field).id


def is_person(caller: Caller) -> bool:
    """Tell whether people call, who may accept what has changed."""
    return caller.kind in _PEOPLE


def expect_person(caller: Caller) -> None:
    """Refuse everybody but people, whatever a policy permits. Raises PermissionDenied."""
    if not is_person(caller):
        raise PermissionDenied("only persons and administrators accept what an MCP server has changed")


def read(given: resources_pb2.McpServer, caller: Caller) -> McpServer:
    """Read a server that a caller adds. Raises InvalidRequest."""
    kind = given.WhichOneof("transport")
    if kind is None:
        raise InvalidRequest.field("server", "give stdio or http")
    return McpServer(
        id=server_id(given.name, "server.name"),
        stdio=_stdio(given.stdio) if kind == "stdio" else None,
        http=_http(given.http) if kind == "http" else None,
        allowed_tools=tuple(given.allowed_tools),
        default_effect=tool_wire.EFFECTS.get(given.default_effect, Effect.IRREVERSIBLE),
        trust_annotations=given.trust_annotations,
        timeout_seconds=common.seconds(given, "timeout") or DEFAULT_TIMEOUT_SECONDS,
        max_concurrency=given.max_concurrency or _PLACES,
        untrusted=caller.untrusted,
    )


def write(shown: ShownServer, caller: Caller) -> resources_pb2.McpServer:
    """Write a server without values of headers and variables; arguments and queries for its owner only."""
    server = shown.server
    message = resources_pb2.McpServer(
        name=f"{SERVERS}/{server.id}",
        allowed_tools=server.allowed_tools,
        default_effect=tool_wire.EFFECTS_BACK[server.default_effect],
        trust_annotations=server.trust_annotations,
        timeout=duration(server.timeout_seconds),
        max_concurrency=server.max_concurrency,
        state=_STATES[shown.state],
        problem=shown.problem,
        tools=[f"{common.TOOLS}/{tool}" for tool in server.tools],
        protocol_version=visible(server.protocol_version)[:_PROTOCOL],
        owner=names.agent_name(server.owner) if server.owner else "",
        create_time=stamp(server.created_at),
        etag=str(server.version),
        changed_tools=[visible(name) for name in server.changed],
        untrusted=bool(server.changed or server.passed_over),
    )
    whole = caller.kind is Kind.ADMIN or caller.agent == server.owner
    if server.stdio is not None:
        message.stdio.command.extend(server.stdio.command if whole else server.stdio.command[:1])
        message.stdio.allow_network = server.stdio.allow_network
    if server.http is not None:
        message.http.url = server.http.url if whole else _bare(server.http.url)
    return message


def added(shown: ShownServer, tools: Sequence[Shown], caller: Caller) -> tool_pb2.AddMcpServerResponse:
    """Write a server that was added and its tools, as many as fit one answer; ListTools has them all."""
    response = tool_pb2.AddMcpServerResponse(server=write(shown, caller))
    room = tool_wire.PAGE_BYTES
    for tool in tools:
        message = tool_wire.write(tool, caller)
        room -= message.ByteSize()
        if room < 0:
            break
        response.tools.append(message)
    return response


def review(found: Review, caller: Caller) -> mcp_pb2.ReviewMcpServerResponse:
    """Write what a person looks at."""
    server = found.shown.server
    changes = [
        mcp_pb2.McpToolChange(
            tool=visible(each.tool),
            accepted_json=escaped(each.accepted),
            offered_json=escaped(each.offered),
            untrusted=True,
        )
        for each in found.changes
    ]
    return mcp_pb2.ReviewMcpServerResponse(
        server=write(found.shown, caller),
        changes=changes,
        server_changed=server.pin != server.offered_pin,
        offered_sha256=found.offered_sha256,
    )


def escaped(text: str) -> str:
    """Return a canonical JSON text with all but ASCII escaped, which means the same."""
    return "".join(each if each.isascii() else _unit(each) for each in text)


def position(request: tool_pb2.ListMcpServersRequest, scope: Scope) -> str:
    """Return the last id of the page before; empty for the first page. Raises InvalidPageToken."""
    found = paging.decode(request.page_token, SERVERS, scope.tenant, shape=(str,))
    return str(found[0]) if found else ""


def page(
    scope: Scope, found: Sequence[ShownServer], size: int, caller: Caller
) -> tool_pb2.ListMcpServersResponse:
    """Write a page of at most `size`; `found` holds one more if there is one."""
    response = tool_pb2.ListMcpServersResponse()
    room = tool_wire.PAGE_BYTES
    for shown in found[:size]:
        message = write(shown, caller)
        room -= message.ByteSize()
        if room < 0 and response.servers:
            break
        response.servers.append(message)
    if len(found) > len(response.servers):
        last = found[len(response.servers) - 1].server.id
        response.next_page_token = paging.encode([last], SERVERS, scope.tenant)
    return response


def _stdio(given: resources_pb2.McpStdio) -> StdioServer:
    return StdioServer(
        command=tuple(given.command),
        environment=dict(given.environment),
        secret_environment=dict(given.secret_environment),
        allow_network=given.allow_network,
    )


def _http(given: resources_pb2.McpHttp) -> HttpServer:
    oauth = None
    if given.HasField("oauth"):
        oauth = OAuthClient(
            token_url=given.oauth.token_url,
            client_id=given.oauth.client_id,
            client_secret=given.oauth.client_secret,
            refresh_token=given.oauth.refresh_token,
            scopes=tuple(given.oauth.scopes),
        )
    return HttpServer(
        url=given.url,
        headers=dict(given.headers),
        secret_headers=dict(given.secret_headers),
        oauth=oauth,
    )


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _unit(character: str) -> str:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{encoded[at : at + 2].hex()}" for at in range(0, len(encoded), 2))
