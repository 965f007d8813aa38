"""HTTP APIs and where tools may send to, on the wire."""

from aios._wire.records import record
from aios.api.tool.v1 import egress_pb2, openapi_pb2
from aios.types.web import ApiChange, ApiFieldChange, ApiLeftOut, ApiResult, EgressInfo


def api_name(api: str) -> str:
    """Return the name of an API given by prefix or name."""
    return api if api.startswith("tools/") else f"tools/{api}"


def result(message: openapi_pb2.RegisterOpenApiResponse) -> ApiResult:
    """Return what became of a document."""
    changes = (
        record(ApiChange, change, fields=tuple(record(ApiFieldChange, one) for one in change.fields))
        for change in message.changes
    )
    left_out = (record(ApiLeftOut, one) for one in message.left_out)
    return record(ApiResult, message, changes=tuple(changes), left_out=tuple(left_out))


def egress(message: egress_pb2.EgressPolicy) -> EgressInfo:
    """Return where tools may send to."""
    return record(EgressInfo, message)
