"""HTTP APIs as tools, and where tools may send to."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFieldChange:
    """What of a tool is not as it was; texts are cut after 300 characters."""

    name: str
    """Which part, such as `description`."""

    before: str = ""
    """What it was."""

    after: str = ""
    """What it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiChange:
    """What becomes of one tool of an API."""

    tool: str
    """Resource name `tools/{id}`."""

    kind: str
    """`added`, `changed`, `removed` or `unchanged`."""

    fields: tuple[ApiFieldChange, ...] = ()
    """What of it changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiLeftOut:
    """An operation that is no tool."""

    operation: str
    """Its id, or method and path."""

    reason: str
    """Why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiResult:
    """What became of an OpenAPI document, or would."""

    document_sha256: str
    """By which the document is replaced later."""

    proposed_servers: tuple[str, ...] = ()
    """The servers that the document names; nothing is sent there for that."""

    changes: tuple[ApiChange, ...] = ()
    """What becomes of each tool."""

    left_out: tuple[ApiLeftOut, ...] = ()
    """Operations that are no tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressInfo:
    """Where the tools of a tenant may send to."""

    narrowed: bool = False
    """Whether `origins` narrow what the operator allows."""

    origins: tuple[str, ...] = ()
    """Origins that tools may reach, such as https://*.example.com; none, and `narrowed`: nothing."""

    etag: str = ""
    """Changes with every change; empty: it was never set."""

    update_time: datetime | None = None
    """When it last changed."""

    allowed: tuple[str, ...] = ()
    """What the operator allows."""
