"""Tools that agents make: drafts, their tests, and versions that are shared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aios.types.tools import ToolEffect

DraftState = Literal["unspecified", "draft", "tested", "own", "shared"]


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a tool, and what has to come out of it."""

    arguments: Mapping[str, Any]
    """The arguments by name."""

    result: Any = None
    """Exactly what it returns, as JSON."""

    schema: Mapping[str, Any] | None = None
    """A JSON Schema that what it returns keeps; it then need not be `result`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleResult:
    """How one example went."""

    passed: bool = False
    """Whether what was expected came out."""

    problem: str = ""
    """Why not."""

    result_json: str = ""
    """What came out, as JSON text; cut where it is long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolTest:
    """A run of a draft's examples in the sandbox."""

    sha256: str = ""
    """What was tested."""

    source_sha256: str = ""
    """SHA-256 of the source alone."""

    interpreter: str = ""
    """Version of the interpreter that ran it."""

    sandbox: str = ""
    """What kept it in."""

    passed: bool = False
    """Whether every example passed."""

    examples: tuple[ExampleResult, ...] = ()
    """How each went, in order; empty in lists."""

    test_time: datetime | None = None
    """When."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftInfo:
    """A tool that an agent makes."""

    name: str
    """Resource name `agents/{agent}/drafts/{id}`."""

    title: str = ""
    """A name for people."""

    description: str = ""
    """What it does and when to use it."""

    state: DraftState = "unspecified"
    """How far it is."""

    source: str = ""
    """The Python source; empty in lists."""

    sha256: str = ""
    """Of all that is tested and approved."""

    test: ToolTest | None = None
    """The last test."""

    tool: str = ""
    """What it is as a tool, such as `tools/planner.slugs`."""

    effect: ToolEffect = "unspecified"
    """What running it does to the world, by what its sandbox lets it do."""

    approval: str = ""
    """The approval that was asked for to share it as it is."""

    shared_version: int = 0
    """The version that everybody calls now; 0: none is shared."""

    untrusted: bool = False
    """Whether an agent wrote it that had read what nobody vouches for."""

    create_time: datetime | None = None
    """When it was first kept."""

    update_time: datetime | None = None
    """When it last changed."""

    etag: str = ""
    """Changes with every change."""

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionInfo:
    """A version of a tool that was shared."""

    name: str
    """Resource name `agents/{agent}/drafts/{id}/versions/{number}`."""

    draft: DraftInfo = field(default_factory=lambda: DraftInfo(name=""))
    """What was shared; in lists without its source."""

    number: int = 0
    """1 is the first."""

    sha256: str = ""
    """Of what was shared."""

    approval: str = ""
    """The approval that a person gave to exactly this."""

    current: bool = False
    """Whether it is what everybody calls now."""

    diff: str = ""
    """What differs from the version before; empty in lists."""

    share_time: datetime | None = None
    """When it was shared."""

    revoke_time: datetime | None = None
    """When it was revoked; None: it was not."""

    revoke_reason: str = ""
    """Why it was revoked."""
