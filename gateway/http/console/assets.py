"""Reads the console's files out of the installed package."""

from collections.abc import Iterator
from importlib.abc import Traversable
from importlib.resources import files

from gateway.http.console.core.assets import Assets


def assets() -> Assets:
    """Read all of `static/`; it blocks. Raises ValueError when the package was installed without them."""
    folder = files("gateway.http.console") / "static"
    return Assets(dict(_below(folder)) if folder.is_dir() else {})


def _below(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = prefix + entry.name
        if entry.is_dir():
            yield from _below(entry, f"{path}/")
        else:
            yield path, entry.read_bytes()
