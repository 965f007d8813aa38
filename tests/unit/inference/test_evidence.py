"""What a failure tells of a replica, and what its caller is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference import errors
from gateway.inference.core.evidence import MOST_TOLD, Evidence, cause, evidence


def every_error() -> list[type[errors.BackendError]]:
    """Return all the ways in which a backend can fail."""
    found = [errors.BackendError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found[1:]


def test_each_failure_is_evidence_of_something() -> None:
    told = {kind.__name__: evidence(kind("x")) for kind in every_error()}

    refusals = {name for name, each in told.items() if each is Evidence.REFUSAL}
    assert refusals == {
        "BackendInvalid",
        "ConstraintRefused",
        "PromptOverflow",
        "NotRunning",
        "NotSuspendable",
    }
    assert told["BackendBroken"] is Evidence.ODD_ANSWER
    assert told["BackendUnreachable"] is Evidence.ABSENCE
    assert {
        told[name] for name in ("BackendUnavailable", "BackendStalled", "BackendOverloaded", "UnmarkedEnd")
    } == {Evidence.FAILURE}


@given(st.text(max_size=5000))
def test_a_cause_is_one_short_printable_line(text: str) -> None:
    told = cause(errors.BackendBroken(text))

    assert len(told) <= MOST_TOLD + 3
    assert told.isprintable() or not told
    told.encode()


def test_a_long_cause_is_cut() -> None:
    assert cause(errors.BackendBroken("why " * 1000)) == ("why " * 1000)[:MOST_TOLD] + "..."


@pytest.mark.parametrize("text", ["\ud83d", "a\n\nb", "x\x00y"])
def test_what_no_trailer_can_carry_is_left_out_of_a_cause(text: str) -> None:
    assert cause(errors.BackendBroken(text)).encode().isascii()
