"""The kernel's errors in the words of MCP: results that say what went wrong, JSON-RPC errors, statuses."""

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from gateway.http.core.refusals import openai
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import InvalidRequest, KernelError, MalformedRequest
from services.chassis.rpc.status import brief

META: Final = "aios"
"""Where results, tools and errors carry what only the kernel knows."""

REFUSED: Final = -32010
"""Code of a JSON-RPC error for what the kernel refused; its data says why."""

_NOT_FOUND_BEFORE_2026: Final = -32002
_SAID_BY_THE_TOOL: Final = "TOOL_FAILED"
_BAD_PARAMETERS: Final = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE})


def details(error: KernelError) -> dict[str, Any]:
    """Return all that an error says, for programs."""
    told: dict[str, Any] = {"reason": error.reason, "metadata": dict(error.metadata)}
    if error.retry_after is not None:
        told["retryAfterSeconds"] = error.retry_after
    if error.violations:
        told["violations"] = [{"field": v.field, "description": v.description} for v in error.violations]
    return told


def text_of(error: KernelError) -> str:
    """Return what a model reads: the tool's own words as they are, the kernel's behind their reason."""
    return error.message if error.reason == _SAID_BY_THE_TOOL else f"{error.reason}: {error.message}"


def failed(error: KernelError) -> types.CallToolResult:
    """Return the result of a tool call that failed, so that the model may react to it.

    Raises MCPError when the request itself cannot be understood.
    """
    if error.reason in (InvalidRequest.reason, MalformedRequest.reason):
        raise protocol_error(error)
    return types.CallToolResult(
        content=[types.TextContent(text=text_of(error))], is_error=True, _meta={META: details(error)}
    )


def protocol_error(error: KernelError) -> MCPError:
    """Return the JSON-RPC error for what the kernel refused."""
    code = types.INVALID_PARAMS if error.code in _BAD_PARAMETERS else REFUSED
    return MCPError(code, brief(text_of(error)), {META: details(error)})


def no_resource(uri: str, *, modern: bool) -> MCPError:
    """Return the error for a resource that is not there."""
    code = types.INVALID_PARAMS if modern else _NOT_FOUND_BEFORE_2026
    return MCPError(code, "Resource not found", {"uri": uri})


def http_status(error: KernelError) -> tuple[int, dict[str, str]]:
    """Return status and headers of a request that was refused before MCP saw it: the door's own table."""
    told = openai(error)
    return told.status, dict(told.headers)


def http_body(error: KernelError) -> Mapping[str, Any]:
    """Return the body of such a refusal: a JSON-RPC error that belongs to no request."""
    return {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": REFUSED, "message": brief(text_of(error)), "data": {META: details(error)}},
    }
