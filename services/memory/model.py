"""What the memory manager keeps. Everything belongs to one scope: an agent of a tenant."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum


class LinkKind(Enum):
    """Why one note points to another."""

    UNSAID = "unsaid"
    RELATED = "related"
    DERIVED_FROM = "derived_from"
    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"


@dataclass(frozen=True, slots=True)
class Link:
    """A pointer to another note of the same agent."""

    key: str
    kind: LinkKind = LinkKind.UNSAID
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Fields:
    """What the agent says in a note."""

    content: str = field(default="", repr=False)
    tags: tuple[str, ...] = ()
    context: str = field(default="", repr=False)
    """What the note is about and when it matters; searched with the content."""
    keywords: tuple[str, ...] = ()
    category: str = ""
    links: tuple[Link, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    importance: float = 0.0
    expires_at: datetime | None = None

    @property
    def size(self) -> int:
        """What it counts against the quota. Unit: bytes."""
        texts = (
            self.content,
            self.context,
            *self.tags,
            *self.keywords,
            *(link.key for link in self.links),
            *self.metadata.keys(),
            *self.metadata.values(),
        )
        return sum(len(text.encode()) for text in texts)


@dataclass(frozen=True, slots=True)
class Note:
    """Something an agent remembers."""

    key: str
    fields: Fields
    created_at: datetime
    updated_at: datetime
    accessed_at: datetime
    nonce: str
    """Random, so that a note made anew never has an etag it had before."""
    writer: str
    """Id of the agent that wrote it last."""
    size: int
    """Unit: bytes."""
    revision: int = 1
    untrusted: bool = False
    """Whether nobody vouches for it: its writer was marked, or another agent than the owner."""

    @property
    def etag(self) -> str:
        """Changes with every write."""
        return f"{self.nonce}-{self.revision}"

    def bare(self) -> "Note":
        """Return the note without its content."""
        return replace(self, fields=replace(self.fields, content=""))

    def expired(self, now: datetime) -> bool:
        """Tell whether the note has deleted itself."""
        return self.fields.expires_at is not None and self.fields.expires_at <= now


@dataclass(frozen=True, slots=True)
class Entry:
    """What search knows about a note."""

    words: str = field(repr=False)
    """Normalised words, separated by spaces."""
    vector: bytes = field(repr=False)


class Mode(Enum):
    """What a put does about a note that exists or does not."""

    ANY = "any"
    CREATE = "create"
    REPLACE = "replace"


class Order(Enum):
    """The order of a list."""

    KEY = "key"
    UPDATED = "updated"  # last changed first
    CREATED = "created"


class SearchMode(Enum):
    """How a query is compared with a note."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which notes; each field that is not empty narrows."""

    key_prefix: str = ""
    tags: tuple[str, ...] = ()
    """All of these."""
    category: str = ""
    updated_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A note in a list, without its fields."""

    key: str
    size: int
    created_at: datetime
    updated_at: datetime
    importance: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A note that search found. Scores lie in 0 to 1; 1 is best."""

    key: str
    score: float
    lexical: float = 0.0
    semantic: float = 0.0
    linked_from: str = ""
    """Key of the note whose link led here; empty when the query did."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Running sums of a scope, kept in the transaction of each change."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """How much memory an agent uses and may use."""

    totals: Totals
    resident: Totals
    quota_bytes: int
    high_water_bytes: int
    evicted: int
    """Since the process started."""
    restored: int
    """Since the process started."""
    mean_residence: float | None
    """Seconds that the resident notes have been in RAM on average; None without any."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The answer of a request that returns nothing."""
