"""What becomes of the arguments that models write."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.json_text import (
    MOST_ARGUMENTS,
    MOST_DEPTH,
    UNREADABLE,
    mended,
    object_text,
    told_arguments,
)

ANY_TEXT = st.text(st.characters(codec=None, categories=None))


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("", "{}"),
        ("null", "{}"),
        ("  {} ", "{}"),
        ('"{}"', "{}"),
        ('""', "{}"),
        ('"null"', "{}"),
        (
            '{"a": 1.50, "b": 123456789012345678901234567890}',
            '{"a": 1.50, "b": 123456789012345678901234567890}',
        ),
        ('"{\\"city\\": \\"Paris\\"}"', '{"city": "Paris"}'),
        ('{"a": "\\ud83d"}', '{"a": "\ufffd"}'),
        ('{"a": "\\ud83e\\udd17"}', '{"a": "\\ud83e\\udd17"}'),
        ('{"a": "\ud83e\udd17"}', '{"a": "\U0001f917"}'),
        ('{"\\udc00": 1}', '{"\ufffd": 1}'),
    ],
)
def test_arguments_are_handed_on_as_strict_json(told: str, read: str) -> None:
    assert object_text(told) == read


@pytest.mark.parametrize(
    "told",
    [
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": ' + "9" * 5000 + "}",
        "[]",
        "7",
        "true",
        "{",
        "{} {}",
        "not json",
        '"[1]"',
        '"\\"{}\\""',
        '{"a": "' + "x" * MOST_ARGUMENTS + '"}',
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a":' * (MOST_DEPTH + 1) + "1" + "}" * (MOST_DEPTH + 1),
        '{"a": ' + "[" * MOST_DEPTH + "]" * MOST_DEPTH + "}",
    ],
)
def test_what_is_no_object_in_strict_json_is_no_arguments(told: str) -> None:
    assert object_text(told) is None


def test_arguments_may_nest_up_to_a_bound() -> None:
    told = '{"a":' * MOST_DEPTH + "1" + "}" * MOST_DEPTH

    assert object_text(told) == told


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_whatever_a_model_writes_is_one_strict_object_or_nothing(value: Any, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    read = object_text(json.dumps(value, ensure_ascii=ascii_only))

    if read is not None:
        assert isinstance(orjson.loads(read), dict)
        read.encode()


@given(ANY_TEXT)
def test_a_mended_text_is_one_that_utf_8_carries(text: str) -> None:
    again = mended(text)

    again.encode()
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert again == text


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", {}),
        ("null", {}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("{bad", {UNREADABLE: "{bad"}),
        ("[1]", {UNREADABLE: "[1]"}),
        ('{"a": 1e400}', {UNREADABLE: '{"a": 1e400}'}),
        ("\ud83d", {UNREADABLE: "\ufffd"}),
    ],
)
def test_servers_are_told_an_object_whatever_arguments_were_written(written: str, told: Any) -> None:
    assert orjson.loads(told_arguments(written)) == told


@given(st.text(st.characters(codec=None, categories=None), max_size=30))
def test_servers_are_told_strict_json_of_any_text(written: str) -> None:
    assert isinstance(orjson.loads(told_arguments(written)), dict)
