"""What others wrote is shown by the command, never obeyed by the terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.cli import terminal

TITLE = "\x1b]0;owned\x07\x1b[2J"
OBEYED = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x2028)]


@given(st.text(alphabet=[*OBEYED, "a", "é", "\U0001f600"]))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not set(terminal.lines(text)) & (set(OBEYED) - {"\n", "\t"})
    assert not set(terminal.line(text)) & set(OBEYED)
    written = terminal.json(json.dumps(text, ensure_ascii=False))
    assert not set(written) & set(OBEYED)
    assert json.loads(written) == text


@pytest.mark.parametrize("text", ["plain", "é 漢字 \U0001f600", "two\nlines\tand a tab"])
def test_what_a_terminal_shows_stays_as_it_is(text: str) -> None:
    assert terminal.lines(text) == text


def test_escapes_are_written_out() -> None:
    assert terminal.lines(TITLE) == "\\x1b]0;owned\\x07\\x1b[2J"
    assert terminal.line("a\nb") == "a\\nb"
    assert terminal.line("a\u202eb") == "a\\u202eb"
