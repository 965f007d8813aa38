"""The examples of the SDK's README, run against a fake kernel."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from aios.cli import main as cli
from aios.sync.portal import Portal
from aios.testing import FakeKernel

TOP: Any = typer.main.get_command(cli.build(cli.plugins()))
README = Path(__file__).parents[3] / "sdk" / "python" / "README.md"
EXAMPLE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    note: str
    code: str
    output: str


def examples() -> list[Example]:
    return [
        Example(found["note"] or "", found["code"], found["output"] or "")
        for found in EXAMPLE.finditer(README.read_text())
    ]


SCRIPTS = [example for example in examples() if example.output]
TESTS = [example for example in examples() if example.note == "pytest"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKernel]:
    with Portal() as portal, portal.entered(FakeKernel()) as kernel:
        monkeypatch.setenv("AIOS_ENDPOINT", kernel.endpoint)
        monkeypatch.setenv("AIOS_TOKEN", kernel.admin_token)
        yield kernel


def test_every_example_is_tested() -> None:
    assert len(SCRIPTS) + len(TESTS) == len(examples()) > 5


@pytest.mark.parametrize("example", SCRIPTS)
def test_an_example_prints_what_the_readme_says(
    example: Example, fake: FakeKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    for reply in json.loads(example.note.removeprefix("replies: ") or "[]"):
        if isinstance(reply, str):
            fake.reply(reply)
        else:
            fake.reply(tool_calls=reply["calls"])
    scope: dict[str, Any] = {"__name__": "readme"}

    exec(compile(example.code, str(README), "exec", dont_inherit=True), scope)  # noqa: S102  # our own README

    assert capsys.readouterr().out == example.output


@pytest.mark.parametrize("example", TESTS)
def test_the_example_of_a_test_passes(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "test_readme_example.py"
    path.write_text(example.code)

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
