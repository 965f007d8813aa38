"""Synchronous twin of `aios.calls.mcp`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Mapping, Sequence

from aios.calls.mcp import Mcp
from aios.sync.portal import Portal
from aios.types.mcp import McpOAuth, McpReview, McpServerInfo, Secrets
from aios.types.tools import ToolEffect


class SyncMcp:
    """Connects MCP servers; their tools are called with `kernel.tools`. A server is named by its id."""

    def __init__(self, inner: Mcp, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def add_program(
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
        return self._portal.run(
            self._inner.add_program(
                server,
                command,
                environment=environment,
                secret_environment=secret_environment,
                allow_network=allow_network,
                tools=tools,
                effect=effect,
                trust_annotations=trust_annotations,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
                etag=etag,
                timeout=timeout,
            )
        )

    def add_url(
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
        return self._portal.run(
            self._inner.add_url(
                server,
                url,
                headers=headers,
                secret_headers=secret_headers,
                oauth=oauth,
                tools=tools,
                effect=effect,
                trust_annotations=trust_annotations,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
                etag=etag,
                timeout=timeout,
            )
        )

    def list(self, *, timeout: float | None = None) -> list[McpServerInfo]:
        """Return the tenant's servers by name. `timeout` bounds each page."""
        return self._portal.run(self._inner.list(timeout=timeout))

    def remove(
        self, server: str, *, missing_ok: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Disconnect a server and remove its tools. Raises NotFound unless `missing_ok`, EtagMismatch."""
        self._portal.run(self._inner.remove(server, missing_ok=missing_ok, etag=etag, timeout=timeout))

    def review(self, server: str, *, timeout: float | None = None) -> McpReview:
        """Return what a server offers otherwise than it was accepted. For persons and administrators."""
        return self._portal.run(self._inner.review(server, timeout=timeout))

    def accept(self, server: str, offered_sha256: str, *, timeout: float | None = None) -> McpServerInfo:
        """Accept what was looked at, if the server offers exactly that. For persons and administrators.

        Raises EtagMismatch when it offers something else by now.
        """
        return self._portal.run(self._inner.accept(server, offered_sha256, timeout=timeout))
