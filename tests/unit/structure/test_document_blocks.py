"""What documents show says what it is, can be read, and is run or listed with a reason that still fits."""

import ast
import json
import tomllib
from collections.abc import Callable

import pytest
import yaml

from tests.documents import unrun
from tests.documents.blocks import (
    LANGUAGES,
    PYTHON,
    ROOT,
    RUNS,
    SHELL,
    Block,
    bare,
    blocks,
    commands,
    documents,
)
from tests.documents.reader import NotAsWritten, entry, exact, must_match, pattern

ALL = [block for document in documents() for block in blocks(document)]
SHELLS = [block for block in ALL if block.language == SHELL and block.document not in unrun.DOCUMENTS]


@pytest.mark.parametrize("document", [name for name in documents() if blocks(name)])
def test_every_block_says_what_it_is_and_can_be_read(document: str) -> None:
    readers: dict[str, Callable[[str], object]] = {
        PYTHON: ast.parse,
        "json": json.loads,
        "toml": tomllib.loads,
        "yaml": lambda text: list(yaml.safe_load_all(text)),
    }
    for block in blocks(document):
        assert block.language in LANGUAGES, block.place
        text = block.text
        if block.language == PYTHON and text.startswith("async with"):
            text = "async def excerpt():\n" + "\n".join(f"    {line}" for line in text.splitlines())
        readers.get(block.language, str)(text)


def test_every_reason_against_running_something_fits_something() -> None:
    lines = [f"{bare(command).removeprefix('.venv/bin/')} " for one in SHELLS for _, command in commands(one)]

    for begin in (*unrun.COMMANDS, *unrun.ONCE, *unrun.GO_ON, *unrun.USUAL, unrun.ENDS):
        assert any(line.startswith(begin) for line in lines), begin
    for document in unrun.DOCUMENTS:
        assert any(block.language in RUNS for block in blocks(document)), document
    for part in unrun.NOT_PLAYED:
        assert any(part in block.text for block in ALL), part
    for (document, part), test in unrun.BLOCKS.items():
        assert sum(part in block.text for block in blocks(document)) == 1, part
        assert (ROOT / test).is_file(), test


def test_a_command_is_found_by_how_it_begins() -> None:
    table = {"aios approve": "waits"}

    assert entry(table, ".venv/bin/aios approve 5") == "waits"
    assert not entry(table, "aios approvals")


def test_commands_are_read_with_their_continued_lines_and_without_comments() -> None:
    block = Block("a.md", 3, SHELL, "", 'one   # why\n\ntwo a \\\n    "b"   # c\n# three\n')

    assert [(line, bare(command)) for line, command in commands(block)] == [
        (4, "one"),
        (6, 'two a \\\n    "b"'),
    ]


def test_an_output_must_be_as_shown_but_for_what_differs() -> None:
    block = Block("a.md", 3, PYTHON, "", "", "«Hello» and\n«5» tokens\n")
    must_match(block, "Hi\nthere and\n7 tokens\n")
    for printed in ("Hi and\n7 token\n", "Hi and\n7 tokens\nmore\n", ""):
        with pytest.raises(NotAsWritten):
            must_match(block, printed)

    assert exact(block.output) == "Hello and\n5 tokens\n"
    assert pattern(block.output).fullmatch(exact(block.output))
