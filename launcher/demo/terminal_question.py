"""Puts a question to the person at the terminal, and waits for an answer for so long and no longer."""

import asyncio
import select
import sys
from typing import Final

from aios.cli import terminal

ANSWER_SECONDS: Final = 15.0
"""How long the demo waits for the person at the terminal."""


async def ask_at_the_terminal(question: str, seconds: float = ANSWER_SECONDS) -> bool | None:
    """Ask for y or n; None where nobody sits at a terminal, or nobody answers in time."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    terminal.out(f"{question} [y/N, {seconds:.0f} s] ", nl=False)
    answer = await asyncio.to_thread(_answer, seconds)
    if answer is None:
        terminal.out("")
    return answer


def _answer(seconds: float) -> bool | None:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return None
    line = sys.stdin.readline()
    return line.strip().lower() in {"y", "yes"} if line else None
