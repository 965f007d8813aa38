"""A rich status that was spoilt on its way costs its details, and nothing else."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from services.chassis.rpc.errors import Internal, KernelError, ServiceUnavailable
from services.chassis.rpc.status import DETAILS_KEY, failure_of

SPOILT = b"\x08\x10\x12<the t\x90ken is malformed"


def spoilt_detail() -> bytes:
    status = status_pb2.Status(code=14)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="DRAINING", domain="aios"))
    whole: bytes = status.SerializeToString()
    return whole.replace(b"DRAINING", b"DR\x90INING")


@pytest.mark.parametrize(
    ("code", "error"),
    [(grpc.StatusCode.UNAVAILABLE, ServiceUnavailable), (grpc.StatusCode.UNAUTHENTICATED, Internal)],
)
def test_what_is_left_is_the_code(code: grpc.StatusCode, error: type[KernelError]) -> None:
    for spoilt in (SPOILT, spoilt_detail()):
        assert type(failure_of(code, [(DETAILS_KEY, spoilt)])) is error
