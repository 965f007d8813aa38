"""What storage keeps. Everything belongs to one scope: an agent of a tenant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.chassis.auth.identity import Scope
from services.chassis.quotas import Caps
from services.chassis.times import EPOCH, micros

ROOT = ""
"""Path of the directory that holds everything. It always exists and is never stored."""

NEWEST = 0
"""Stands for the newest version where a version number is expected."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The call that is being served."""

    scope: Scope
    """Whose storage it works on."""
    agent: str
    """Id of the calling agent: the owner of the scope, or one it shares with."""
    request_id: str = ""
    """Chosen by the caller, to recognise a repeat; empty makes every call a new one."""
    tree: str = field(default="", compare=False)
    """Id of the root above the calling agent; empty where it is not known."""
    untrusted: bool = False
    """Whether nobody vouches for what the call leaves: its agent is marked, or not the owner."""


class Kind(Enum):
    """What a node is."""

    FILE = "file"
    DIRECTORY = "directory"


class Mode(Enum):
    """What a write does about something that exists or does not."""

    ANY = "any"
    CREATE = "create"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of bytes of a content, stored and verified as one unit."""

    digest: str
    """SHA-256, hexadecimal."""
    size: int
    """Unit: bytes."""
    data: bytes | None = field(default=None, repr=False)
    """The bytes themselves when they are small enough to lie in the index; None when a blob holds them."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a version as a list of pieces; immutable and named by the SHA-256 of all bytes."""

    digest: str
    size: int
    """Unit: bytes."""
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A content made by appending: everything an earlier content holds, then one more piece.

    Links share what they have in common, so that an append stores what it adds. Never changes.
    """

    digest: str
    """Names the content; see `name_link` in `core/appending`."""
    base: str
    """Digest of the content before: another link, or one kept as a list of pieces."""
    size: int
    """Of the whole content. Unit: bytes."""
    piece: Piece
    pending: bytes | None
    """The bytes at the end that begin a character of UTF-8; None when the content is no text."""


@dataclass(frozen=True, slots=True)
class VacatedName:
    """A path whose node was moved or deleted, while access may still hold grants on the name."""

    path: str
    sequence: int
    """Number of the change that vacated it."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the owner says about a file beside its bytes."""

    media_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a file. Never changes."""

    node_id: str
    number: int
    """1 for the first; always grows."""
    digest: str
    size: int
    """Unit: bytes."""
    created_at: datetime
    writer: str
    """Id of the agent that wrote it."""
    etag: str
    """The etag the file had with this version."""
    comment: str = ""
    restored: int = 0
    """The version that this one brought back; 0 when it is no rollback."""
    shared: int = 0
    """Bytes that the next version holds too, being made by appending; the quota counts them there."""
    untrusted: bool = False
    """Whether nobody vouches for its content: its writer was marked, or another agent than the owner."""


@dataclass(frozen=True, slots=True)
class Node:
    """A file or directory. Moving it keeps its id and its versions."""

    id: str
    path: str
    kind: Kind
    created_at: datetime
    updated_at: datetime
    revision: int = 1
    """Grows with every write, move, rollback and change of the label."""
    version: int = 0
    """Number of the newest version; 0 for a directory."""
    digest: str = ""
    size: int = 0
    """Unit: bytes, of the newest version."""
    writer: str = ""
    label: Attributes = field(default_factory=Attributes)
    trash_id: int = 0
    """The deletion that moved the node to the trash, later ones are greater; 0 while the node is live."""
    trash_root: bool = False
    """Whether the node itself was deleted, not a directory above it."""
    trashed_at: datetime | None = None
    untrusted: bool = False
    """Whether nobody vouches for its newest content, its name or its label."""

    @property
    def etag(self) -> str:
        """Changes with every write, move, rollback and change of the label."""
        return f"{self.version}-{self.revision}-{self.id[:12]}"

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.kind is Kind.FILE


@dataclass(frozen=True, slots=True)
class Upload:
    """A big file that arrives in chunks."""

    id: str
    path: str
    created_at: datetime
    expires_at: datetime
    writer: str
    received: int = 0
    """Bytes so far: the offset of the next chunk."""
    chunks: int = 0
    total: int = 0
    """Bytes announced; 0 when unknown."""
    mode: Mode = Mode.ANY
    etag: str = ""
    label: Attributes = field(default_factory=Attributes)
    comment: str = ""
    untrusted: bool = False
    """Whether nobody vouches for a part of it."""

    @property
    def reserved(self) -> int:
        """What the upload counts against the quota. Unit: bytes."""
        return max(self.total, self.received)


class ChangeKind(Enum):
    """What happened to a node."""

    CREATED = "created"
    UPDATED = "updated"
    MOVED = "moved"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a scope."""

    kind: ChangeKind
    node: Node
    """After the change; when deleted, before it."""
    at: datetime
    old_path: str = ""
    """With MOVED: the path before."""
    sequence: int = 0
    """Grows along a scope's events; given by the store when the change is recorded."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Running sums of a scope, kept in the transaction of each change. Unit of the first five: bytes."""

    live: int = 0
    """Newest versions of live files."""
    history: int = 0
    """Older versions of live files."""
    trash: int = 0
    uploads: int = 0
    records: int = 0
    nodes: int = 0
    """Live files and directories."""

    @property
    def used(self) -> int:
        """What counts against the quota. Unit: bytes."""
        return self.live + self.history + self.trash + self.uploads + self.records

    def plus(self, **more: int) -> "Totals":
        """Return the sums with the given amounts added; an amount may be negative."""
        return Totals(**{name: getattr(self, name) + more.get(name, 0) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """What agents may have."""

    versions: int
    """Versions kept of each file; older ones are dropped."""
    caps: Caps
    """By quota: those of the config."""


@dataclass(frozen=True, slots=True)
class Document:
    """What search knows about a text."""

    id: str
    """Id of the node."""
    text: str = field(repr=False)
    """The beginning of the text as written, for excerpts."""
    words: str = field(repr=False)
    """Normalised words of the text, separated by spaces."""
    vector: bytes = field(repr=False)
    """Embedding: float32, little endian."""


class SearchMode(Enum):
    """How search compares a query with a text."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Hit:
    """A file that search found. Scores lie in 0 to 1; 1 is best."""

    scope: Scope
    node: Node
    score: float
    lexical: float = 0.0
    semantic: float = 0.0
    excerpt: str = ""
    excerpt_offset: int = 0
    """Unit: bytes."""
    rank: int = 0
    """Where it stands in the whole ranking; 0 is the best."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a collection."""

    key: str
    fields: str
    """A JSON object as text."""
    created_at: datetime
    updated_at: datetime
    text: str = ""
    vector: bytes = field(default=b"", repr=False)
    """Given by the caller or made from `text`: float32, little endian; empty when there is none."""
    revision: int = 1
    untrusted: bool = False
    """Whether nobody vouches for it: its writer was marked, or another agent than the owner."""

    @property
    def etag(self) -> str:
        """Changes with every write; a record made anew never has an etag it had before."""
        return f"{self.revision}-{int(self.created_at.timestamp() * 1e6):x}"

    @property
    def size(self) -> int:
        """What the record counts against the quota. Unit: bytes."""
        return len(self.key.encode()) + len(self.fields.encode()) + len(self.text.encode()) + len(self.vector)


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of records and its running sums."""

    name: str
    created_at: datetime
    updated_at: datetime
    count: int = 0
    size: int = 0
    """Unit: bytes."""
    vector_length: int = 0
    """Numbers in each vector; 0 until the first record with one."""


class Role(Enum):
    """What a share lets its grantee do."""

    READER = "reader"
    WRITER = "writer"


@dataclass(frozen=True, slots=True)
class ShareGrant:
    """A right as access keeps it."""

    name: str
    """Such as `grants/7f3a`."""
    resource: str
    grantee: str
    """Such as `agents/writer` or `groups/analysts`."""
    actions: tuple[str, ...]
    prefix: bool = False
    """Whether `resource` is the beginning of names rather than one name; it then ends with a slash."""
    expires_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A file, or a directory with all it holds, that another agent or group may use."""

    grant: str
    path: str
    grantee: str
    role: Role
    expires_at: datetime | None = None
    created_at: datetime | None = None

    @property
    def position(self) -> tuple[int, str]:
        """Where it stands in a list, oldest first."""
        return micros(self.created_at or EPOCH), self.grant
