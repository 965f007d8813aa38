"""The console's files: their addresses, their types, and that a wheel holds them."""

import tomllib
from pathlib import Path

import pytest

from gateway.http.console.assets import assets
from gateway.http.console.core.assets import Assets

ROOT = Path(__file__).parents[3]
FILES = {
    "index.html": b'<script src="/console/static/app.js"></script>',
    "app.js": b"import './lib/a.js'",
    "lib/a.js": b"export {}",
    "notes.md": b"not for browsers",
}


def test_the_page_names_its_files_where_they_never_change() -> None:
    made = Assets(FILES)

    assert f"/console/static/{made.digest}/app.js".encode() in made.index.body
    found = made.find(f"{made.digest}/lib/a.js")
    assert found is not None
    assert (found[0].body, found[1]) == (b"export {}", True)
    plain = made.find("lib/a.js")
    assert plain is not None
    assert not plain[1]


def test_another_versions_address_holds_nothing() -> None:
    old, new = Assets(FILES), Assets({**FILES, "lib/a.js": b"export const a = 1"})

    assert old.digest != new.digest
    assert new.find(f"{old.digest}/app.js") is None


@pytest.mark.parametrize("path", ["", "..", "../index.html", "lib", "lib/", "notes.md", "/app.js", "app.js/"])
def test_only_files_of_known_types_are_there(path: str) -> None:
    assert Assets(FILES).find(path) is None


def test_a_package_without_its_files_is_told_of_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"index\.html is missing"):
        Assets({})


def test_the_installed_package_has_its_files() -> None:
    assert assets().find("app.js") is not None


def test_the_build_takes_the_files_along() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = ROOT / "gateway/http/console"

    taken = {path for pattern in tables["gateway.http.console"] for path in package.glob(pattern + "/*")}
    assert taken >= {path for path in (package / "static").rglob("*") if path.is_file()}
