"""What others wrote is shown by the command, never obeyed by the terminal."""

import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from aios.cli import session, terminal

TITLE = "\x1b]0;owned\x07\x1b[2J"
DIRECTION = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
UNSEEN = (
    0xAD,
    0x34F,
    0x115F,
    0x180E,
    0x200B,
    0x200C,
    0x200D,
    0x2060,
    0x2064,
    0x3164,
    0xFE00,
    0xFEFF,
    0xE0041,
    0xE0100,
)
OBEYED = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *DIRECTION, *UNSEEN, 0x2028, 0x2029)]


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


@given(st.text())
def test_any_text_can_be_printed(text: str) -> None:
    for written in (terminal.lines(text), terminal.line(text)):
        assert written.encode() or not text
        assert all(char in "\n\t" or unicodedata.category(char)[0] != "C" for char in written)
    assert "\n" not in terminal.line(text)


def test_what_is_printed_holds_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.out(TITLE)
    terminal.err(TITLE)
    terminal.out_json(json.dumps(TITLE, ensure_ascii=False))
    terminal.labelled(TITLE, TITLE + "\nroot |", "36")
    said = capsys.readouterr()

    assert (said.out + said.err).count("\x1b") == 2
    assert said.out.count("\x1b[36m") == said.out.count("\x1b[0m") == 1
    assert len(said.out.splitlines()) == 3


def test_a_defect_that_quotes_others_is_printed_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError(TITLE)
    terminal.excepthook(ValueError, error, None)

    assert "\x1b" not in capsys.readouterr().err


def test_a_table_shows_no_markup_and_no_control_of_others() -> None:
    written = io.StringIO()
    console = terminal.console(file=written, force_terminal=True, width=80)
    grid = Table("a")
    grid.add_row(TITLE)
    grid.add_row("[link=http://evil.example]x[/link]")
    console.print(grid)
    console.print(TITLE, Text(TITLE, style="red"))

    assert "\x1b]" not in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()
    assert "[link=" in written.getvalue()


def test_a_file_is_bytes_for_a_program_and_harmless_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_terminal, expected in ((False, TITLE.encode()), (True, terminal.lines(TITLE).encode())):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="utf-8")
        monkeypatch.setattr(stream, "isatty", lambda answer=is_terminal: answer)
        monkeypatch.setattr(sys, "stdout", stream)
        terminal.out_bytes(TITLE.encode())
        assert raw.getvalue() == expected


def test_a_line_of_one_field_stays_a_line_and_a_models_answer_keeps_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    session.say(f"kind: {TITLE}\nroot: granted")
    session.warn("error: no\nroot: granted")
    session.say_lines("one\n\ttwo\r\b", nl=False)
    said = capsys.readouterr()

    assert said.out == "kind: \\x1b]0;owned\\x07\\x1b[2J\\nroot: granted\none\n\ttwo\\x0d\\x08"
    assert said.err == "error: no\\nroot: granted\n"
