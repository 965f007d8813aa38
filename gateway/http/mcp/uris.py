"""Resource names of the kernel as URIs, and back. Pure.

`aios://files/reports/may.md` is the file `agents/me/files/reports/may.md` of whoever reads it; notes and
contexts likewise. A URI says nothing of an agent, so it can name nothing that belongs to another one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import quote, unquote, urlsplit

SCHEME: Final = "aios"
_SAFE: Final = "/-._~!$&'()*+,;=:@"
_LONGEST: Final = 4096


class Kind(Enum):
    """What a URI names. The value is the collection in a resource name."""

    FILE = "files"
    NOTE = "notes"
    CONTEXT = "contexts"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the caller."""

    kind: Kind
    path: str
    """Path of a file, key of a note, id of a context."""

    @property
    def name(self) -> str:
        """The resource name, of whoever calls."""
        return f"agents/me/{self.kind.value}/{self.path}"

    @property
    def uri(self) -> str:
        """The URI in the one spelling that the door uses itself."""
        return f"{SCHEME}://{self.kind.value}/{quote(self.path, safe=_SAFE)}"


def of_name(name: str) -> Resource:
    """Return the resource with a name such as `agents/planner/files/may.md`. Raises ValueError."""
    _agents, _agent, collection, path = name.split("/", 3)
    return Resource(Kind(collection), path)


def parse(uri: str) -> Resource | None:
    """Return what a URI names, or None when it is none of ours."""
    if len(uri) > _LONGEST:
        return None
    try:
        parts = urlsplit(uri)
        path = unquote(parts.path, errors="strict").removeprefix("/")
        path.encode()
    except ValueError:
        return None
    if parts.scheme != SCHEME or parts.query or parts.fragment or not path:
        return None
    kind = next((kind for kind in Kind if kind.value == parts.netloc), None)
    return None if kind is None else Resource(kind, path)
