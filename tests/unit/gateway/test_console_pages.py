"""The console's pages keep to rules that no browser would enforce in time."""

import re
from pathlib import Path

import pytest

import gateway.http

_STATIC = Path(gateway.http.__file__).parent / "console" / "static"
_MODULES = sorted(_STATIC.rglob("*.js"))
_BARRED = re.compile(
    r"\.(?:inner|outer)HTML|insertAdjacentHTML|createContextualFragment|DOMParser|setHTML"
    r"|document\.write|\beval\s*\(|new\s+Function\b|\.srcdoc|EventSource|localStorage|sessionStorage"
)
_IMPORT = re.compile(
    r"""^(?:import|export)\b[^;]*?\bfrom\s+["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)""", re.MULTILINE
)
_ELSEWHERE = re.compile(r"""["'`](?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z]""")
_LONGEST_FILE = 500


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.relative_to(_STATIC).as_posix())
def test_a_page_never_makes_markup_of_text_nor_code_of_it(path: Path) -> None:
    assert not _BARRED.search(path.read_text())


def test_the_rule_sees_what_it_forbids() -> None:
    for slip in (
        "a.innerHTML = b",
        "el.outerHTML=x",
        "n.insertAdjacentHTML('x', y)",
        "document.write(x)",
        "eval (x)",
    ):
        assert _BARRED.search(slip)


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.relative_to(_STATIC).as_posix())
def test_a_module_imports_files_that_are_there_by_relative_addresses(path: Path) -> None:
    for found in _IMPORT.finditer(path.read_text()):
        target = found[1] or found[2]
        assert target.startswith("."), f"{target} is no relative address"
        assert (path.parent / target).resolve().is_relative_to(_STATIC)
        assert (path.parent / target).is_file(), f"{target} is not there"


@pytest.mark.parametrize("path", sorted(_STATIC.rglob("*.*")), ids=lambda path: path.name)
def test_the_pages_fetch_nothing_from_elsewhere_and_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert not _ELSEWHERE.search(text)
    assert text.count("\n") < _LONGEST_FILE


def test_a_page_has_no_scripts_or_styles_of_its_own_in_its_markup() -> None:
    index = (_STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=", index)
