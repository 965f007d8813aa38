"""What a document names is there: files, folders, modules, and the targets of its links."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "deploy/**/*.md",
        "gateway/README.md",
        "gateway/http/mcp/README.md",
        "services/*/README.md",
        "services/scheduler/core/policies/README.md",
        "sdk/python/README.md",
        "examples/README.md",
        "examples/frameworks/README.md",
        "protos/README.md",
        "tests/clients/README.md",
        "tests/fakes/README.md",
    )
    for path in ROOT.glob(pattern)
)

TOP = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build"}
"""Folders whose files are there from the start; what is built is not."""
ROOMS = {
    "adapters", "auth", "backends", "constraints", "core", "db", "dispatch", "inference", "model", "rpc",
    "runtime", "service", "servicer", "store", "wire",
}  # fmt: skip
"""First parts of paths that are meant from the document's own folder."""

FILES = (".py", ".proto", ".md", ".sh", ".toml", ".cedar", ".cedarschema")
SPAN = re.compile(r"`([^`]+)`")
PATH = re.compile(r"[\w.<>*-]+(/[\w.<>*-]+)*/?")
MODULE = re.compile(r"(?<![\w.])(?:(?:services|chassis|launcher|gateway\.inference)(?:\.\w+)+|aios\._\w+)")
IMPORT = re.compile(r"^from ((?:services|gateway|launcher)[\w.]*) import", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)")


def is_there(name: str, folder: Path) -> bool:
    """Whether a path stands for something; `<anything>` matches, and a module needs no `.py`."""
    pattern = re.sub(r"<[^>]+>", "*", name.rstrip("/"))
    return any(any(folder.glob(each)) for each in (pattern, f"{pattern}.py"))


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or a package, or something in one."""
    parts = name.removesuffix(".py").split(".")
    home = ROOT / {"chassis": "services", "aios": "sdk/python/src"}.get(parts[0], "")
    return any(
        is_there("/".join(part), home) for part in (parts, parts[:-1]) if len(part) > 1 or part == parts
    )


def missing(text: str, folder: Path) -> Iterator[str]:
    """Yield what a document in `folder` names that is not there."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for span in SPAN.findall(prose):
        name = re.sub(r"\s*\n\s*", "", span)
        first = name.split("/")[0]
        if not PATH.fullmatch(name):
            yield from (module for module in MODULE.findall(name) if not is_module(module))
        elif "/" in name and first in TOP and first not in ROOMS:
            if not is_there(name, ROOT):
                yield name
        elif name.endswith(FILES) or ("/" in name and first in ROOMS):
            if not (is_there(name, folder) or is_there(name, ROOT)):
                yield name
        elif MODULE.fullmatch(name) and not is_module(name):
            yield name
    yield from (module for module in IMPORT.findall(text) if not is_module(module))
    yield from (
        link for link in LINK.findall(prose) if "://" not in link and not (folder / link).resolve().exists()
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    assert list(missing(document.read_text(), document.parent)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_gone_is_noticed_at_the_end_of_every_document(document: Path) -> None:
    text = f"{document.read_text()}\nsee `core/gone.py`\n"

    assert list(missing(text, document.parent)) == ["core/gone.py"]


def test_what_is_gone_is_noticed_in_every_form_in_which_documents_name_it() -> None:
    text = """
    `services/tool/gone.py` `services/tool/main.py` `core/pool.py` `core/gone` `gone.py` `tests/unit/gone/`
    `tests/unit/
    nowhere.py` `python -m services.gone.main` `chassis.gone.thing` `aios._gone` `services/<manager>/main.py`
    `services/<manager>/gone.py` [a](gone.md) [b](README.md) [c](https://example.org/gone.md) `MAX/2`
    """
    example = "\n```python\nfrom services.gone import Thing\nfrom services.tool.main import build\n```\n"

    assert list(missing(text + example, ROOT / "services/scheduler")) == [
        "services/tool/gone.py",
        "core/gone",
        "gone.py",
        "tests/unit/gone/",
        "tests/unit/nowhere.py",
        "services.gone.main",
        "chassis.gone.thing",
        "aios._gone",
        "services/<manager>/gone.py",
        "services.gone",
        "gone.md",
    ]


def test_what_the_glossary_names_in_the_code_is_there() -> None:
    rows = [
        line.split("|") for line in (ROOT / "GLOSSARY.md").read_text().splitlines() if line.startswith("|")
    ]
    names = {name for row in rows for name in SPAN.findall(row[3]) if name.isidentifier()}
    words = {
        word
        for folder, suffix in (("services", "py"), ("gateway", "py"), ("protos", "proto"))
        for path in (ROOT / folder).rglob(f"*.{suffix}")
        for word in re.findall(r"\w+", path.read_text())
    }

    assert len(names) > 40
    assert names - words == set()
