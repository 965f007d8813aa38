"""How many values a JSON text holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import json_values as values
from services.chassis.rpc.errors import RequestTooLarge

JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('[]{},"\\x:')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('[]{},"\\')), inner),
    max_leaves=20,
)


def steps(text: bytes, most: int = values.MOST) -> int:
    return sum(1 for _ in values.counted(text, most=most))


def marks(value: Any) -> int:
    """Count brackets and commas outside of strings."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(inner, list):
        return 0
    return 1 + max(0, len(inner) - 1) + sum(map(marks, inner))


@given(JSON, st.integers(1, 9))
def test_the_count_is_exact_whatever_strings_hold_and_wherever_the_text_is_cut(value: Any, cut: int) -> None:
    text = json.dumps([value] * 2).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "_HARMLESS", 0)
        patch.setattr(values, "_SLICE", cut)
        steps(text, marks([value] * 2))
        with pytest.raises(RequestTooLarge):
            steps(text, marks([value] * 2) - 1)


def test_a_long_text_with_whatever_in_it_is_one_value() -> None:
    assert steps(json.dumps({"text": '[{"a": "b, c\\"}],' * 100_000}).encode()) > 10


@pytest.mark.parametrize("filler", ["[],", '"",', "1,", "{},", '"\\\\",[],'])
def test_too_many_are_refused(filler: str) -> None:
    with pytest.raises(RequestTooLarge):
        steps(f"[{filler * 200_000}1]".encode())


def test_a_short_text_may_hold_what_it_wants() -> None:
    steps(b"[" + b"[]," * 20_000 + b"1]")


def test_others_have_their_turn_while_a_long_text_is_counted() -> None:
    assert steps(b'"' + b"a" * 8 * 2**20 + b'"') >= 64
