"""The SDK's server with the kernel behind it: each handler asks the kernel in its caller's name."""

import secrets
from contextvars import ContextVar
from typing import Any, Final, Protocol

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated, ServerEvent
from mcp_types.methods import SPEC_CLIENT_METHODS
from pydantic import ValidationError

from gateway.http.kernel import Kernel
from gateway.http.mcp.failures import protocol_error
from gateway.http.mcp.listening import Listening
from gateway.http.mcp.resources import ResourceHandlers
from gateway.http.mcp.sessions import Session
from gateway.http.mcp.settings import McpSettings
from gateway.http.mcp.syscalls import Caller
from gateway.http.mcp.tools import ToolHandlers
from gateway.http.mcp.uris import Resource
from gateway.http.mcp.watches import FileWatch, watchable
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.steps import mapping

NAME: Final = "aios"
CALLER: Final = "aios.caller"
"""Where the ASGI scope of a request has its Caller."""
SESSION: Final = "aios.session"
"""Where it has its Session, if it belongs to one."""

SCHEMA: Final[ContextVar[tuple[str, dict[str, Any]] | None]] = ContextVar("mcp_schema", default=None)
"""Name and argument schema of the tool that the running request calls, read before the SDK asks for it."""

_INSTRUCTIONS: Final = (
    "The AIOS kernel. Tools run under the caller's rights; one that cannot be undone waits for a person's "
    "approval. Files, notes and conversations of the caller are resources aios://files/..., aios://notes/..., aios://contexts/..."
)
_OTHER: Final = "other"

Context = ServerRequestContext[Any, Any]


class Meter(Protocol):
    """What the door records."""

    def answered(self, method: str, outcome: str) -> None:
        """Record a request that was answered: its method and `ok`, `failed` or `error`."""
        ...


class Handlers:
    """The handlers of the SDK's server."""

    def __init__(self, kernel: Kernel, settings: McpSettings, meter: Meter) -> None:
        self._kernel = kernel
        self._settings = settings
        self._meter = meter
        self.tools = ToolHandlers(kernel, settings)
        self.resources = ResourceHandlers(kernel, settings)

    async def list_tools(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Answer tools/list."""
        return await self.tools.list(_caller(ctx), _cursor(params), ctx.protocol_version)

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Answer tools/call."""
        return await self.tools.call(_caller(ctx), params, ctx.session, ctx.protocol_version)

    async def list_resources(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Answer resources/list."""
        return await self.resources.list(_caller(ctx), _cursor(params))

    async def list_templates(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Answer resources/templates/list, which has one page."""
        del ctx
        if _cursor(params):
            raise InvalidRequest.field("cursor", "is not one that this list returned")
        return self.resources.templates()

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Answer resources/read."""
        return await self.resources.read(_caller(ctx), params.uri, ctx.protocol_version)

    async def subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        """Answer resources/subscribe of the older revisions: the session follows the caller's files."""
        session, resource = _session(ctx), _watchable(params.uri)
        if session.watch is None:

            async def publish(event: ServerEvent) -> None:
                if isinstance(event, ResourceUpdated):
                    await ctx.session.send_resource_updated(event.uri)

            session.watch = FileWatch(self._kernel, session.caller, publish)
        watched = session.watch.resources
        if resource not in watched and len(watched) >= self._settings.subscriptions_per_session:
            raise InvalidRequest.field("uri", f"a session may have {len(watched)} subscriptions")
        watched[resource] = params.uri
        await session.watch.start()
        return types.EmptyResult()

    async def unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        """Answer resources/unsubscribe."""
        session, resource = _session(ctx), _watchable(params.uri)
        if session.watch is not None:
            session.watch.resources.pop(resource, None)
            if not session.watch.resources:
                await session.watch.stop()
        return types.EmptyResult()

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Answer subscriptions/listen of 2026-07-28: what changes, until the client or the kernel ends it."""
        listening = Listening(self._kernel, self._settings, _caller(ctx), params.notifications)
        return await listening.serve(ctx, params)

    async def measure(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Count each request, and turn whatever was raised into an error that a client may see."""
        if ctx.request_id is None:
            return await call_next(ctx)
        outcome = "error"
        try:
            result = await call_next(ctx)
            outcome = "failed" if _is_failure(result) else "ok"
        except (MCPError, ValidationError):
            raise
        except Exception as error:
            raise protocol_error(mapping.typed(error, f"mcp {ctx.method}")) from error
        finally:
            self._meter.answered(ctx.method if ctx.method in SPEC_CLIENT_METHODS else _OTHER, outcome)
        return result


def make(handlers: Handlers, settings: McpSettings, version: str) -> Server[Any]:
    """Return the SDK's server."""
    server: Server[Any] = Server(
        NAME,
        version=version,
        title="AIOS kernel",
        instructions=_INSTRUCTIONS,
        get_tool_input_schema=_known_schema,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
        on_subscribe_resource=handlers.subscribe,
        on_unsubscribe_resource=handlers.unsubscribe,
        on_subscriptions_listen=handlers.listen,
    )
    keys = settings.state_keys or (secrets.token_hex(),)
    seal = RequestStateSecurity(keys=keys, bind_principal=_principal)
    server.middleware.append(handlers.measure)
    server.middleware.append(RequestStateBoundary(seal, default_audience=NAME))
    return server


def _known_schema(name: str) -> dict[str, Any] | None:
    known = SCHEMA.get()
    return known[1] if known is not None and known[0] == name else None


def _principal(ctx: Context) -> str:
    """Bind what a client carries to its agent: its credential may be renewed between two rounds."""
    return _caller(ctx).agent


def _scope(ctx: Context) -> Any:
    """Return the ASGI scope of the request that brought a message."""
    if ctx.request is None:
        raise RuntimeError("the message came without its request")
    return ctx.request.scope


def _caller(ctx: Context) -> Caller:
    caller: Caller = _scope(ctx)[CALLER]
    return caller


def _session(ctx: Context) -> Session:
    session: Session | None = _scope(ctx)[SESSION]
    if session is None:
        raise InvalidRequest("a subscription needs a session")
    return session


def _watchable(uri: str) -> Resource:
    resource = watchable(uri)
    if resource is None:
        raise InvalidRequest.field("uri", "only resources aios://files/... can be subscribed to")
    return resource


def _cursor(params: types.PaginatedRequestParams | None) -> str:
    return (params.cursor if params is not None else None) or ""


def _is_failure(result: HandlerResult) -> bool:
    return isinstance(result, dict) and result.get("isError") is True
