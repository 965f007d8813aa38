"""One session with a server: opened, asked for its tools, called, and closed whatever it does.

The SDK speaks the protocol, in both revisions. What it would do with a server's own schemas in this process
(checking results, following references) it is not asked to.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Final

from mcp import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    PaginatedRequestParams,
    ToolListChangedNotification,
)
from mcp_types import Tool as WireTool
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from services.chassis.rpc.errors import KernelError
from services.tool.core.pins import MAX_TOOLS, definition
from services.tool.drivers.mcp import answers
from services.tool.drivers.mcp.relay import MAX_ITEMS, CutOff, Relay
from services.tool.drivers.mcp.streams import Ended, Transport
from services.tool.drivers.mcp.terms import Listing, SessionLost
from services.tool.errors import McpServerFailed
from services.tool.model import Progress, ToolOutcome, UnreadableResult

MAX_PAGES: Final = 8
LIST_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 3.0
"""For the last words of a session; what it started is ended afterwards in any case."""
_RESULT: Final = TypeAdapter[CallToolResult | InputRequiredResult](CallToolResult | InputRequiredResult)
_ME: Final = Implementation(name="aios", version=version("aios-kernel"))


class Session:
    """A session. All methods belong to one event loop."""

    def __init__(
        self, relay: Relay, *, web: bool = False, stop: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self._relay = relay
        self._stop = stop
        self._web = web
        self._client: Client | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._close = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._cancelled = 0
        self.trouble = ""
        """Why it ended; empty while it lives."""
        self.stale = False
        """Whether the server said that its tools have changed."""

    @property
    def lives(self) -> bool:
        """Whether it can be used."""
        return self._client is not None and not self.trouble

    @property
    def protocol_version(self) -> str:
        """The revision that was agreed on."""
        return (self._client.protocol_version if self._client is not None else "") or ""

    async def open(self, transport: Callable[[Ended], Transport], seconds: float) -> None:
        """Connect and agree on a revision. Raises McpServerFailed; nothing is left then."""
        self._living = asyncio.create_task(self._live(transport))
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._opened)
        except TimeoutError:
            await self.close(f"it did not answer within {seconds:g} s")
            raise McpServerFailed(f"the server cannot be used: {self.trouble}") from None
        except BaseException:
            await self.close("it was given up")
            raise

    async def close(self, why: str = "the session was closed") -> None:
        """End the session, and whatever it runs. Idempotent."""
        opened = self._client is not None
        self._ended(why)
        living = self._living
        if living is None:
            return
        if opened:
            await asyncio.wait([living], timeout=CLOSE_SECONDS)
        else:
            await asyncio.sleep(0)  # it has to have begun, or what it was given is never ended
        living.cancel()
        await asyncio.wait([living])

    async def offered(self) -> Listing:
        """Ask for the server's tools, as many as anybody takes. Raises McpServerFailed."""
        self.stale = False
        try:
            async with asyncio.timeout(LIST_SECONDS):
                tools, truncated = await self._pages()
            return await asyncio.to_thread(_listing, tools, truncated=truncated)
        except TimeoutError:
            raise McpServerFailed(f"the server did not list its tools within {LIST_SECONDS:g} s") from None
        except MCPError:
            raise McpServerFailed(f"the server did not list its tools{self._because}") from None
        except (ValidationError, ValueError):
            raise McpServerFailed("the server's list of tools is not MCP") from None

    async def call(
        self, tool: str, arguments: Mapping[str, Any], tell: Callable[[Progress], None]
    ) -> ToolOutcome:
        """Call a tool and return what came of it. Raises SessionLost."""
        if self._client is None or self.trouble:
            raise SessionLost(self.trouble)
        params = CallToolRequestParams(name=tool, arguments=dict(arguments))

        async def told(progress: float, total: float | None, message: str | None) -> None:
            tell(answers.progress(progress, total, message))

        try:
            # Past `call_tool`: that would check the result against a schema of the server's, in this process.
            result = await self._client.session.send_request(
                CallToolRequest(params=params), _RESULT, progress_callback=told
            )
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        except MCPError as error:
            if self.trouble or (self._web and _no_answer(error)):
                raise SessionLost(
                    self.trouble or "the connection was closed before the answer came"
                ) from None
            return ToolOutcome(error=answers.failure(error.error.message))
        except (ValidationError, ValueError):
            return ToolOutcome(value=UnreadableResult("the server's answer is not MCP"))
        if isinstance(result, InputRequiredResult):
            return ToolOutcome(
                error=answers.failure("the server asks for input that this kernel does not give")
            )
        return answers.outcome(result)

    async def obeyed(self, seconds: float) -> bool:
        """Tell whether the server is done with everything that was cancelled, within a time."""
        if self._web and self.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return True  # the end of its request is all that such a server hears, and it cannot miss it
        return not self.trouble and await self._relay.obeyed(self._cancelled, seconds)

    async def _live(self, transport: Callable[[Ended], Transport]) -> None:
        """Hold the session open; the SDK wants one task to open and close it."""
        try:
            client = Client(
                transport(self._ended), mode="auto", cache=None, client_info=_ME, message_handler=self._heard
            )
            async with client:
                self._client = client
                if not self._opened.done():
                    self._opened.set_result(None)
                async with asyncio.TaskGroup() as tasks:
                    listening = tasks.create_task(self._listen(client))
                    await self._close.wait()
                    listening.cancel()
        except Exception as error:  # noqa: BLE001 - whatever it does ends the session, and nothing else
            self._ended(_plainly(error))
        finally:
            self._ended("the session ended")
            self._client = None
            if self._stop is not None:
                # Not inside the transport: there, a cancellation comes again at every step.
                await _surely(self._stop())
            if not self._opened.done():
                self._opened.add_done_callback(
                    lambda opened: opened.exception()
                )  # whoever waited may be gone
                self._opened.set_exception(McpServerFailed(f"the server cannot be used: {self.trouble}"))

    def _ended(self, why: str) -> None:
        self.trouble = self.trouble or why
        self._close.set()

    async def _heard(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self.stale = True

    async def _listen(self, client: Client) -> None:
        """Hear of changed tools in the revision that tells them only to who asks."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
            return
        with suppress(MCPError, ListenNotSupportedError, SubscriptionLost, TimeoutError):
            async with client.listen(tools_list_changed=True) as news:
                async for _ in news:
                    self.stale = True

    async def _pages(self) -> tuple[list[WireTool], bool]:
        if self._client is None or self.trouble:
            raise McpServerFailed(f"the server cannot be used{self._because}")
        tools: list[WireTool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            params = PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await self._client.session.list_tools(params=params)
            tools += page.tools
            cursor = page.next_cursor
            if not cursor or len(tools) > MAX_TOOLS:
                break
        return tools[:MAX_ITEMS], bool(cursor) or len(tools) > MAX_ITEMS

    @property
    def _because(self) -> str:
        return f": {self.trouble}" if self.trouble else ""


async def _surely(work: Awaitable[object]) -> None:
    """Wait for work to its end, whatever is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])


def _listing(tools: list[WireTool], *, truncated: bool) -> Listing:
    return Listing(tuple(definition(_members(tool)) for tool in tools), truncated)


def _members(tool: WireTool) -> dict[str, Any]:
    """Return what a tool is shown with. Schemas as they came: a null in them means something."""
    shown = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    shown["inputSchema"] = tool.input_schema
    if tool.output_schema is not None:
        shown["outputSchema"] = tool.output_schema
    if tool.meta is not None:
        shown["_meta"] = dict(tool.meta)
    return shown


def _no_answer(error: MCPError) -> bool:
    """Tell whether the SDK made an error itself because a request over HTTP got no answer of MCP."""
    said, code = error.error.message, error.error.code
    return (code == CONNECTION_CLOSED and said.startswith("SSE stream")) or (
        code == INTERNAL_ERROR and said == "Server returned an error response"
    )


def _plainly(error: BaseException) -> str:
    """Say what went wrong without the server's words: those of libraries may hold them, or addresses."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, KernelError):
        return error.message
    if isinstance(error, CutOff):
        return str(error)
    if isinstance(error, MCPError):
        return f"it refused to begin ({error.error.code})"
    if isinstance(error, RuntimeError):
        return "it offers no revision of the protocol that this kernel speaks"
    return "it does not speak MCP" if isinstance(error, ValueError) else "it cannot be reached"
