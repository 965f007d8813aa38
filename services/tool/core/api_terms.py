"""Terms of APIs whose operations are tools: what is offered, and what becomes of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from services.tool.model import DEFAULT_RESPONSE_BYTES, DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiOffer:
    """An OpenAPI document whose operations shall be tools."""

    api: str
    """Prefix of their ids."""
    document: bytes = field(repr=False)
    base_url: str
    """Where they are sent, whatever the document proposes."""
    operations: frozenset[str] = frozenset()
    """Ids of those that are wanted; empty: all."""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    vouched: bool = False
    replaces: str = ""
    """SHA-256 of the document that it replaces; empty: none."""
    allow_breaking: bool = False
    """Whether tools may change so that calls under way break."""
    dry_run: bool = False
    """Whether it is only told what would change."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_response_bytes: int = DEFAULT_RESPONSE_BYTES
    untrusted: bool = False
    """Whether its agent has read what nobody vouches for."""


class ApiChangeKind(Enum):
    """What becomes of a tool."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFieldChange:
    """What of a tool is not as it was. Texts are cut."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiChange:
    """What becomes of one tool of an API."""

    tool: str
    kind: ApiChangeKind
    fields: tuple[ApiFieldChange, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiResult:
    """What became of a document."""

    sha256: str
    servers: tuple[str, ...] = ()
    changes: tuple[ApiChange, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why operations are no tools, by their ids."""
