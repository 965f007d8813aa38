"""Tools on the wire."""

import json
from collections.abc import Mapping
from typing import Any, cast

from google.protobuf import json_format

from aios._wire import common
from aios._wire.common import duration
from aios._wire.records import plain, record
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.types.llm import ToolSpec
from aios.types.tools import CallInfo, CallProgress, Piece, ToolEffect, ToolInfo, ToolResult

EFFECTS: Mapping[ToolEffect, res.ToolEffect] = {
    "unspecified": res.TOOL_EFFECT_UNSPECIFIED,
    "pure": res.TOOL_EFFECT_PURE,
    "idempotent": res.TOOL_EFFECT_IDEMPOTENT,
    "reversible": res.TOOL_EFFECT_REVERSIBLE,
    "irreversible": res.TOOL_EFFECT_IRREVERSIBLE,
}


def tool_name(tool: str) -> str:
    """Return the resource name of a tool given by id or name."""
    return tool if tool.startswith("tools/") else f"tools/{tool}"


def tool(message: res.Tool) -> ToolInfo:
    """Return a tool from protobuf."""
    return record(
        ToolInfo,
        message,
        parameters=_schema(message.parameters_schema_json, message.parameters_schema),
        result=_schema(message.result_schema_json, message.result_schema),
    )


def _schema(text: str, struct: Any) -> dict[str, Any]:
    if text:
        return dict(json.loads(text))
    return dict(plain(json_format.MessageToDict(struct)))


def tool_message(
    spec: ToolSpec,
    *,
    effect: ToolEffect,
    timeout: float | None,
    max_concurrency: int,
    labels: Mapping[str, str],
    etag: str,
    requires_approval: bool = False,
    locks: tuple[str, ...] = (),
) -> res.Tool:
    """Return a tool to register, without its driver."""
    return res.Tool(
        name=tool_name(spec.name),
        description=spec.description,
        parameters_schema_json=json.dumps(spec.parameters) if spec.parameters else "",
        effect=EFFECTS[effect],
        timeout=duration(timeout),
        max_concurrency=max_concurrency,
        labels=labels,
        etag=etag,
        requires_approval=requires_approval,
        locks=locks,
    )


def http_driver(url: str, method: str, headers: Mapping[str, str]) -> res.HttpDriver:
    """Return an HTTP driver. Raises ValueError for an unknown method."""
    verb = cast("res.HttpMethod", common.number(res.HttpMethod, "HTTP_METHOD_", method, "method"))
    return res.HttpDriver(url=url, method=verb, headers=headers)


def result(message: res.CallResult, call: str) -> ToolResult:
    """Return a result from protobuf, its numbers exact where the kernel sends them so."""
    value = json.loads(message.value_json) if message.value_json else None
    if value is None and message.HasField("value"):
        value = plain(json_format.MessageToDict(message.value))
    pieces = tuple(record(Piece, piece) for piece in message.content)
    return ToolResult(value=value, content=pieces, untrusted=message.untrusted, call=call)


def call(message: res.Call) -> CallInfo:
    """Return an entry of the ledger from protobuf."""
    found = result(message.result, message.name) if message.HasField("result") else None
    return record(CallInfo, message, result=found)


def progress(message: pb.CallProgress) -> CallProgress:
    """Return how far a call is."""
    return record(CallProgress, message)
