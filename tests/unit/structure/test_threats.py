"""What docs/THREATS.md names is there: controls, tests and attacks; and no attack is left out."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "THREATS.md"
ATTACKS = ROOT / "tests" / "redteam" / "attacks"

LISTS = {f"{name}{number:02}" for name in ("LLM", "ASI") for number in range(1, 11)}
"""Ids of the two lists of OWASP."""
HEAD = "| threat | control | test | attack | OWASP |"
SPAN = re.compile(r"`([^`]+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the node names of a test module: functions, and methods behind a class that is collected."""
    if not path.is_file():
        return frozenset()
    body = ast.parse(path.read_text()).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    methods = {
        f"{name}::{each}" for name in classes if name.startswith("Test") for each in _methods(name, classes)
    }
    return frozenset(methods | set(_functions(body)))


def _methods(name: str, classes: Mapping[str, ast.ClassDef]) -> Iterator[str]:
    """Yield the tests of a class, inherited ones of the same module too."""
    if name in classes:
        yield from _functions(classes[name].body)
        for base in classes[name].bases:
            yield from _methods(getattr(base, "id", ""), classes)


def _functions(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


@cache
def attacks() -> frozenset[str]:
    """Return the names in the red team's table: what its modules decorate with `@attack(name, threat)`."""
    found = set()
    for path in ATTACKS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef):
                found |= {
                    str(ast.literal_eval(each.args[0]))
                    for each in node.decorator_list
                    if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "attack"
                }
    return frozenset(found)


def rows(text: str) -> list[list[str]]:
    """Return the cells of all threats."""
    found, inside = [], False
    for line in text.splitlines():
        inside = (inside and line.startswith("|")) or line == HEAD
        if inside and line != HEAD and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def problems(text: str) -> Iterator[str]:
    """Yield what is wrong with the table of threats."""
    named: set[str] = set()
    for row in rows(text):
        if len(row) != len(HEAD.strip("|").split("|")):
            yield f"not five cells: {row[0]}"
            continue
        threat, control, test, attack, owasp = row
        controls, tests = SPAN.findall(control), SPAN.findall(test)
        if not controls or not tests:
            yield f"no control or no test: {threat}"
        yield from (f"no such module: {each}" for each in controls if not (ROOT / each).is_file())
        for each in tests:
            path, _, name = each.partition("::")
            if name not in names_in(ROOT / path):
                yield f"no such test: {each}"
        named |= set(SPAN.findall(attack))
        wrong = set(owasp.split(", ")) - LISTS if owasp else {"none"}
        yield from (f"no id of OWASP's lists: {each!r} ({threat})" for each in wrong)
    yield from (f"no such attack: {each}" for each in named - attacks())
    yield from (f"an attack without a threat: {each}" for each in attacks() - named)
    yield from (f"not mapped: {each}" for each in sorted(LISTS) if f"| {each} " not in text)


def test_what_the_threats_name_is_there() -> None:
    text = DOCUMENT.read_text()

    assert len(rows(text)) > 50
    assert list(problems(text)) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("services/access/core/people.py", "services/access/core/peoples.py"),
        ("::test_no_agent_decides_an_approval_of_its_own_tree`", "::test_no_agent_decides_anything`"),
        ("TestDirectory::test_no_id_leads_out_of_the_directory", "test_no_id_leads_out_of_the_directory"),
        ("tests/unit/chassis/test_turns.py::", "tests/unit/chassis/test_turn.py::"),
        ("| `own-approvals` |", "| `own-approval` |"),
        ("`watches`", ""),
        ("ASI03 |", "ASI13 |"),
        ("| LLM09 Misinformation", "| Misinformation"),
    ],
)
def test_a_wrong_name_is_noticed(right: str, wrong: str) -> None:
    text = DOCUMENT.read_text()
    assert right in text

    assert list(problems(text.replace(right, wrong)))
