"""Tools and results of the kernel as MCP tells them, and arguments the other way. Knows protobuf and MCP."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from aios.api.tool.v1 import resources_pb2 as res
from gateway.http.mcp.failures import META
from services.chassis.rpc.errors import InvalidRequest

_EFFECTS: Final = {
    res.TOOL_EFFECT_PURE: "pure",
    res.TOOL_EFFECT_IDEMPOTENT: "idempotent",
    res.TOOL_EFFECT_REVERSIBLE: "reversible",
}
_IRREVERSIBLE: Final = "irreversible"
_PLAIN: Final = "text/plain"


def is_modern(revision: str) -> bool:
    """Tell whether a revision knows no sessions: 2026-07-28 and later."""
    return revision in MODERN_PROTOCOL_VERSIONS


def tool(found: res.Tool, *, modern: bool) -> types.Tool:
    """Show a tool of the kernel, its schemas whole."""
    effect = _EFFECTS.get(found.effect, _IRREVERSIBLE)
    told: dict[str, Any] = {"effect": effect, "available": found.available}
    if found.owner:
        told["owner"] = found.owner
    if found.unavailable_reason:
        told["unavailableReason"] = found.unavailable_reason
    if found.returns_untrusted:
        told["returnsUntrusted"] = True
    if found.requires_approval or effect == _IRREVERSIBLE:
        told["needsApproval"] = True
    return types.Tool(
        name=found.name.removeprefix("tools/"),
        title=found.title or None,
        description=found.description,
        input_schema=input_schema(found),
        output_schema=_output_schema(found, modern=modern),
        annotations=types.ToolAnnotations(
            read_only_hint=effect == "pure",
            destructive_hint=effect == _IRREVERSIBLE,
            idempotent_hint=effect in ("pure", "idempotent"),
            open_world_hint=found.returns_untrusted,
        ),
        _meta={META: told},
    )


def input_schema(found: res.Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments; a tool without one takes none."""
    schema: dict[str, Any] = json.loads(found.parameters_schema_json or "{}")
    if not schema:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return schema if schema.get("type") == "object" else {**schema, "type": "object"}


def _output_schema(found: res.Tool, *, modern: bool) -> dict[str, Any] | None:
    """Return the schema of a tool's results. Until 2025-11-25 only that of an object could be told."""
    schema: dict[str, Any] = json.loads(found.result_schema_json or "{}")
    return schema if schema and (modern or schema.get("type") == "object") else None


def arguments_json(arguments: Mapping[str, Any] | None) -> str:
    """Write arguments as the kernel takes them. Raises InvalidRequest for what is no JSON."""
    try:
        text = json.dumps(arguments or {}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, RecursionError):  # NaN, lone surrogates, too deep
        raise InvalidRequest.field("arguments", "are no JSON of Unicode text and finite numbers") from None
    return text


def result(call: res.Call, *, modern: bool) -> types.CallToolResult:
    """Show how a call ended that succeeded: its pieces, and its JSON value as text and as structure."""
    found = call.result
    value = json.loads(found.value_json or "null")
    content = [_piece(piece, f"aios://{call.name}/{at}") for at, piece in enumerate(found.content)]
    if value is not None or not content:
        text = value if isinstance(value, str) else found.value_json or "null"
        content.append(types.TextContent(text=text))
    told: dict[str, Any] = {"call": call.name, "attempts": call.attempt_count}
    if found.untrusted:
        told["untrusted"] = True
    structured = value if modern or isinstance(value, dict) else None
    return types.CallToolResult(content=content, structured_content=structured, _meta={META: told})


def _piece(piece: res.Content, uri: str) -> types.ContentBlock:
    """Show a piece of a result. What MCP has no kind for is a resource of its own, embedded whole."""
    kind, media = piece.WhichOneof("kind"), piece.media_type
    if kind == "uri":
        return types.ResourceLink(name=piece.uri, uri=piece.uri, mime_type=media or None)
    if kind == "data":
        data = base64.b64encode(piece.data).decode()
        if media.startswith("image/"):
            return types.ImageContent(data=data, mime_type=media)
        if media.startswith("audio/"):
            return types.AudioContent(data=data, mime_type=media)
        return types.EmbeddedResource(
            resource=types.BlobResourceContents(uri=uri, blob=data, mime_type=media or None)
        )
    if media in ("", _PLAIN):
        return types.TextContent(text=piece.text)
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, text=piece.text, mime_type=media)
    )
