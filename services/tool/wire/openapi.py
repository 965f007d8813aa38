"""OpenAPI documents between protobuf and the model."""

from typing import Final

from aios.api.tool.v1 import openapi_pb2
from services.chassis.auth.identity import Caller
from services.tool.core.api_terms import ApiChangeKind, ApiOffer, ApiResult
from services.tool.model import DEFAULT_RESPONSE_BYTES, DEFAULT_TIMEOUT_SECONDS
from services.tool.wire import common

_MAX_REASON: Final = 1024
_KINDS: Final = {
    ApiChangeKind.ADDED: openapi_pb2.OPEN_API_CHANGE_KIND_ADDED,
    ApiChangeKind.CHANGED: openapi_pb2.OPEN_API_CHANGE_KIND_CHANGED,
    ApiChangeKind.REMOVED: openapi_pb2.OPEN_API_CHANGE_KIND_REMOVED,
    ApiChangeKind.UNCHANGED: openapi_pb2.OPEN_API_CHANGE_KIND_UNCHANGED,
}


def read(request: openapi_pb2.RegisterOpenApiRequest, caller: Caller) -> ApiOffer:
    """Read what is offered. Raises InvalidRequest."""
    return ApiOffer(
        api=common.tool_id(request.name),
        document=request.document,
        base_url=request.base_url,
        operations=frozenset(request.operations),
        headers=dict(request.headers),
        secret_headers=dict(request.secret_headers),
        vouched=request.vouched,
        replaces=request.replaces_sha256,
        allow_breaking=request.allow_breaking,
        dry_run=request.dry_run,
        timeout_seconds=common.seconds(request, "timeout") or DEFAULT_TIMEOUT_SECONDS,
        max_response_bytes=request.max_response_bytes or DEFAULT_RESPONSE_BYTES,
        untrusted=caller.untrusted,
    )


def write(result: ApiResult) -> openapi_pb2.RegisterOpenApiResponse:
    """Write what became of a document."""
    changes = [
        openapi_pb2.OpenApiChange(
            tool=f"{common.TOOLS}/{change.tool}",
            kind=_KINDS[change.kind],
            fields=[
                openapi_pb2.OpenApiFieldChange(name=one.name, before=one.before, after=one.after)
                for one in change.fields
            ],
        )
        for change in result.changes
    ]
    left_out = [
        openapi_pb2.OpenApiLeftOut(operation=name, reason=why[:_MAX_REASON])
        for name, why in sorted(result.left_out.items())
    ]
    return openapi_pb2.RegisterOpenApiResponse(
        document_sha256=result.sha256, proposed_servers=result.servers, changes=changes, left_out=left_out
    )
