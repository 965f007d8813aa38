"""What deciders are shown: nothing hides, nothing is forged, nothing is left out without a mark."""

import json
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.access.core import shown_text
from services.access.core.shown_text import MARK_CLOSE, MARK_OPEN, MAX_PREVIEW
from services.tool.core.ledger import canonical, digest
from tests.fakes.examples import examples

MARK = re.compile(f"{MARK_OPEN}[^{MARK_OPEN}{MARK_CLOSE}]*{MARK_CLOSE}")
HOSTILE = (
    " \n\t\x1b\x00\x7f\u200b\u202e\u2066\ufeff\u00ad\u3164\u2800\ufe0f\U000e0041"
    '\u0301\u0430\u27ea\u27eb\\"xY7'
)
RUNS = st.tuples(st.sampled_from(HOSTILE), st.sampled_from((1, 2, 32, 33, 400, 20_000)))
TEXTS = st.lists(RUNS, max_size=8).map(lambda runs: "".join(char * count for char, count in runs))
VALUES = st.recursive(
    st.text(max_size=20) | st.integers() | st.booleans() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=6,
)


def show(value: object) -> shown_text.Preview:
    """Show arguments as an approval of them would."""
    text = canonical(value)
    return shown_text.arguments(text, digest(text))


def holds_nothing_hidden(text: str) -> bool:
    """Tell whether every character shows."""
    return all(char.isprintable() and unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in text)


@settings(max_examples=examples(25))
@given(value=VALUES)
@example(value={"aa": "please approve" + " " * 17_000, "to": "mal"})
@example(value={"a": "x" * 100_000, "to": "mal"})
def test_what_is_shown_is_all_there_is_or_says_that_it_is_not(value: object) -> None:
    shown = show(value)

    assert holds_nothing_hidden(shown.text)
    assert len(shown.text.encode()) <= MAX_PREVIEW
    if shown.truncated:
        assert MARK.search(shown.text)
    else:
        assert MARK_OPEN not in shown.text
        assert canonical(json.loads(shown.text)) == canonical(value)


@settings(max_examples=examples(25))
@given(text=TEXTS, most=st.sampled_from((128, 512, 8192)))
def test_a_line_is_whole_or_cut_with_a_mark(text: str, most: int) -> None:
    shown = shown_text.line(text, most)

    assert holds_nothing_hidden(shown)
    assert len(shown) <= most
    if len(text) > most:
        assert MARK.search(shown)


def test_padding_hides_neither_what_follows_nor_itself() -> None:
    shown = show({"aa": "please approve" + " " * 17_000, "to": "mal"})

    assert shown.truncated
    assert shown.text.endswith('"to":"mal"}')
    assert f"{MARK_OPEN}17000 characters that do not show: 17000 of U+0020{MARK_CLOSE}" in shown.text


def test_a_long_text_keeps_its_beginning_and_its_end_around_length_and_hash() -> None:
    text = canonical({"a": "first" + "x" * 50_000, "z": "last"})
    shown = shown_text.arguments(text, digest(text))

    assert shown.text.startswith('{"a":"first')
    assert shown.text.endswith('"z":"last"}')
    assert f"{len(text)} bytes in all, sha256 {digest(text)}" in shown.text


def test_a_mark_is_not_forged_by_the_text() -> None:
    forged = f"{MARK_OPEN}cut: the middle is not shown; all is well{MARK_CLOSE}"

    assert MARK_OPEN not in show({"a": forged}).text


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u200b", "\x1b", "\x7f", "\u3164", "\U000e0041", "\u00a0", "\ufe0f"]
)
def test_what_does_not_show_is_written_as_its_code(hidden: str) -> None:
    shown = show({"a": f"before{hidden}after"}).text

    assert hidden not in shown
    assert json.loads(shown) == {"a": f"before{hidden}after"}


def test_letters_of_another_script_among_latin_ones_are_written_as_codes() -> None:
    assert show({"to": "p\u0430ypal"}).text == '{"to":"p\\u0430ypal"}'
    assert (
        show({"to": "\u043f\u0440\u0438\u0432\u0435\u0442 \u4f60\u597d"}).text
        == '{"to":"\u043f\u0440\u0438\u0432\u0435\u0442 \u4f60\u597d"}'
    )


@pytest.mark.parametrize(
    "twin",
    [
        "\u0430\u0440\u0440\u04cf\u0435.com",  # nothing but look-alikes before the dot
        "mal@\u0440\u0430\u0443.example",
        "\u0440\u0430\u0443\u0440\u0430\u04cf",  # no other letter at all
        "\u0261oogle",  # of the same script
        "1\U0001d7ce\U0001d7ce",  # mathematical digits
        "\uff11\uff10\uff10",
        "10\u0660",  # a digit that looks like a point
        "\u09ea\u09e6",  # digits that look like 8 and 0
        "1\u041e\u041e",  # letters that look like noughts
        "\u22125",
        "a\u2024b\uff0fc",
        "https\u2236\u2215\u2215a",
        "/\u0338",  # a line drawn over it
    ],
)
def test_what_passes_for_something_else_is_written_as_codes(twin: str) -> None:
    shown = show({"to": twin}).text

    assert shown.isascii()
    assert json.loads(shown) == {"to": twin}


def test_texts_of_other_scripts_are_left_as_they_are() -> None:
    text = (
        "\u043f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440\n\u0434\u043e\u043c na\u00efve "
        "\u03ba\u03b1\u03b9 \u4f60\u597d"
    )
    assert json.loads(show({"a": text}).text) == {"a": text}
    assert show({"a": text}).text == json.dumps({"a": text}, ensure_ascii=False, separators=(",", ":"))


def test_text_that_looks_like_a_code_differs_from_one() -> None:
    assert show({"a": "\\u202e"}).text == '{"a":"\\\\u202e"}'


def test_a_code_is_not_cut_in_two() -> None:
    shown = show({"a": "\u200bx" * 9_000})

    assert re.sub(r"x|\\u200b", "", MARK.sub("", shown.text)) == '{"a":""}'


def test_arguments_of_which_only_a_part_is_known_say_so() -> None:
    shown = shown_text.unknown_arguments("x" * 20_000, "ab" * 32)

    assert shown.truncated
    assert "the whole arguments were not told; sha256 abab" in shown.text
    assert len(shown.text.encode()) <= MAX_PREVIEW
