"""Files: each agent's versioned file system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

WriteMode = Literal["any", "create", "replace"]
ShareRole = Literal["reader", "writer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInfo:
    """A file or directory, without its bytes."""

    name: str
    """Resource name `agents/{agent}/files/{path}`."""

    kind: Literal["unspecified", "file", "directory"] = "file"
    """What it is."""

    size_bytes: int = 0
    """How long the newest version is."""

    version: int = 0
    """The newest version: 1 for the first, one more with every write."""

    etag: str = ""
    """Changes with every write, move and rollback."""

    sha256: str = ""
    """Hash of the newest version's bytes, lower-case hexadecimal."""

    media_type: str = ""
    """What the bytes are."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    """Anything the owner keeps beside the bytes."""

    create_time: datetime | None = None
    """When the first version was written."""

    update_time: datetime | None = None
    """When the newest version was written."""

    writer: str = ""
    """Who wrote the newest version."""

    delete_time: datetime | None = None
    """When it was deleted; None: it is not in the trash."""

    purge_time: datetime | None = None
    """When the trash forgets it."""

    @property
    def path(self) -> str:
        """The path below the agent's root; empty for the root itself."""
        return self.name.partition("/files")[2].lstrip("/")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileVersion:
    """One version of a file."""

    version: int
    """Which one: 1 for the first."""

    size_bytes: int = 0
    """How long it is."""

    sha256: str = ""
    """Hash of its bytes."""

    create_time: datetime | None = None
    """When it was written."""

    writer: str = ""
    """Who wrote it."""

    comment: str = ""
    """What the writer said about it."""

    restored_version: int = 0
    """The version this one restored; 0: it was no rollback."""

    etag: str = ""
    """The etag the file had with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDiff:
    """The difference of two versions of a text file."""

    from_version: int = 0
    """The version compared from."""

    to_version: int = 0
    """The version compared to."""

    unified_diff: str = ""
    """The difference in unified format; empty when the two are the same."""

    added_lines: int = 0
    """Lines only in the newer one."""

    removed_lines: int = 0
    """Lines only in the older one."""

    truncated: bool = False
    """Whether `unified_diff` was cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileHit:
    """One file that a search found."""

    file: FileInfo
    """The file."""

    score: float = 0.0
    """How well it fits, 1 is best; comparable within one answer only."""

    snippet: str = ""
    """The passage that fits best."""

    snippet_offset: int = 0
    """Where the passage begins. Unit: bytes."""

    lexical_score: float = 0.0
    """The score by words alone."""

    semantic_score: float = 0.0
    """The score by meaning alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A file or directory that another agent or group may use."""

    grant: str = ""
    """The grant behind it."""

    file: str = ""
    """Resource name of what is shared."""

    grantee: str = ""
    """Who may use it."""

    role: Literal["unspecified", "reader", "writer"] = "reader"
    """What the grantee may do."""

    expire_time: datetime | None = None
    """When it ends; None: never."""

    create_time: datetime | None = None
    """When it was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEvent:
    """A change below a watched directory."""

    sequence: int
    """The event's number: grows, possibly with gaps."""

    change: Literal["unspecified", "created", "updated", "deleted", "moved"]
    """What happened; `unspecified` only shows that the stream lives."""

    file: FileInfo | None = None
    """The file after the change; when deleted, before it."""

    previous_name: str = ""
    """The name it had before it was moved."""

    event_time: datetime | None = None
    """When it happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageUsage:
    """How much storage an agent uses and may use. Unit: bytes unless a name says otherwise."""

    file_bytes: int = 0
    """Newest versions."""

    version_bytes: int = 0
    """Older versions."""

    trash_bytes: int = 0
    """What is in the trash."""

    record_bytes: int = 0
    """Records of collections."""

    upload_bytes: int = 0
    """Uploads in progress."""

    file_count: int = 0
    """Files, not directories."""

    quota_bytes: int = 0
    """What the agent may have in all."""

    max_versions: int = 0
    """Versions kept of each file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One record of a collection."""

    key: str
    """Names it within its collection."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields to filter by."""

    text: str = ""
    """The text that searches read."""

    vector: tuple[float, ...] = ()
    """The embedding to search by; empty in a write: made from `text` by the kernel."""

    etag: str = ""
    """Changes with every write; in a write: the version to replace."""

    create_time: datetime | None = None
    """When it was first written."""

    update_time: datetime | None = None
    """When it last changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordHit:
    """One record that a query found."""

    record: Record
    """The record."""

    score: float = 0.0
    """How near it is, 1 is best; 0 when nothing was compared."""


FilterOperator = Literal[
    "equal",
    "not_equal",
    "less",
    "less_or_equal",
    "greater",
    "greater_or_equal",
    "in",
    "contains",
    "exists",
]


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a record's field."""

    field: str
    """The field; a dot steps into an object."""

    operator: FilterOperator = "equal"
    """How to compare."""

    value: Any = None
    """With what: a number, text, boolean, None, or a list with `in`."""
