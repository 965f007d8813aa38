"""The rules of tools that agents make, without anything around them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc.errors import InvalidRequest
from services.tool.core import making, sharing
from services.tool.core.making import DraftState, Example, ExampleEnd, Trial
from services.tool.errors import ArgumentsInvalid, EtagMismatch, ResultInvalid, SchemaInvalid, ToolNotTested
from services.tool.model import Effect
from tests.fakes.tool_making import NOW, content, draft

GREEN = ExampleEnd(passed=True, result_json="4")
RED = ExampleEnd(passed=False, problem="TOOL_FAILED: no")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def trial(of: making.Draft, *ends: ExampleEnd) -> Trial:
    return Trial(
        sha256=of.sha256,
        source_sha256=making.source_digest(of.content),
        interpreter="3.11.7",
        sandbox="landlock",
        examples=ends or (GREEN, GREEN),
        tested_at=NOW,
    )


def passed_draft(source: str = "# double", **fields: Any) -> making.Draft:
    own = bool(fields.pop("own", False))
    new = draft(source, **fields)
    return making.tested(new, trial(new), own=own)


def test_a_draft_passes_by_all_of_its_examples() -> None:
    new = draft()

    assert making.tested(new, trial(new), own=False).state is DraftState.TESTED
    assert making.tested(new, trial(new), own=True).state is DraftState.OWN
    assert making.tested(new, trial(new, GREEN, RED), own=True).state is DraftState.DRAFT


def test_an_own_tool_that_fails_its_examples_is_a_draft_again() -> None:
    own = passed_draft(own=True)

    assert making.tested(own, trial(own, RED), own=True).state is DraftState.DRAFT
    assert making.tested(own, trial(own), own=False).state is DraftState.OWN


def test_a_test_of_something_else_does_not_count() -> None:
    with pytest.raises(EtagMismatch):
        making.tested(draft("# other"), trial(draft()), own=True)


@pytest.mark.parametrize(
    "changed",
    [
        content("# double "),
        content(title="x"),
        content(description="Double a number"),
        content(result_schema="{}"),
        content(timeout_seconds=9.0),
        content(max_concurrency=5),
        content(returns_untrusted=True),
        replace(content(), code=replace(content().code, memory_bytes=1)),
        replace(content(), code=replace(content().code, function="main")),
        replace(content(), examples=content().examples[:1]),
    ],
)
def test_whatever_changes_makes_another_digest_and_takes_it_back_to_a_draft(changed: making.Content) -> None:
    own = passed_draft(own=True)
    later = making.drafted(own, replace(draft(), content=changed), str(own.etag))

    assert later.sha256 != own.sha256
    assert later.state is DraftState.DRAFT
    assert later.approval == ""
    with pytest.raises(ToolNotTested):
        making.trial_of(later)


def test_an_equal_draft_changes_nothing_and_a_mark_stays() -> None:
    own = passed_draft(own=True)

    assert making.drafted(own, draft(), "") == own
    marked = making.drafted(own, draft(untrusted=True), "")
    assert (marked.state, marked.untrusted) == (DraftState.OWN, True)
    assert making.drafted(marked, draft("# other"), "").untrusted


def test_a_changed_draft_that_is_changed_back_has_to_be_tested_again() -> None:
    own = passed_draft(own=True)
    back = making.drafted(making.drafted(own, draft("# other"), ""), draft(), "")

    assert back.sha256 == own.sha256
    with pytest.raises(ToolNotTested):
        sharing.sharing_request(back, None, 1)


def test_what_is_claimed_is_shared_though_the_draft_changed_meanwhile() -> None:
    own = passed_draft(own=True)
    claimed, claim = making.claimed(own, "a1", sharing.sharing_request(own, None, 1), NOW)
    later = making.drafted(claimed, draft("# other"), "")
    after, version = making.shared(later, 3, NOW)

    assert claim.approval == version.approval == "a1"
    assert (version.content, version.number) == (own.content, 3)
    assert (after.state, after.claim, after.content) == (DraftState.DRAFT, None, content("# other"))


def test_what_changed_since_the_person_was_asked_is_not_claimed() -> None:
    asked = sharing.sharing_request(passed_draft(), None, 1)

    with pytest.raises(EtagMismatch):
        making.claimed(passed_draft("# other"), "a1", asked, NOW)
    with pytest.raises(ToolNotTested):
        making.claimed(draft(), "a1", asked, NOW)


def test_a_person_sees_source_examples_test_and_diff() -> None:
    own, current = passed_draft("# double\nreturn 1"), passed_draft("# double\nreturn 2")
    _, before = making.shared(making.claimed(current, "a", asked(current), NOW)[0], 1, NOW)
    shown = sharing.sharing_request(own, before, 2).shown

    for text in ("return 1", "-return 2", "+return 1", "3.11.7", "landlock", own.sha256, "result_schema"):
        assert text in shown
    assert shown == sharing.sharing_request(replace(own, etag=9, updated_at=NOW), before, 2).shown


def asked(of: making.Draft) -> making.SharingRequest:
    return sharing.sharing_request(of, None, 1)


def test_each_place_of_a_version_is_asked_for_by_itself() -> None:
    assert asked(passed_draft()).shown_sha256 != sharing.sharing_request(passed_draft(), None, 2).shown_sha256


def test_a_diff_of_a_great_many_lines_is_bounded_work() -> None:
    hostile = "\n".join(f"{number % 7}" for number in range(60_000))
    text = sharing.diff(content(f"# a\n{hostile}"), content(f"# b\n0\n{hostile}\n0"))

    assert text.startswith("--- shared")
    assert text.count("\n") > 60_000
    assert not any(line.startswith(" ") for line in text.split("\n")), "shown whole"


def test_a_diff_that_is_larger_than_a_person_can_be_shown_is_refused() -> None:
    own, current = passed_draft("# é" + "é" * 250_000), passed_draft("# ü" + "ü" * 250_000)
    _, before = making.shared(making.claimed(current, "a", asked(current), NOW)[0], 1, NOW)

    with pytest.raises(InvalidRequest):
        sharing.sharing_request(own, before, 2)


@given(json_values)
def test_values_equal_themselves_and_nothing_of_another_kind(value: Any) -> None:
    assert making.equal(value, value)
    assert not making.equal(value, [value])


def test_numbers_are_compared_by_value_and_truth_is_no_number() -> None:
    assert making.equal({"a": [1]}, {"a": [1.0]})
    assert not making.equal([True], [1])
    assert not making.equal({"a": 0}, {"a": False})
    assert not making.equal(None, 0)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (content(parameters_schema="{"), SchemaInvalid),
        (content(result_schema='{"type": 1}'), SchemaInvalid),
        (content(examples=(Example(arguments_json='{"n": "x"}', result_json="1"),)), ArgumentsInvalid),
        (content(examples=(Example(arguments_json="[" * 200, result_json="1"),)), ArgumentsInvalid),
        (content(examples=(Example(arguments_json='{"n": 1}', result_json="nan"),)), ArgumentsInvalid),
        (content(examples=(Example(arguments_json='{"n": 1}', result_schema="1"),)), SchemaInvalid),
        (content(examples=(Example(arguments_json=" " * 9_000, result_json="1"),) * 32), InvalidRequest),
        (content("# double\0"), InvalidRequest),
        (content("# double\x1b[2J"), InvalidRequest),
        (content(description="\x07"), InvalidRequest),
    ],
)
def test_what_could_not_be_tested_or_shown_is_refused(bad: making.Content, error: type[Exception]) -> None:
    with pytest.raises(error):
        making.check(bad)


def test_an_expected_result_that_breaks_the_tool_s_own_schema_is_refused() -> None:
    with pytest.raises(ResultInvalid):
        making.check(content(result_schema='{"type":"string"}'))


def test_no_source_is_parsed() -> None:
    making.check(content("# double\n" + "(" * 200_000))


def test_names_of_different_agents_never_meet() -> None:
    assert making.tool_id("a", "b-c") != making.tool_id("a.b", "c")
    assert making.tool_id("calculator", "calculator") == "calculator.calculator"


def test_a_marked_agent_s_tool_returns_what_nobody_vouches_for() -> None:
    own = making.own_tool(passed_draft(own=True, untrusted=True))

    assert (own.untrusted, own.returns_untrusted) == (True, True)
    assert not making.own_tool(passed_draft(own=True)).returns_untrusted
    assert own.effect is Effect.REVERSIBLE
