"""Resource names such as `agents/planner/notes/todo` or `tools/search`: parse, format, resolve `me`."""

import re
from dataclasses import dataclass

from services.chassis.rpc.errors import InvalidRequest

ME = "me"
"""Stands for the calling agent in a resource name."""

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_COLLECTION = re.compile(r"[a-z][a-zA-Z]{0,31}")
MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class ResourceName:
    """A parsed resource name.

    `agents/a` is (a, "", ""), `agents/a/notes` (a, notes, ""), `agents/a/files/x/y` (a, files, "x/y"),
    `tools/t` ("", tools, t). `str()` gives the text back.
    """

    owner: str
    """Agent id, or empty for a resource that belongs to the tenant."""
    collection: str
    id: str
    """The rest of the name; may contain slashes."""

    def __str__(self) -> str:
        """Format the name."""
        head = ("agents", self.owner) if self.owner else ()
        return "/".join((*head, *(part for part in (self.collection, self.id) if part)))


def is_id(text: str) -> bool:
    """Tell whether `text` is a well-formed id: `[a-z0-9][a-z0-9._-]{0,62}`."""
    return _ID.fullmatch(text) is not None


def parse(name: str, *, me: str = "", field: str = "name") -> ResourceName:
    """Parse a resource name; the word `me` becomes the agent `me`.

    Raises InvalidRequest, naming `field`, when the text is no resource name.
    """
    head, _, rest = name.partition("/")
    if len(name) > MAX_LENGTH or "\0" in name:
        raise InvalidRequest.field(field, "the resource name is too long or holds a NUL")
    if head != "agents":
        if not _COLLECTION.fullmatch(head):
            raise InvalidRequest.field(field, "a resource name starts with a collection such as agents/")
        return ResourceName("", head, rest)
    owner, slash, rest = rest.partition("/")
    if owner == ME and me:
        owner = me
    elif not _ID.fullmatch(owner):
        raise InvalidRequest.field(field, "agents/ is followed by an agent id: [a-z0-9][a-z0-9._-]{0,62}")
    collection, _, identifier = rest.partition("/")
    if slash and not _COLLECTION.fullmatch(collection):
        raise InvalidRequest.field(field, f"agents/{owner}/ is followed by a collection such as notes")
    return ResourceName(owner, collection, identifier)


def parse_in(name: str, collection: str, *, me: str = "", field: str = "name") -> ResourceName:
    """Parse a name that must lie in `collection` and have an id.

    Raises InvalidRequest, naming `field`.
    """
    parsed = parse(name, me=me, field=field)
    if parsed.collection != collection or not parsed.id:
        raise InvalidRequest.field(field, f"expected a name in {collection}/")
    return parsed


def agent_name(agent: str) -> str:
    """Format the name of an agent."""
    return f"agents/{agent}"


def in_agent(agent: str, collection: str, identifier: str) -> str:
    """Format the name of a resource of an agent, such as `agents/planner/notes/todo`."""
    return f"agents/{agent}/{collection}/{identifier}"
