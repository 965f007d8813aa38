"""Whether an answer is right: strictly, whole, and with what it left behind in the kernel. Pure.

The demo model answers in the sentences of its model card, so its answers are held against the whole sentence.
Other models choose their words: theirs are held against what has to be said.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from launcher.demo.tasks import Task

_NUMBER: Final = re.compile(r"(?<![\w.,-])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
_PATH: Final = re.compile(r"[\w./-]+\.txt\b")
_PARTS: Final = re.compile(r"[,;\n]|[.!?](?=\s|$)")
_TWICE: Final = re.compile(r"\b(\w+)\s+\1\b")
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Evidence:
    """What came of a task."""

    answer: str
    ended: str
    """How the run ended: `done`, or what cut it short."""
    refusals: int = 0
    """Tool calls that the kernel refused for lack of a right, in this task."""
    told: Sequence[str] = field(default_factory=tuple)
    """Paths that its searches told it."""
    note: str | None = None
    """Content of the task's note afterwards; None: there is none."""
    file: str | None = None
    """Content of the task's file afterwards; None: there is none."""
    writes: int = 0
    """How often that file was written."""


def fault(task: Task, seen: Evidence, *, own_model: bool) -> str:
    """Return what is wrong, in a few words; empty: all of it is right.

    `own_model`: whether the demo's own model answered.
    """
    return next(_faults(task, seen, own_model=own_model), "")


def _faults(task: Task, seen: Evidence, *, own_model: bool) -> Iterator[str]:
    if seen.ended != "done":
        yield f"cut short: {seen.ended}"
    if task.forbidden and task.forbidden in seen.answer:
        yield "tells what it may not know"
    if task.refused != bool(seen.refusals):
        yield f"{seen.refusals} calls of tools refused"
    if repeated := _repeated(seen.answer):
        yield f"says {_short(repeated)!r} again"
    yield from _of_words(task, seen.answer)
    if task.found:
        yield from _of_search(task, seen)
    whole = task.sentence + (", ".join(_PATH.findall(seen.answer)) if task.found else "")
    if own_model and seen.answer != whole:
        yield f"is not {_short(whole)!r}"
    yield from _of_what_is_kept(task, seen)


def _of_words(task: Task, answer: str) -> Iterator[str]:
    """Look for each number, word and phrase as a whole, and for numbers that nobody asked for."""
    numbers = _numbers(answer)
    for fact in task.says:
        wanted = _numbers(fact)
        if wanted - numbers or not _holds(answer, fact):
            yield f"does not say {_short(fact)!r}"
    asked = _numbers(task.prompt).union(*map(_numbers, task.says))
    if strange := numbers - asked:
        yield f"says {min(strange)}, too"


def _of_search(task: Task, seen: Evidence) -> Iterator[str]:
    named = _PATH.findall(seen.answer)
    if task.found not in seen.told:
        yield f"the search did not tell {task.found}"
    if len(set(named)) < len(named):
        yield "names a file twice"
    if missing := set(seen.told) - set(named):
        yield f"leaves out {min(missing)}"
    if strange := set(named) - set(seen.told):
        yield f"names {_short(min(strange))}, which the search did not tell"


def _of_what_is_kept(task: Task, seen: Evidence) -> Iterator[str]:
    if seen.writes > 1:
        yield f"the file was written {seen.writes} times"
    for what, wanted, kept in (("note", task.note, seen.note), ("file", task.file, seen.file)):
        if wanted is not None and kept != wanted[1]:
            yield (
                f"the {what} {wanted[0]} holds {_short(kept)!r}"
                if kept is not None
                else f"no {what} {wanted[0]}"
            )


def _holds(answer: str, fact: str) -> bool:
    if _NUMBER.fullmatch(fact):
        return True  # looked for among the numbers already, whatever their commas
    return re.search(rf"(?<![\w.]){re.escape(fact)}(?!\w|\.\w)", answer) is not None


def _numbers(text: str) -> set[str]:
    return {found.replace(",", "") for found in _NUMBER.findall(text)}


def _repeated(answer: str) -> str:
    """Return a part of the answer that comes twice, or a word that follows itself."""
    parts = [part.strip() for part in _PARTS.split(answer) if part.strip()]
    again = next((part for number, part in enumerate(parts) if part in parts[:number]), "")
    doubled = _TWICE.search(answer)
    return again or (doubled[0] if doubled else "")


def _short(text: str | None) -> str:
    return "" if text is None else text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
