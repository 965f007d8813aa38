"""Every reason has its words in each dialect, and nothing that may not be repeated asks to be."""

import pytest

from aios.api.common.v1.errors_pb2 import ErrorReason
from gateway.http.core import refusals
from gateway.http.core.repeated import LengthRefusals
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation, KernelError

REASONS = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()]  # noqa: SIM118 - an enum of protobuf, no dict
RETRIED = {408, 409, 429}
"""Statuses below 500 that the stock SDKs repeat."""


def error(reason: str, code: Code = Code.INTERNAL, **facts: str) -> KernelError:
    made = KernelError("no", metadata=facts)
    made.reason, made.code = reason, code
    return made


@pytest.mark.parametrize("reason", sorted(refusals.TABLE))
def test_the_table_names_reasons_of_the_kernel_only(reason: str) -> None:
    assert reason in REASONS


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_told_in_both_dialects_whole(reason: str) -> None:
    for code in (Code.INTERNAL, Code.INVALID_ARGUMENT, Code.ABORTED, Code.UNKNOWN):
        openai = refusals.openai(error(reason, code))
        anthropic = refusals.anthropic(error(reason, code), "r")

        assert set(openai.body["error"]) == {"message", "type", "param", "code"}  # type: ignore[call-overload]
        assert 400 <= openai.status < 600
        assert anthropic.body["type"] == "error"
        assert anthropic.body["request_id"] == "r"


@pytest.mark.parametrize(
    "reason",
    ["IDEMPOTENCY_MISMATCH", "DEADLINE_EXCEEDED", "QUOTA_EXCEEDED", "CAPABILITY_MISSING", "UNKNOWN_METHOD"],
)
def test_what_another_try_cannot_help_is_not_tried_again(reason: str) -> None:
    told = refusals.openai(error(reason))

    assert told.headers.get("x-should-retry") == "false" or told.status not in RETRIED | set(range(500, 600))


def test_the_first_violation_is_the_parameter() -> None:
    bad = error("INVALID_REQUEST", Code.INVALID_ARGUMENT)
    bad.violations = [FieldViolation("messages[0].role", "x"), FieldViolation("n", "y")]

    assert refusals.openai_error(bad)["param"] == "messages[0].role"


@pytest.mark.parametrize(
    ("after", "said"), [(0.02, ("20", "1")), (7.0, ("7000", "7")), (1e9, ("60000", "60"))]
)
def test_a_client_is_never_told_to_wait_longer_than_a_minute(after: float, said: tuple[str, str]) -> None:
    busy = error("QUEUE_FULL")
    busy.retry_after = after
    headers = refusals.openai(busy).headers

    assert (headers["retry-after-ms"], headers["retry-after"]) == said


def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_look_for() -> None:
    told = refusals.anthropic(error("PROMPT_TOO_LONG", prompt_tokens="9", max_total_tokens="4"), "r")

    assert told.body["error"]["message"] == "prompt is too long: 9 tokens > 4 maximum"  # type: ignore[index]


def test_three_refusals_for_length_in_ten_seconds_stop_an_agent_and_no_other() -> None:
    kept = LengthRefusals()
    long = error("PROMPT_TOO_LONG")
    amy, bob = ("t", "amy"), ("t", "bob")

    assert kept.told(amy, long, 0.0) is long
    assert kept.told(amy, long, 4.0) is long
    assert kept.told(bob, long, 5.0) is long
    assert kept.told(amy, error("QUEUE_FULL"), 6.0).reason == "QUEUE_FULL"
    assert refusals.row_of(kept.told(amy, long, 9.0)).status == 403
    assert kept.told(amy, long, 15.0) is long
