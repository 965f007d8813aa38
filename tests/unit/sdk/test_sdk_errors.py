"""Errors, their statuses and when they are retried."""

import re
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from aios import errors
from aios._retry import RetryPolicy, is_transient
from aios._status import DETAILS_KEY, error_of
from aios.api.common.v1 import errors_pb2
from aios.testing.status import CODES, code_of, trailers_of

PREFIX = "ERROR_REASON_"
REASONS = [name.removeprefix(PREFIX) for name in errors_pb2.ErrorReason.keys()[1:]]  # an enum wrapper


def failure(code: grpc.StatusCode, text: str = "", details: object = ()) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(*details)  # type: ignore[misc]
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, text)


def test_every_reason_has_a_class_and_no_other_has() -> None:
    assert set(errors.BY_REASON) == set(REASONS)


def test_the_class_of_a_reason_has_the_code_that_the_proto_names() -> None:
    text = (Path(__file__).parents[3] / "protos/aios/api/common/v1/errors.proto").read_text()
    documented = re.findall(r"// ([A-Z_]+)\. [^=]*?ERROR_REASON_([A-Z_]+) = ", text)

    assert len(documented) == len(REASONS)
    for code, reason in documented:
        assert code_of(errors.BY_REASON[reason]()).name == code, reason


def test_every_code_but_ok_and_unknown_has_a_class() -> None:
    assert set(errors.BY_CODE) == set(CODES) - {"OK", "UNKNOWN"}


@pytest.mark.parametrize("reason", REASONS)
def test_an_error_survives_the_wire(reason: str) -> None:
    kind = errors.BY_REASON[reason]
    sent = kind(
        "what happened",
        reason=reason,
        metadata={"a": "b"},
        retry_after=1.5,
        violations=(errors.Violation("note.content", "is required"),),
    )

    got = error_of(failure(code_of(sent), "x", trailers_of(sent)), "PutNote")

    assert type(got) is kind
    assert (got.reason, got.message, got.metadata) == (reason, "what happened", {"a": "b"})
    assert (got.retry_after, got.violations, got.method) == (1.5, sent.violations, "PutNote")


def test_a_reason_newer_than_this_client_falls_back_to_its_code() -> None:
    sent = errors.NotFound("gone", reason="PLANET_NOT_FOUND")

    got = error_of(failure(grpc.StatusCode.NOT_FOUND, "", trailers_of(sent)), "GetNote")

    assert type(got) is errors.NotFound
    assert got.reason == "PLANET_NOT_FOUND"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", errors.Unavailable),
        (grpc.StatusCode.CANCELLED, "", errors.Unavailable),
        (grpc.StatusCode.CANCELLED, "by an administrator", errors.Cancelled),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", errors.Unavailable),
        (grpc.StatusCode.INTERNAL, "oops", errors.InternalError),
        (grpc.StatusCode.UNKNOWN, "Stream removed", errors.Unavailable),
        (grpc.StatusCode.UNKNOWN, "what", errors.AiosError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max", errors.RequestTooLarge),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", errors.DeadlineExceeded),
    ],
)
def test_answers_without_details_are_told_by_code_and_text(
    code: grpc.StatusCode, text: str, kind: type[errors.AiosError]
) -> None:
    assert type(error_of(failure(code, text), "M")) is kind


def test_unreadable_details_are_ignored() -> None:
    broken = failure(grpc.StatusCode.NOT_FOUND, "no", ((DETAILS_KEY, b"\xff\xff"),))
    foreign = status_pb2.Status(code=5, message="no").SerializeToString()

    assert error_of(broken, "M").reason == "NOT_FOUND"
    assert error_of(failure(grpc.StatusCode.NOT_FOUND, "no", ((DETAILS_KEY, foreign),)), "M").message == "no"


def test_an_error_reads_well() -> None:
    error = errors.InvalidRequest("1 rule", violations=(errors.Violation("a.b", "is long"),))

    assert str(error) == "INVALID_REQUEST: 1 rule (a.b: is long)"
    assert str(errors.NotFound()) == "NOT_FOUND"


def test_only_what_may_pass_is_transient() -> None:
    assert is_transient(errors.Unavailable())
    assert is_transient(errors.NoBackend())
    assert is_transient(errors.QueueFull(retry_after=1))
    assert not is_transient(errors.QueueFull())
    assert not is_transient(errors.WaitExpired(retry_after=1))
    assert not is_transient(errors.InternalError())
    assert not is_transient(errors.NotFound())


@given(
    attempt=st.integers(1, 200), jitter=st.floats(0, 1, exclude_max=True), asked=st.none() | st.floats(0, 60)
)
def test_a_pause_is_bounded_and_never_shorter_than_asked(
    attempt: int, jitter: float, asked: float | None
) -> None:
    policy = RetryPolicy(first_delay=0.1, max_delay=2.0, rng=lambda: jitter)

    pause = policy.delay(errors.Unavailable(retry_after=asked), attempt)

    assert pause is not None
    assert (asked or 0.0) <= pause <= max(2.0, asked or 0.0)
    assert pause >= min(0.1 * 2 ** (attempt - 1), 2.0) / 2


def test_a_hopeless_error_is_not_paused_for() -> None:
    assert RetryPolicy().delay(errors.NotFound(), 1) is None


def test_what_the_message_says_of_a_violation_is_not_said_twice() -> None:
    told = errors.Violation("agent_id", "is no id...")
    error = errors.InvalidRequest("agent_id: is no id, being long", violations=(told,))
    assert str(error) == "INVALID_REQUEST: agent_id: is no id, being long"

    more = errors.Violation("kind", "is too long")
    assert str(errors.InvalidRequest("agent_id: is no id, x", violations=(told, more))).endswith(
        "x (kind: is too long)"
    )


def test_a_traceback_shows_what_to_do_next() -> None:
    assert errors.QueueFull("128 calls wait").__notes__ == [errors.QueueFull().hint]
    assert not hasattr(errors.AiosError("odd", reason="UNHEARD_OF"), "__notes__")
