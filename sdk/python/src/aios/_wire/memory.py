"""Notes on the wire."""

from typing import Literal

from aios._wire.common import agent_name
from aios._wire.records import record
from aios.api.memory.v1 import memory_pb2 as pb
from aios.types.memory import LinkKind, MemoryUsage, Note, NoteHit, NoteLink, SearchMode

_PUT_MODES = {
    "any": pb.PUT_MODE_UNSPECIFIED,
    "create": pb.PUT_MODE_CREATE,
    "replace": pb.PUT_MODE_REPLACE,
}
_SEARCH_MODES = {
    "hybrid": pb.SEARCH_MODE_HYBRID,
    "lexical": pb.SEARCH_MODE_LEXICAL,
    "semantic": pb.SEARCH_MODE_SEMANTIC,
}
_LINK_KINDS: dict[LinkKind, pb.LinkKind] = {
    "unspecified": pb.LINK_KIND_UNSPECIFIED,
    "related": pb.LINK_KIND_RELATED,
    "derived_from": pb.LINK_KIND_DERIVED_FROM,
    "supersedes": pb.LINK_KIND_SUPERSEDES,
    "contradicts": pb.LINK_KIND_CONTRADICTS,
}


def note_name(key: str, agent: str = "me") -> str:
    """Return the resource name of an agent's note."""
    return f"{agent_name(agent)}/notes/{key}"


def put_mode(mode: Literal["any", "create", "replace"]) -> pb.PutMode:
    """Return a write mode as protobuf."""
    return _PUT_MODES[mode]


def search_mode(mode: SearchMode) -> pb.SearchMode:
    """Return a search mode as protobuf."""
    return _SEARCH_MODES[mode]


def link_message(link: NoteLink, agent: str = "me") -> pb.NoteLink:
    """Return a link as protobuf; its note may be given by key."""
    name = link.note if link.note.startswith("agents/") else note_name(link.note, agent)
    return pb.NoteLink(note=name, kind=_LINK_KINDS[link.kind], weight=link.weight)


def note(message: pb.Note) -> Note:
    """Return a note from protobuf."""
    key = message.key or message.name.partition("/notes/")[2]
    return record(Note, message, key=key)


def hit(message: pb.NoteHit) -> NoteHit:
    """Return a search hit from protobuf."""
    return record(NoteHit, message, note=note(message.note))


def usage(message: pb.GetUsageResponse) -> MemoryUsage:
    """Return an agent's usage from protobuf."""
    return record(MemoryUsage, message)
