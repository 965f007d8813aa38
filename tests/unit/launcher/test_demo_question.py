"""The demo's question to the person at the terminal: bounded, and only a clear yes is a yes."""

import asyncio
import os
import pty
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from launcher.demo.terminal_question import ask_at_the_terminal


@contextmanager
def terminal() -> Iterator[int]:
    """Put a terminal in place of standard input and output; give the end that a person types into.

    No fixture: pytest puts its own streams back between a fixture and its test.
    """
    person, program = pty.openpty()
    with (
        open(program, closefd=False) as stdin,
        open(program, "w", closefd=False) as stdout,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(sys, "stdin", stdin)
        patched.setattr(sys, "stdout", stdout)
        yield person
    os.close(program)
    os.close(person)


async def types(keyboard: int, text: str) -> None:
    await asyncio.to_thread(os.write, keyboard, text.encode())


async def shown(keyboard: int, wanted: str) -> bool:
    """Whether the terminal shows a text; what is typed is echoed around it."""

    def read() -> bytes:
        told = b""
        while wanted.encode() not in told and select.select([keyboard], [], [], 5.0)[0]:
            told += os.read(keyboard, 1000)
        return told

    return wanted in (await asyncio.to_thread(read)).decode()


@pytest.mark.parametrize(
    ("typed", "said"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("yikes\n", False)]
)
async def test_only_a_clear_yes_approves(typed: str, *, said: bool) -> None:
    with terminal() as keyboard:
        await types(keyboard, typed)

        assert await ask_at_the_terminal("approve?", 5.0) is said
        assert await shown(keyboard, "approve? [y/N, 5 s]")


async def test_who_does_not_answer_in_time_has_not_answered() -> None:
    with terminal() as keyboard:
        assert await ask_at_the_terminal("approve?", 0.01) is None
        assert await shown(keyboard, "approve? [y/N, 0 s]")


async def test_who_hangs_up_has_not_answered() -> None:
    with terminal() as keyboard:
        await types(keyboard, "\x04")

        assert await ask_at_the_terminal("approve?", 5.0) is None


@pytest.mark.parametrize(("name", "mode"), [("stdin", "r"), ("stdout", "w")])
async def test_without_a_terminal_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    with terminal() as keyboard, open(os.devnull, mode) as nothing:  # noqa: ASYNC230, PTH123 - a stand-in
        await types(keyboard, "y\n")
        monkeypatch.setattr(sys, name, nothing)

        assert await ask_at_the_terminal("approve?", 0.2) is None
