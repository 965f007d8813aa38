"""Typed errors as gRPC statuses: what a real kernel sends."""

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from aios._status import DETAILS_KEY, DOMAIN
from aios.errors import BY_CODE, AiosError

CODES: Final = {code.name: code for code in grpc.StatusCode}


def code_of(error: AiosError) -> grpc.StatusCode:
    """Return the status code of an error: that of its nearest ancestor in `BY_CODE`."""
    by_kind = {kind: code for code, kind in BY_CODE.items()}
    for kind in type(error).__mro__:
        if kind in by_kind:
            return CODES[by_kind[kind]]
    return grpc.StatusCode.UNKNOWN


def trailers_of(error: AiosError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries an error's reason and details."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    details = [_packed(info)]
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    if error.violations:
        broken = error_details_pb2.BadRequest()
        for violation in error.violations:
            broken.field_violations.add(field=violation.field, description=violation.description)
        details.append(_packed(broken))
    status = status_pb2.Status(code=code_of(error).value[0], message=error.message, details=details)
    return ((DETAILS_KEY, status.SerializeToString()),)


def _packed(
    message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo | error_details_pb2.BadRequest,
) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed
