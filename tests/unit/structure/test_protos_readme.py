"""What protos/README.md shows of each language is in the example, which make test-polyglot builds."""

from typing import Final

import pytest

from tests.documents.blocks import ROOT, Block, blocks

DOCUMENT: Final = "protos/README.md"
EXAMPLES: Final = {
    "python": ("python", "*.py"),
    "typescript": ("typescript/src", "*.ts"),
    "go": ("go", "*/**/*.go"),
    "java": ("java", "Hello.java"),
    "cpp": ("cpp", "hello.cc"),
}
"""Folder and files of the example by the language of a block."""

SHOWN: Final = [block for block in blocks(DOCUMENT) if block.language in EXAMPLES]


def dedented(text: str) -> list[str]:
    """Return the lines of a text without what they are indented by, so that an excerpt can be found."""
    return [line.strip() for line in text.splitlines()]


def is_part(excerpt: list[str], whole: list[str]) -> bool:
    """Whether lines stand in other lines one after the other."""
    return any(whole[at : at + len(excerpt)] == excerpt for at in range(len(whole) - len(excerpt) + 1))


def test_every_language_is_shown() -> None:
    assert {block.language for block in SHOWN} == set(EXAMPLES)


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.place)
def test_what_is_shown_is_in_the_example(block: Block) -> None:
    folder, pattern = EXAMPLES[block.language]
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "examples" / folder).glob(pattern)]

    assert any(is_part(dedented(block.text), dedented(file)) for file in files), block.place
    changed = [*dedented(block.text), "nowhere();"]
    assert not any(is_part(changed, dedented(file)) for file in files)
