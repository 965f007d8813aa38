"""MCP servers of a fake kernel: kept, reached by nobody, without tools."""

from aios.api.tool.v1 import mcp_pb2 as pb
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2
from aios.errors import AlreadyExists, EtagMismatch, NotFound, PermissionDenied
from aios.testing.caller import ADMIN, Caller


class FakeMcp:
    """Answers the RPCs about MCP servers. `changes` are what a review shows, by the server's name."""

    def __init__(self) -> None:
        self.servers: dict[str, res.McpServer] = {}
        self.changes: dict[str, list[pb.McpToolChange]] = {}

    async def add_mcp_server(
        self, request: tool_pb2.AddMcpServerRequest, caller: Caller
    ) -> tool_pb2.AddMcpServerResponse:
        """AddMcpServer."""
        if request.server.HasField("stdio") and caller.agent != ADMIN:
            raise PermissionDenied("only administrators say which programs are run")
        if request.server.name in self.servers and not request.server.etag:
            raise AlreadyExists(f"{request.server.name} exists already")
        made = res.McpServer()
        made.CopyFrom(request.server)
        made.state, made.owner, made.etag = res.MCP_SERVER_STATE_READY, f"agents/{caller.agent}", "1"
        self.servers[made.name] = made
        return tool_pb2.AddMcpServerResponse(server=made)

    async def list_mcp_servers(
        self, request: tool_pb2.ListMcpServersRequest, caller: Caller
    ) -> tool_pb2.ListMcpServersResponse:
        """ListMcpServers, in one page."""
        del request, caller
        return tool_pb2.ListMcpServersResponse(servers=[self.servers[name] for name in sorted(self.servers)])

    async def remove_mcp_server(
        self, request: tool_pb2.RemoveMcpServerRequest, caller: Caller
    ) -> tool_pb2.RemoveMcpServerResponse:
        """RemoveMcpServer."""
        del caller
        if self.servers.pop(request.name, None) is None and not request.allow_missing:
            raise _missing(request.name)
        return tool_pb2.RemoveMcpServerResponse()

    async def review_mcp_server(
        self, request: pb.ReviewMcpServerRequest, caller: Caller
    ) -> pb.ReviewMcpServerResponse:
        """ReviewMcpServer."""
        del caller
        if request.name not in self.servers:
            raise _missing(request.name)
        changes = self.changes.get(request.name, [])
        return pb.ReviewMcpServerResponse(
            server=self.servers[request.name], changes=changes, offered_sha256=_digest(changes)
        )

    async def accept_mcp_server(
        self, request: pb.AcceptMcpServerRequest, caller: Caller
    ) -> pb.AcceptMcpServerResponse:
        """AcceptMcpServer."""
        del caller
        if request.name not in self.servers:
            raise _missing(request.name)
        if request.offered_sha256 != _digest(self.changes.get(request.name, [])):
            raise EtagMismatch(f"{request.name} offers something else by now")
        self.changes.pop(request.name, None)
        return pb.AcceptMcpServerResponse(server=self.servers[request.name])


def _digest(changes: list[pb.McpToolChange]) -> str:
    return f"{len(changes):064x}"


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no MCP server {name}", reason="MCP_SERVER_NOT_FOUND")
