"""The console's files: which there are, as what each is sent, and where it never changes. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

INDEX: Final = "index.html"
TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
"""Content types by suffix. What has another one is not sent."""

_ADDRESS: Final = b"/console/static/"
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    content_type: str
    etag: str


class Assets:
    """All files, by path below the folder.

    The first page names them under an address that holds the digest of all: a page that was loaded from one
    version never gets a module of another, and browsers keep each for as long as they like.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Take the files by path. Raises ValueError without a first page."""
        if INDEX not in files:
            raise ValueError(f"the console's {INDEX} is missing")
        known = {path: body for path, body in files.items() if _suffix(path) in TYPES}
        whole = hashlib.sha256()
        for path in sorted(known):
            whole.update(f"{path}\0{len(known[path])}\0".encode() + known[path])
        self.digest = whole.hexdigest()[:_DIGITS]
        known[INDEX] = known[INDEX].replace(_ADDRESS, _ADDRESS + f"{self.digest}/".encode())
        self._assets = {path: _asset(path, body) for path, body in known.items()}

    @property
    def index(self) -> Asset:
        """The first page."""
        return self._assets[INDEX]

    def find(self, path: str) -> tuple[Asset, bool] | None:
        """Return the file at a path below `static/`, and whether what is there never changes.

        None where no file is, also for the digest of another version.
        """
        head, _, rest = path.partition("/")
        if head == self.digest:
            found = self._assets.get(rest)
            return None if found is None else (found, True)
        found = self._assets.get(path)
        return None if found is None else (found, False)


def _asset(path: str, body: bytes) -> Asset:
    return Asset(body, TYPES[_suffix(path)], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :] if "." in name else ""
