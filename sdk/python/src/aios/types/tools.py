"""Tools of the kernel and the calls to them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aios.types.llm import ToolSpec

ToolEffect = Literal["unspecified", "pure", "idempotent", "reversible", "irreversible"]
CallState = Literal[
    "unspecified",
    "queued",
    "waiting_approval",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "unknown",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolInfo:
    """Something that agents can call through the kernel."""

    name: str
    """Resource name `tools/{id}`."""

    title: str = ""
    """A name for people."""

    description: str = ""
    """What it does and when to use it."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the arguments; empty: none."""

    result: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the result; empty: anything."""

    effect: ToolEffect = "irreversible"
    """What running it does to the world."""

    max_concurrency: int = 0
    """Most calls that run at once."""

    timeout: float | None = None
    """Most time one call may run. Unit: seconds."""

    locks: tuple[str, ...] = ()
    """Things that only one call may use at a time."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Anything to choose tools by."""

    requires_approval: bool = False
    """Whether each call waits for an approval, whatever the effect."""

    returns_untrusted: bool = False
    """Whether results hold text that nobody vouches for."""

    owner: str = ""
    """Who registered it."""

    etag: str = ""
    """Changes with every change."""

    available: bool = False
    """Whether it can be called now."""

    unavailable_reason: str = ""
    """Why not."""

    isolation: str = ""
    """What keeps its code in, where it runs in the kernel's sandbox: `namespaces`, `landlock`, `single` or
    `none`."""

    create_time: datetime | None = None
    """When it was registered."""

    update_time: datetime | None = None
    """When it last changed."""

    @property
    def id(self) -> str:
        """The name without `tools/`."""
        return self.name.removeprefix("tools/")

    @property
    def spec(self) -> ToolSpec:
        """The tool as it is shown to a model."""
        return ToolSpec(self.id, self.description, self.parameters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A piece of a result that is not JSON."""

    text: str = ""
    """Text."""

    data: bytes = b""
    """Bytes of the type `media_type`."""

    uri: str = ""
    """Where the piece is."""

    media_type: str = ""
    """What it holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResult:
    """What a tool returned."""

    value: Any = None
    """The result as JSON."""

    content: tuple[Piece, ...] = ()
    """Pieces that are not JSON, such as images."""

    untrusted: bool = False
    """Whether it holds text that nobody vouches for."""

    call: str = ""
    """Resource name of the call in the ledger."""

    def __str__(self) -> str:
        if self.value is None and self.content:
            return "\n".join(piece.text or piece.uri or f"[{piece.media_type}]" for piece in self.content)
        return text_of(self.value)


def text_of(value: Any) -> str:
    """Return a result as the plain text that a model reads.

    A text stays as it is, nothing is `ok`, a whole number has no `.0`, an object with the single key
    `result` is that value, anything else compact JSON.
    """
    if value is None:
        return "ok"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and set(value) == {"result"}:
        return text_of(value["result"])
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallProgress:
    """How far a call is."""

    progress: float = 0.0
    """How much is done."""

    total: float = 0.0
    """How much there is; 0: unknown."""

    message: str = ""
    """What it is doing."""

    partial_output: str = ""
    """Output so far, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallError:
    """Why a call failed."""

    reason: str = ""
    """The error reason."""

    message: str = ""
    """What went wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallInfo:
    """One entry of the ledger of calls."""

    name: str
    """Resource name `agents/{agent}/calls/{call}`."""

    tool: str = ""
    """The tool."""

    agent: str = ""
    """The agent that called it."""

    state: CallState = "unspecified"
    """How it stands."""

    arguments_sha256: str = ""
    """Hash of the exact arguments."""

    arguments: str = ""
    """The arguments as JSON text without the values of secrets, or their beginning; empty: not kept."""

    arguments_total_bytes: int = 0
    """Bytes of the whole arguments; 0: not kept."""

    arguments_cut: bool = False
    """Whether `arguments` is only the beginning."""

    result: ToolResult | None = None
    """The result; None unless it succeeded, and in lists."""

    error: CallError | None = None
    """Why it failed; None unless it did."""

    approval: str = ""
    """The approval it waits for or used."""

    create_time: datetime | None = None
    """When it was accepted."""

    start_time: datetime | None = None
    """When it began to run."""

    end_time: datetime | None = None
    """When it ended."""

    attempt_count: int = 0
    """Times it was run."""

    provider: str = ""
    """Who runs it; empty: the tool manager itself."""
