"""Runs the tools of MCP servers."""

import asyncio
from collections.abc import Coroutine
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import KernelError
from services.tool.core.redaction import RedactedProgress, Redactor, redacted, redacted_error
from services.tool.drivers.mcp.link import Link, Links, Opened
from services.tool.drivers.mcp.terms import SessionLost
from services.tool.errors import (
    CapabilityMissing,
    McpServerFailed,
    ToolChanged,
    UnknownOutcome,
)
from services.tool.model import McpBinding, Progress, Tool, ToolOutcome
from services.tool.ports import Job

GRACE_SECONDS: Final = 2.0
"""How long a server has to end a call that was cancelled, before its session is ended."""
PROGRESS_PAUSE: Final = 0.1
"""Between two pieces of news of one call; what comes in between is passed over."""


class McpDriver:
    """Runs the tools of MCP servers. A ToolDriver."""

    def __init__(self, links: Links, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._links = links
        self._grace = grace_seconds

    async def prepare(self, _scope: Scope, _tool: Tool) -> Tool:
        """Refuse: such tools come with their servers. Raises CapabilityMissing."""
        raise CapabilityMissing("tools of MCP servers come with AddMcpServer", metadata={"driver": "mcp"})

    def problem(self, scope: Scope, tool: Tool) -> str:
        """Return the reason for which a tool cannot be called now."""
        bound = _bound(tool)
        if bound.suspended:
            return ToolChanged.reason
        if self._links.dials.problem:
            return CapabilityMissing.reason
        link = self._links.known(scope.tenant, bound.server)
        return McpServerFailed.reason if link is not None and link.problem else ""

    async def run(self, job: Job) -> ToolOutcome:
        """Call the tool at its server.

        Raises ToolChanged, McpServerFailed, UnknownOutcome where the server was lost and may have done it,
        and what reaching a server is refused with.
        """
        bound = _bound(job.tool)
        link = self._links.of(job.scope.tenant, bound.server)
        opened = await link.ready()
        if not opened.accepts(bound.tool, bound.pinned_sha256):
            raise ToolChanged(
                f"tools/{job.tool.id} is not what was accepted: a person has to look at its server",
                metadata={"server": f"mcpservers/{bound.server}"},
            )
        with link.using(opened):
            try:
                return await self._called(link, opened, job, bound)
            except asyncio.CancelledError:
                await _seen_through(self._links, link.abandon(opened, self._grace))
                raise

    async def _called(self, link: Link, opened: Opened, job: Job, bound: McpBinding) -> ToolOutcome:
        news = _News(job, opened.dialled.redactor())
        try:
            outcome = await opened.dialled.session.call(bound.tool, job.arguments, news.told)
        except SessionLost as error:
            await _seen_through(self._links, link.lost(opened, str(error)))
            raise redacted_error(_lost(job, str(error)), opened.dialled.redactor()) from None
        link.worked()
        redactor = opened.dialled.redactor()
        return await asyncio.to_thread(redacted, outcome, redactor) if redactor else outcome


class _News:
    """What one call tells of its progress: without secrets, and not too often."""

    def __init__(self, job: Job, redactor: Redactor) -> None:
        self._job = job
        self._redacted = RedactedProgress(redactor)
        self._next = 0.0

    def told(self, progress: Progress) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + PROGRESS_PAUSE
            self._job.tell(self._redacted.told(progress))


def _bound(tool: Tool) -> McpBinding:
    bound = tool.driver.mcp
    if bound is None:
        raise ToolChanged(f"tools/{tool.id} belongs to no MCP server")
    return bound


def _lost(job: Job, why: str) -> KernelError:
    """Return what a call ends with whose server was lost: it may have done it, and may not do it twice."""
    if job.tool.effect.repeatable:
        return McpServerFailed(f"the server was lost: {why}", retry_after=1.0)
    return UnknownOutcome(f"the server was lost while it ran the call ({why}); look before you call again")


async def _seen_through(links: Links, ending: Coroutine[None, None, None]) -> None:
    """Wait for what ends something; it goes on by itself when whoever waits is cancelled."""
    task = asyncio.create_task(ending)
    links.keep(task)
    await asyncio.shield(task)
