"""The commands print through one module, which writes out what a terminal would obey."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PRINTER = ROOT / "sdk/python/src/aios/cli/terminal.py"
COMMANDS = sorted(
    path
    for folder in ("sdk/python/src/aios/cli", "launcher")
    for path in (ROOT / folder).rglob("*.py")
    if path != PRINTER
)
ASKED = {"isatty"}
"""What may be done with the streams themselves: nothing is written by it."""
PRINTS = {"print", "echo", "secho", "echo_via_pager", "print_exc", "print_exception"}


def past(tree: ast.AST) -> Iterator[str]:
    """Yield what prints, or could: a stream in hand, a function that prints, a console of rich's own."""
    allowed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ASKED:
            allowed.add(id(node.value))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            allowed |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in allowed:
            continue
        said = _said(node)
        if said:
            yield f"line {getattr(node, 'lineno', 0)}: {said}"


def _said(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr", "__stdout__", "__stderr__"}:
        return ast.unparse(node) if ast.unparse(node.value) in {"sys", "click"} else ""
    if isinstance(node, ast.ImportFrom):
        named = {alias.name for alias in node.names}
        if node.module == "sys" and named & {"stdout", "stderr"}:
            return "a stream by another name"
        if node.module in {"rich", "rich.console"} and named & {"Console", "print", "get_console"}:
            return "a console of its own"
    if isinstance(node, ast.Import) and any(alias.name == "sys" and alias.asname for alias in node.names):
        return "sys by another name"
    if isinstance(node, ast.Call):
        return _called(node)
    return ""


def _called(node: ast.Call) -> str:
    called = node.func
    if isinstance(called, ast.Name) and called.id in PRINTS:
        return called.id
    if isinstance(called, ast.Attribute) and called.attr in PRINTS:
        of_console = called.attr == "print" and ast.unparse(called.value) in CONSOLES
        return "" if of_console else ast.unparse(called)
    if isinstance(called, ast.Attribute) and ast.unparse(called) == "os.write":
        return "os.write"
    return ""


CONSOLES = {"console", "canvas", "self._console", "terminal.console(width=width)"}
"""What `terminal.console` returned."""


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_prints_past_the_terminal(path: Path) -> None:
    assert list(past(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        "print('x')",
        "import sys\nsys.stdout.write('x')",
        "import sys\nwrite = sys.stderr.write",
        "import sys\nprint_to(sys.stdout)",
        "from sys import stdout",
        "import sys as s",
        "typer.echo('x')",
        "click.secho('x')",
        "from rich.console import Console",
        "from rich import print",
        "import os\nos.write(1, b'x')",
        "traceback.print_exc()",
        "grid.print('x')",
    ],
)
def test_a_way_past_is_noticed(code: str) -> None:
    assert list(past(ast.parse(code))) != []
