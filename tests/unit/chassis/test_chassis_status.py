"""Errors: every reason is in the proto with the right code, and a status survives the way there and back."""

import asyncio
import importlib
import re
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from aios.api.common.v1 import errors_pb2
from services.chassis.rpc import status
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import (
    FieldViolation,
    InvalidRequest,
    KernelError,
    QuotaViolation,
    ServiceUnavailable,
)
from services.chassis.rpc.steps import mapping

ROOT = Path(__file__).parents[3]
PROTO = ROOT / "protos/aios/api/common/v1/errors.proto"
NOT_ERRORS = {"PeerError", "KernelError"}


def documented_codes() -> dict[str, str]:
    """Read from the comments of the proto which code goes with each reason."""
    lines = PROTO.read_text().splitlines()
    codes: dict[str, str] = {}
    comment = ""
    for line in lines:
        if match := re.match(r"\s*ERROR_REASON_(\w+) = \d+;", line):
            codes[match[1]] = comment.partition(".")[0]
            comment = ""
        elif match := re.match(r"\s*// (.*)", line):
            comment += match[1]
        else:
            comment = ""
    return codes


def error_classes() -> list[type[KernelError]]:
    """Import every errors module of the kernel and return the error classes in them."""
    for file in (*ROOT.glob("services/*/errors.py"), *ROOT.glob("gateway/**/errors.py")):
        importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    found: list[type[KernelError]] = []
    todo = [KernelError]
    while todo:
        subclasses = todo.pop().__subclasses__()
        found += subclasses
        todo += subclasses
    return [cls for cls in found if cls.__module__.startswith(("services.", "gateway."))]


def test_every_error_has_a_reason_of_the_proto_with_its_code() -> None:
    documented = documented_codes()
    wrong = [
        f"{cls.__module__}.{cls.__name__}: {cls.reason} {cls.code.name}, not {documented.get(cls.reason)}"
        for cls in error_classes()
        if cls.__name__ not in NOT_ERRORS and documented.get(cls.reason) != cls.code.name
    ]

    assert wrong == []


def test_every_reason_s_comment_begins_with_a_code() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118 - no dict
    documented = documented_codes()

    assert names == set(documented)
    assert {code for reason, code in documented.items() if reason != "UNSPECIFIED"} <= set(Code.__members__)


def test_an_error_survives_the_way_there_and_back() -> None:
    error = InvalidRequest(
        "bad",
        metadata={"a": "b"},
        retry_after=1.25,
        violations=[FieldViolation("note.key", "too long")],
        quota=QuotaViolation("agents/planner", "notes"),
    )
    back = status.from_status(status_pb2.Status.FromString(status.to_status(error).SerializeToString()))

    assert back is not None
    assert (back.reason, back.code, back.message) == ("INVALID_REQUEST", Code.INVALID_ARGUMENT, "bad")
    assert (back.metadata, back.retry_after) == ({"a": "b"}, 1.25)
    assert (back.violations, back.quota) == (error.violations, error.quota)


def test_a_status_of_somebody_else_is_not_ours() -> None:
    foreign = status_pb2.Status(code=3)
    foreign.details.add().Pack(error_details_pb2.ErrorInfo(reason="X", domain="example.com"))

    assert status.from_status(foreign) is None
    assert status.from_status(status_pb2.Status(code=3)) is None


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_twin_in_grpc(code: Code) -> None:
    assert status.GRPC_CODES[code].name == code.name
    assert status.our_code(status.GRPC_CODES[code]) is code


@pytest.mark.parametrize("letter", ["x", "\u4e2d", "\U0001f600"])
def test_a_status_fits_into_what_a_client_accepts_as_metadata(letter: str) -> None:
    long = letter * 5_000
    error = KernelError(
        long,
        metadata={"a": long, "b": long},
        violations=[FieldViolation(long, long) for _ in range(1_000)],
    )
    packed = status.to_status(error)
    on_the_wire = len(packed.SerializeToString()) * 4 / 3 + len(quote(packed.message))

    assert on_the_wire < 8_000
    assert packed.message.endswith("...")
    assert status.from_status(packed) is not None


class Ended:
    """A context whose call has ended in one of the ways the library knows."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def abort(self, *_status: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error", [grpc.aio.UsageError("Abort already called!"), grpc.aio.InternalError("the caller left")]
)
async def test_a_call_that_has_ended_is_not_ended_again(error: Exception) -> None:
    with pytest.raises(asyncio.CancelledError):  # the library's own word for a handler that is over
        await mapping.abort(Ended(error), ServiceUnavailable("away", retry_after=1.0))  # type: ignore[arg-type]
