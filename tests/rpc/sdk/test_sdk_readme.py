"""The examples of the SDK's README, run against a fake kernel."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from aios.cli import main as cli
from aios.sync.portal import Portal
from aios.testing import FakeKernel
from tests.documents.blocks import PYTHON, Block, blocks
from tests.documents.reader import exact

TOP: Any = typer.main.get_command(cli.build(cli.plugins()))
README = Path(__file__).parents[3] / "sdk" / "python" / "README.md"
EXAMPLES = [block for block in blocks("sdk/python/README.md") if block.language == PYTHON]
SCRIPTS = [block for block in EXAMPLES if block.output]
TESTS = [block for block in EXAMPLES if block.note == "pytest"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKernel]:
    with Portal() as portal, portal.entered(FakeKernel()) as kernel:
        monkeypatch.setenv("AIOS_ENDPOINT", kernel.endpoint)
        monkeypatch.setenv("AIOS_TOKEN", kernel.admin_token)
        yield kernel


def test_every_example_is_tested() -> None:
    assert len(SCRIPTS) + len(TESTS) == len(EXAMPLES) > 5


@pytest.mark.parametrize("example", SCRIPTS)
def test_an_example_prints_what_the_readme_says_twice(
    example: Block, fake: FakeKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        for reply in example.replies:
            if isinstance(reply, str):
                fake.reply(reply)
            else:
                fake.reply(tool_calls=reply["calls"])

        exec(compile(example.text, str(README), "exec", dont_inherit=True), {"__name__": "__main__"})  # noqa: S102  # our own README

        assert capsys.readouterr().out == exact(example.output)


@pytest.mark.parametrize("example", TESTS)
def test_the_example_of_a_test_passes(example: Block, tmp_path: Path) -> None:
    path = tmp_path / "test_readme_example.py"
    path.write_text(example.text)

    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
        str(path),
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_commands_of_the_readme_exist() -> None:
    named = set(re.findall(r"^aios (\w+)", README.read_text(), re.MULTILINE))

    assert named
    assert named <= set(TOP.commands)


def names(command: Any) -> set[str]:
    """Return the names of all commands below one, those of a group within it too."""
    below: dict[str, Any] = getattr(command, "commands", {})
    return {*below, *(name for inner in below.values() for name in names(inner))}


def test_the_table_of_commands_is_the_tree_of_commands() -> None:
    rows = re.findall(r"^\| `aios (\S+)` \| (.*?) \| (.*) \|$", README.read_text(), re.MULTILINE)

    assert [name for name, *_ in rows] == sorted(TOP.commands)
    for name, what, below in rows:
        command = TOP.commands[name]
        assert what == command.get_short_help_str(300)
        assert set(re.findall(r"`([^`]+)`", below)) == names(command), name
