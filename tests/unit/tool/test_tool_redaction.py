"""What tools say does not show the values of secrets, in whatever form they come back."""

import base64
import html
import json
import pickle
import re
import unicodedata
from collections.abc import Callable
from copy import copy, deepcopy
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation
from services.tool.core.redaction import RedactedProgress, Redactor, forms, redacted, redacted_error
from services.tool.core.secrets import MARKER, Secret
from services.tool.errors import CallFailed, ToolFailed
from services.tool.model import CallError, ContentPart, Progress, ToolOutcome, UnreadableResult

VALUE: Final = 'sk-ABC"d/é+=&<1234567890'


def quoted_small(value: str) -> str:
    """Quote a text for a URL with small digits."""
    quoted = quote(value, safe="")
    return re.sub("%..", lambda found: found[0].lower(), quoted)


FORMS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "escaped for JSON": lambda value: json.dumps({"token": value}),
    "escaped for JSON, in Unicode": lambda value: json.dumps([value], ensure_ascii=False),
    "escaped for JSON within JSON": lambda value: json.dumps(json.dumps([value])),
    "quoted for a query": lambda value: f"https://x/?k={quote_plus(value)}&z",
    "quoted for a path": lambda value: f"https://x/{quote(value)}/z",
    "quoted whole": lambda value: f"https://x/?k={quote(value, safe='')}",
    "quoted with small digits": quoted_small,
    "escaped for HTML": lambda value: f"<p>{html.escape(value)}</p>",
    "escaped for HTML, quotes left": lambda value: html.escape(value, quote=False),
    "in hexadecimal digits": lambda value: f"0x{value.encode().hex()}ff",
    "in large hexadecimal digits": lambda value: value.encode().hex().upper(),
    "as Python writes it": lambda value: repr({"a": value}),
    "as Python writes its bytes": lambda value: repr(value.encode()),
    "reversed": lambda value: f"<{value[::-1]}>",
    "in base64": lambda value: base64.b64encode(value.encode()).decode(),
    "in base64 behind one byte": lambda value: base64.b64encode(b"x" + value.encode() + b"yz").decode(),
    "in Basic credentials": lambda value: base64.b64encode(b"me:you!:" + value.encode()).decode(),
    "in base64 for URLs": lambda value: base64.urlsafe_b64encode(b"ab" + value.encode() + b"\xff").decode(),
    "in base64 of JSON": lambda value: base64.b64encode(json.dumps({"k": value}).encode()).decode(),
    "composed otherwise": lambda value: unicodedata.normalize("NFD", value),
}

values = st.text(min_size=1, max_size=40).filter(
    lambda text: len(text.encode("utf-8", "surrogatepass")) >= 8 and MARKER not in text and "\0" not in text
)


def clean(text: str | bytes, value: str) -> bool:
    """Tell whether no form of a value is left in a text."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    data = data.replace(MARKER.encode(), b"\0")
    return not any(form in data for form in forms(value))


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_taken_out_in_the_form(form: str) -> None:
    said = FORMS[form](VALUE)
    shown = Redactor([Secret(VALUE)]).text(f"before {said} after")
    assert MARKER in shown
    assert clean(shown, VALUE)
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@settings(max_examples=60)
@given(value=values, form=st.sampled_from(sorted(FORMS)), around=st.text(max_size=20))
def test_no_form_of_any_value_is_left(value: str, form: str, around: str) -> None:
    said = FORMS[form](value)
    assert clean(Redactor([value]).text(around + said + around), value)


@settings(max_examples=60)
@given(
    secrets=st.lists(values, min_size=1, max_size=4),
    parts=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(sorted(FORMS)), st.text(max_size=5)), max_size=6
    ),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_pieces_are_cleaned_like_the_whole(
    secrets: list[str], parts: list[tuple[int, str, str]], cuts: list[int]
) -> None:
    whole = "".join(FORMS[form](secrets[which % len(secrets)]) + text for which, form, text in parts)
    data = whole.encode("utf-8", "surrogatepass")
    redactor = Redactor(secrets)
    stream, done = redactor.stream(), b""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        done += stream.feed(data[start:end])
        assert all(clean(done, secret) for secret in secrets)
    done += stream.finish()
    assert done == redactor.data(data)


@pytest.mark.parametrize("size", [65_530, 65_536, 131_060])
def test_a_value_across_the_borders_of_what_is_searched_at_once_is_found(size: int) -> None:
    text = "." * size + VALUE + "." * 70_000
    assert Redactor([VALUE]).text(text) == text.replace(VALUE, MARKER)


@pytest.mark.parametrize("byte", ["a", "ab", "é"])
def test_a_long_value_of_one_pattern_is_found_whole(byte: str) -> None:
    value = (byte * 8_192)[: 8_192 // len(byte[0].encode())]
    text = f"{value[:-1]}|{value}|{value[:300]}"
    assert Redactor([value]).text(text) == f"{value[:-1]}|{MARKER}|{value[:300]}"


def test_values_that_overlap_leave_nothing_of_either() -> None:
    assert Redactor(["abcdefgh1234", "1234ijklmnop"]).text("<abcdefgh1234ijklmnop>") == f"<{MARKER}>"


@pytest.mark.parametrize("left", [4, 12, len(VALUE) - 1])
def test_a_text_that_was_cut_off_within_a_value_does_not_show_its_beginning(left: int) -> None:
    redactor = Redactor([VALUE])
    assert redactor.text("says " + VALUE[:left], cut=True) == f"says {MARKER}"
    assert redactor.text("says " + VALUE[:left]) == "says " + VALUE[:left]


def test_what_holds_no_value_stays_as_it_is() -> None:
    text = json.dumps({"a": ["é", 1.5, None], "sk-AB": "sk-ABC"})
    redactor = Redactor([VALUE])
    assert redactor.text(text) is text
    assert redactor.value(json.loads(text)) == json.loads(text)
    assert Redactor([]).text(text) is text


def test_json_values_are_cleaned_in_names_texts_and_numbers() -> None:
    value: dict[str, Any] = {VALUE: 1, "list": [VALUE, {"deep": (VALUE, 8_812_345_678)}], "is": True}
    assert Redactor([VALUE, "12345678"]).value(value) == {
        MARKER: 1,
        "list": [MARKER, {"deep": [MARKER, MARKER]}],
        "is": True,
    }
    assert VALUE in value, "the tool's own value was changed"


def test_names_that_become_the_same_keep_their_values() -> None:
    value = {VALUE: 1, VALUE[::-1]: 2, MARKER: 3, f"{MARKER}#1": 4}
    shown = Redactor([VALUE]).value(value)
    assert sorted(shown.values()) == [1, 2, 3, 4]
    assert shown[MARKER] == 3


def test_a_result_of_any_depth_is_cleaned() -> None:
    value: Any = VALUE
    for _ in range(5_000):
        value = [value]
    shown = Redactor([VALUE]).value(value)
    for _ in range(5_000):
        shown = shown[0]
    assert shown == MARKER


def test_an_outcome_is_cleaned_in_all_its_parts() -> None:
    data = base64.b64encode(b"\x00\xff" + VALUE.encode() + b"\xfe").decode()
    part = ContentPart(text=VALUE, data_base64=data, uri=f"https://x/{quote(VALUE)}", media_type=VALUE)
    error = CallError("TOOL_FAILED", f"bad {VALUE}", details_json=json.dumps({VALUE: [VALUE, 12345678]}))
    shown = redacted(
        ToolOutcome(value={"a": VALUE}, pieces=(part,), error=error), Redactor([VALUE, "12345678"])
    )
    assert clean(repr(shown), VALUE)
    assert base64.b64decode(shown.pieces[0].data_base64) == b"\x00\xff" + MARKER.encode() + b"\xfe"
    assert shown.error is not None
    assert json.loads(shown.error.details_json) == {MARKER: [MARKER, MARKER]}
    unread = redacted(ToolOutcome(value=UnreadableResult(VALUE)), Redactor([VALUE]))
    assert unread.value == UnreadableResult(MARKER)


def test_errors_keep_their_kind_and_lose_the_value() -> None:
    redactor = Redactor([VALUE])
    told = ToolFailed(
        f"no {VALUE}", metadata={"url": VALUE}, retry_after=2.0, violations=[FieldViolation(VALUE, VALUE)]
    )
    shown = redacted_error(told, redactor)
    assert type(shown) is ToolFailed
    assert (shown.message, str(shown), shown.metadata, shown.retry_after) == (
        f"no {MARKER}",
        f"no {MARKER}",
        {"url": MARKER},
        2.0,
    )
    assert shown.violations == [FieldViolation(MARKER, MARKER)]
    failed = CallFailed("X", Code.ABORTED, VALUE, metadata={}, retry_after=None, untrusted=True)
    again = redacted_error(failed, redactor)
    assert (again.message, again.reason, again.code, again.untrusted) == (MARKER, "X", Code.ABORTED, True)


def test_progress_is_cleaned_across_its_pieces() -> None:
    progress = RedactedProgress(Redactor([VALUE]))
    shown = [
        progress.told(Progress(message=VALUE, partial_output=piece))
        for piece in ("a " + VALUE[:9], VALUE[9:], " é sk-")
    ]
    assert {one.message for one in shown} == {MARKER}
    assert "".join(one.partial_output for one in shown) + progress.rest() == f"a {MARKER} é sk-"


@pytest.mark.parametrize("shown", [repr, str, "{}".format, lambda one: f"{one!r:.20}"])
def test_a_secret_shows_nothing_by_itself(shown: Callable[[object], str]) -> None:
    for one in (Secret(VALUE), Redactor([VALUE])):
        assert clean(shown(one), VALUE)
        assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("write", [pickle.dumps, copy, deepcopy, json.dumps])
def test_a_secret_cannot_be_written_down(write: Callable[[object], object]) -> None:
    for one in (Secret(VALUE), Redactor([VALUE])):
        with pytest.raises(TypeError):
            write(one)


def test_secrets_are_compared_by_value_and_not_hashed() -> None:
    assert Secret("x" * 8) == Secret("x" * 8)
    assert Secret("x" * 8) != Secret("y" * 8)
    assert Secret("x" * 8) != "x" * 8
    with pytest.raises(TypeError):
        hash(Secret(VALUE))
