"""`kernel.mcp`: servers of tools that speak the Model Context Protocol."""

import uuid
from collections.abc import Mapping, Sequence

from aios._paging import pages
from aios._transport import Transport
from aios._wire import mcp as wire
from aios._wire.common import duration
from aios._wire.tools import EFFECTS
from aios.api.tool.v1 import mcp_pb2 as pb
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2
from aios.types.mcp import McpOAuth, McpReview, McpServerInfo, Secrets
from aios.types.tools import ToolEffect


class Mcp:
    """Connects MCP servers; their tools are called with `kernel.tools`. A server is named by its id."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def add_program(
        self,
        server: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        secret_environment: Secrets | None = None,
        allow_network: bool = False,
        tools: Sequence[str] = (),
        effect: ToolEffect = "irreversible",
        trust_annotations: bool = False,
        run_timeout: float | None = None,
        max_concurrency: int = 0,
        etag: str = "",
        timeout: float | None = None,
    ) -> McpServerInfo:
        """Run a program in the kernel's sandbox and take its tools, all or those named. For administrators.

        The program is named by its whole path. `effect` is what its tools do where their annotations do not
        say, or are not trusted. Raises AlreadyExists, Unavailable, PermissionDenied, PreconditionFailed.
        """
        message = res.McpServer(
            stdio=res.McpStdio(
                command=command,
                environment=environment or {},
                secret_environment=secret_environment or {},
                allow_network=allow_network,
            ),
            allowed_tools=tools,
            default_effect=EFFECTS[effect],
            trust_annotations=trust_annotations,
            timeout=duration(run_timeout),
            max_concurrency=max_concurrency,
            etag=etag,
        )
        return await self._add(server, message, timeout)

    async def add_url(
        self,
        server: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        secret_headers: Secrets | None = None,
        oauth: McpOAuth | None = None,
        tools: Sequence[str] = (),
        effect: ToolEffect = "irreversible",
        trust_annotations: bool = False,
        run_timeout: float | None = None,
        max_concurrency: int = 0,
        etag: str = "",
        timeout: float | None = None,
    ) -> McpServerInfo:
        """Connect a server over streamable HTTP and take its tools, all or those named.

        Further arguments and errors as for `add_program`; PermissionDenied also where the kernel does not
        send to that address.
        """
        message = res.McpServer(
            http=res.McpHttp(
                url=url,
                headers=headers or {},
                secret_headers=secret_headers or {},
                oauth=wire.oauth(oauth),
            ),
            allowed_tools=tools,
            default_effect=EFFECTS[effect],
            trust_annotations=trust_annotations,
            timeout=duration(run_timeout),
            max_concurrency=max_concurrency,
            etag=etag,
        )
        return await self._add(server, message, timeout)

    async def list(self, *, timeout: float | None = None) -> list[McpServerInfo]:
        """Return the tenant's servers by name. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[McpServerInfo], str]:
            request = tool_pb2.ListMcpServersRequest(page_size=200, page_token=token)
            response = await self._transport.call(request, tool_pb2.ListMcpServersResponse, timeout=timeout)
            return [wire.server(one) for one in response.servers], response.next_page_token

        return await pages(page, None)

    async def remove(
        self, server: str, *, missing_ok: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Disconnect a server and remove its tools. Raises NotFound unless `missing_ok`, EtagMismatch."""
        name = wire.server_name(server)
        request = tool_pb2.RemoveMcpServerRequest(name=name, etag=etag, allow_missing=missing_ok)
        await self._transport.call(request, tool_pb2.RemoveMcpServerResponse, timeout=timeout)

    async def review(self, server: str, *, timeout: float | None = None) -> McpReview:
        """Return what a server offers otherwise than it was accepted. For persons and administrators."""
        request = pb.ReviewMcpServerRequest(name=wire.server_name(server))
        return wire.review(await self._transport.call(request, pb.ReviewMcpServerResponse, timeout=timeout))

    async def accept(
        self, server: str, offered_sha256: str, *, timeout: float | None = None
    ) -> McpServerInfo:
        """Accept what was looked at, if the server offers exactly that. For persons and administrators.

        Raises EtagMismatch when it offers something else by now.
        """
        request = pb.AcceptMcpServerRequest(
            name=wire.server_name(server), offered_sha256=offered_sha256, request_id=uuid.uuid4().hex
        )
        response = await self._transport.call(request, pb.AcceptMcpServerResponse, timeout=timeout)
        return wire.server(response.server)

    async def _add(self, server: str, message: res.McpServer, timeout: float | None) -> McpServerInfo:
        message.name = wire.server_name(server)
        request = tool_pb2.AddMcpServerRequest(server=message, request_id=uuid.uuid4().hex)
        response = await self._transport.call(request, tool_pb2.AddMcpServerResponse, timeout=timeout)
        return wire.server(response.server)
