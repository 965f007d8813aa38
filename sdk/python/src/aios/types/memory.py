"""Notes: what an agent remembers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

LinkKind = Literal["unspecified", "related", "derived_from", "supersedes", "contradicts"]
SearchMode = Literal["hybrid", "lexical", "semantic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteLink:
    """A pointer from one note to another of the same agent."""

    note: str
    """Resource name of the note pointed to."""

    kind: LinkKind = "unspecified"
    """Why."""

    weight: float = 0.0
    """How strong it is, 0 to 1; 0: not said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something an agent remembers."""

    name: str
    """Resource name `agents/{agent}/notes/{key}`."""

    key: str
    """The caller's name for it."""

    content: str = ""
    """The text; empty in the answers of writes, whose caller has it."""

    tags: tuple[str, ...] = ()
    """Labels to filter by."""

    context: str = ""
    """What the note is about and when it matters; searched with the content."""

    keywords: tuple[str, ...] = ()
    """Words that name its subject; searched with the content."""

    category: str = ""
    """A coarse grouping."""

    links: tuple[NoteLink, ...] = ()
    """Pointers to other notes."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    """Anything kept beside the text; not searched."""

    importance: float = 0.0
    """How important the agent finds it, 0 to 1."""

    expire_time: datetime | None = None
    """When it deletes itself; None: never."""

    create_time: datetime | None = None
    """When it was first written."""

    update_time: datetime | None = None
    """When it last changed."""

    access_time: datetime | None = None
    """When it was last read or written."""

    etag: str = ""
    """Changes with every write."""

    size_bytes: int = 0
    """What it counts against the quota."""

    residence: Literal["unspecified", "memory", "storage"] = "unspecified"
    """Where it is kept now."""

    writer: str = ""
    """Who wrote it last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteHit:
    """One note that a search found."""

    note: Note
    """The note."""

    score: float = 0.0
    """How well it fits, 1 is best; comparable within one answer only."""

    lexical_score: float = 0.0
    """The score by words alone."""

    semantic_score: float = 0.0
    """The score by meaning alone."""

    linked_from: str = ""
    """The note whose link led here; empty when the query did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryUsage:
    """How much memory an agent uses and may use."""

    note_count: int = 0
    """Notes it has."""

    used_bytes: int = 0
    """What they take together."""

    resident_bytes: int = 0
    """How much of it is in RAM."""

    resident_count: int = 0
    """Notes in RAM."""

    quota_bytes: int = 0
    """What it may have in all."""

    high_water_bytes: int = 0
    """What it may have in RAM before notes move to storage."""

    evicted_count: int = 0
    """Notes moved to storage since the manager started."""

    restored_count: int = 0
    """Notes brought back since the manager started."""

    mean_residence: float | None = None
    """How long notes have been in RAM on average. Unit: seconds."""
