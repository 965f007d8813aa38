"""The fenced blocks of the project's documents, and the commands in them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SHELL, PYTHON, TEXT = "sh", "python", "text"
RUNS: Final = frozenset({SHELL, PYTHON})
OTHERS: Final = frozenset({"typescript", "go", "java", "cpp"})
"""What examples in other languages are in: `make test-polyglot` builds them."""
LANGUAGES: Final = RUNS | OTHERS | {TEXT, "json", "toml", "yaml", "mermaid"}
"""What a block may say it is. A text right below a piece of code is what that prints."""

_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PATTERNS: Final = ("*.md", "docs/**/*.md", "deploy/**/*.md", "gateway/**/*.md", "services/**/*.md")
_MORE: Final = (
    "sdk/**/*.md",
    "examples/**/*.md",
    "launcher/**/*.md",
    "protos/*.md",
    "tests/clients/*.md",
    "tests/fakes/*.md",
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    document: str
    """Path from the root."""

    line: int
    """Of its fence, from 1."""

    language: str
    note: str
    """What a comment right above it says to the tests."""

    text: str
    output: str = ""
    """What it prints, where the document shows it. What stands between « and » differs."""

    @property
    def file(self) -> str:
        """Name of the file in which a reader keeps it; empty where it is only run."""
        found = re.search(r"file: ([\w.]+)", self.note)
        return found[1] if found else ""

    @property
    def replies(self) -> list[str | dict[str, Any]]:
        """What a model says to it: texts, and `{"calls": [[name, arguments]]}`; empty for an echo."""
        found = re.search(r"replies: (\[.*\])", self.note)
        return list(json.loads(found[1])) if found else []

    @property
    def place(self) -> str:
        """Where it is, as editors take it."""
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Return every document, as a path from the root; the README first, as it is read first."""
    found = {path for pattern in (*_PATTERNS, *_MORE) for path in ROOT.glob(pattern)}
    found = {path for path in found if "node_modules" not in path.parts}  # of npm
    names = sorted(str(path.relative_to(ROOT)) for path in found)
    return sorted(names, key=lambda name: (name != "README.md", name))


def blocks(document: str) -> list[Block]:
    """Return the blocks of a document in their order; an output belongs to the block above it."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found: list[Block] = []
    end = -1
    for match in _BLOCK.finditer(text):
        block = Block(
            document,
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            match["note"] or "",
            match["text"],
        )
        between = text[end : match.start()] if end >= 0 else "-"
        if block.language == TEXT and found and found[-1].language in RUNS and not between.strip():
            above = found.pop()
            block = Block(above.document, above.line, above.language, above.note, above.text, block.text)
        found.append(block)
        end = match.end()
    return found


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Yield the commands of a shell block with their lines in the document, continued lines joined."""
    waiting = ""
    begun = 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        begun = begun if waiting else number
        waiting += line
        if line.endswith("\\"):
            waiting += "\n"
            continue
        if bare(waiting):
            yield begun, waiting
        waiting = ""


def bare(command: str) -> str:
    """Return a command without the comment behind it; quoted texts of the documents hold no ` # `."""
    return re.sub(r"(^|\s+)#\s.*$", "", command, flags=re.MULTILINE).strip()
