"""Terms of the tool manager: tools, how they are run, and the calls in its ledger. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from services.chassis.auth.identity import Principal, Scope
from services.chassis.rpc.codes import Code
from services.tool.core.places import Places

DEFAULT_TIMEOUT_SECONDS: Final = 60.0
DEFAULT_LEASE_SECONDS: Final = 60.0
DEFAULT_MEMORY_BYTES: Final = 256 * 1024 * 1024
DEFAULT_SCRATCH_BYTES: Final = 16 * 1024 * 1024
DEFAULT_RESPONSE_BYTES: Final = 1024 * 1024


class Effect(Enum):
    """What a tool may change."""

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"

    @property
    def repeatable(self) -> bool:
        """Whether a call that may have happened can be made again."""
        return self in {Effect.PURE, Effect.IDEMPOTENT}


CODE_FUNCTIONS: Final = frozenset({"python", "shell"})
"""Built-in functions that run programs of the caller's."""


class DriverKind(Enum):
    """How a tool is run."""

    BUILTIN = "builtin"
    PROVIDER = "provider"
    PYTHON = "python"
    HTTP = "http"
    MCP = "mcp"


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonCode:
    """A function that runs in the sandbox. Units: bytes and seconds."""

    source: str
    function: str
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    scratch_bytes: int = DEFAULT_SCRATCH_BYTES
    cpu_seconds: float | None = None
    """None: as long as the tool may run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrowing:
    """What a tenant's administrators leave of what the operator allows its tools to reach."""

    origins: tuple[str, ...] | None = None
    """Patterns of origins; None: all of it."""
    version: int = 0
    """Grows with every change; the etag. 0: it was never set."""
    updated_at: datetime | None = None


class HttpPlace(Enum):
    """Where an argument goes in an HTTP request."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"
    BODY = "body"


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpArgument:
    """Where one argument of an HTTP tool goes."""

    argument: str
    place: HttpPlace
    name: str
    """What it is called there; for the body, which it is the whole of, nothing."""
    joined: bool = False
    """Whether a list is one value with commas between; else the name is repeated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpEndpoint:
    """Where an HTTP tool's calls go, and how."""

    url: str
    """`{name}` in its path stands for the argument that goes there."""
    method: str
    """In capitals."""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    """Header name to name of the secret that is its value."""
    max_response_bytes: int = DEFAULT_RESPONSE_BYTES
    arguments: tuple[HttpArgument, ...] = ()
    """Where each goes. Empty: the path has those that it names, the rest are the query, or one JSON body."""
    api: str = ""
    """Prefix of the API of whose document it is an operation; empty: it is of none."""
    document_sha256: str = ""
    """Of that document as it was accepted, in hexadecimal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class McpBinding:
    """Which tool of which MCP server it is."""

    server: str
    tool: str
    """As the server calls it."""
    pinned_sha256: str
    """Of its definition as it was accepted."""
    suspended: bool = False
    """Whether the server was seen to offer something else by now; a person has to look at it first."""


@dataclass(frozen=True, slots=True)
class Driver:
    """How a tool is run. One of `function`, `python`, `http` and `mcp` is set, as `kind` says."""

    kind: DriverKind
    function: str = ""
    """Name of the built-in function."""
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    """How long a provider holds a call without a word."""
    python: PythonCode | None = None
    http: HttpEndpoint | None = None
    mcp: McpBinding | None = None

    @property
    def is_sandboxed(self) -> bool:
        """Whether it runs code that nobody vouches for, in the kernel's sandbox."""
        return self.kind is DriverKind.PYTHON or self.function in CODE_FUNCTIONS


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """Which draft of which agent a tool comes from."""

    agent: str
    draft: str
    sha256: str
    """Of what was tested, and of what a person approved where it is shared."""
    number: int = 0
    """Of the version that is shared; 0: nobody but its owner calls it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A registered tool."""

    id: str
    title: str = ""
    description: str = ""
    parameters_schema: str = ""
    """JSON Schema of the arguments as text; empty: there are none."""
    result_schema: str = ""
    """JSON Schema of the result as text; empty: anything."""
    effect: Effect = Effect.IRREVERSIBLE
    max_concurrency: int = 8
    """Calls that run at once."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """Most time one call may run."""
    driver: Driver = Driver(DriverKind.PROVIDER)
    locks: tuple[str, ...] = ()
    """Things that only one call may use at a time; `{argument}` stands for that argument."""
    labels: Mapping[str, str] = field(default_factory=dict)
    requires_approval: bool = False
    """Whether each call waits for a person, whatever the effect."""
    returns_untrusted: bool = False
    vouched: bool = False
    """Whether an administrator vouches for its program: it takes no orders from arguments."""
    untrusted: bool = False
    """Whether an agent described it that had read what nobody vouches for."""
    owner: str = ""
    """The agent that registered it; empty: the kernel."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: int = 1
    """Grows with every change; the etag."""
    made: Made | None = None
    """What it is a version of, where an agent made it itself; None: it was registered."""

    @property
    def is_own(self) -> bool:
        """Whether nobody but its owner calls it, or knows of it."""
        return self.made is not None and not self.made.number

    @property
    def needs_approval(self) -> bool:
        """Whether a person must approve each call."""
        return self.requires_approval or self.effect is Effect.IRREVERSIBLE

    def exposes(self, *, provider_untrusted: bool) -> bool:
        """Tell whether nobody vouches for what it says, by what its provider has read."""
        return self.returns_untrusted or (provider_untrusted and not self.vouched)


class CallState(Enum):
    """Where a call stands. Values are metric labels."""

    QUEUED = "queued"
    WAITING_APPROVAL = "waiting_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self not in {CallState.QUEUED, CallState.WAITING_APPROVAL, CallState.RUNNING}

    @property
    def begun(self) -> bool:
        """Whether the tool may have run."""
        return self not in {CallState.QUEUED, CallState.WAITING_APPROVAL}


@dataclass(frozen=True, slots=True)
class CallError:
    """Why a call failed."""

    reason: str
    """An error reason, such as TOOL_FAILED."""
    message: str
    code: Code = Code.FAILED_PRECONDITION
    details_json: str = ""
    """What the tool itself said about it, as the text of a JSON object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentPart:
    """A piece of a result that is not JSON: one of text, data and uri."""

    text: str = ""
    data_base64: str = ""
    uri: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableResult:
    """What stands for a reported result that is no JSON value: the call ends with this reason."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolOutcome:
    """What came out of running a tool."""

    value: Any = None
    """A JSON value."""
    pieces: tuple[ContentPart, ...] = ()
    error: CallError | None = None
    untrusted: bool = False
    """Whether the provider has read what nobody vouches for."""
    digest: bytes = field(default=b"", compare=False)
    """Of the report, by which a repeat of it is known; empty: what it says tells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """One call in the ledger."""

    id: str
    tool: str
    arguments_sha256: str
    effect: Effect
    """The tool's, when the call was made."""
    created_at: datetime
    state: CallState = CallState.QUEUED
    result_json: str = ""
    """The tool's result as JSON text."""
    pieces: tuple[ContentPart, ...] = ()
    error: CallError | None = None
    untrusted: bool = False
    """Whether nobody vouches for what it tells: result or error."""
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    syscall_id: str = ""
    provider: str = ""
    approval: str = ""
    """Id of the approval it waits for or used."""
    repeatable: bool = False
    """Whether it ended without an effect that counts, so that the same request may begin it again."""
    arguments: str = ""
    """Its canonical arguments or their beginning, without the values of secrets; empty: not kept."""
    arguments_bytes: int = 0
    """Bytes of the whole arguments; 0: not kept."""
    arguments_cut: bool = False
    """Whether only their beginning is kept."""

    def without_answer(self) -> "ToolCall":
        """Return the call as it is listed: how it ended, and nothing of what its tool returned."""
        error = None if self.error is None else replace(self.error, details_json="")
        return replace(self, result_json="", pieces=(), error=error)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallQuery:
    """Which calls are meant."""

    tool: str = ""
    """Empty: of all tools."""
    states: frozenset[CallState] = frozenset()
    """Empty: in any state."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    """Earlier than then; None: at any time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRequest:
    """A call as it is asked for."""

    tool: str
    arguments: Any
    """As parsed from JSON; not checked yet."""
    call_id: str = ""
    """The caller's request_id; empty: every request is a call of its own."""
    run_seconds: float | None = None
    """Most time it may run; None: the tool's own limit."""
    wait_seconds: float | None = None
    """Most time it may wait; None: as long as the caller does."""
    detach: bool = False
    approval: str = ""
    """Id of an approval that was given to it; empty: one that fits is looked for."""
    wait_for_approval: bool = False
    syscall_id: str = ""
    untrusted: bool = False
    """Whether its caller says that it is about what nobody vouches for."""
    marked: bool = False
    """Whether its caller has read what nobody vouches for, as the kernel knows."""
    needs_approval: bool = False
    """Whether a rule lets it run once a person has approved it."""
    effect_matters: bool = False
    """Whether a rule looks at the effect of tools."""
    credential: Principal | None = None
    """Whom the caller's token names, with the token's family; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRequest:
    """What a call that is ready to run waits for."""

    scope: Scope
    call_id: str
    tool: Tool
    locks: tuple[str, ...]
    """Things of the tenant that no other call may use meanwhile."""
    allowances: tuple[tuple[str, int], ...] = ()
    """Things of the tenant that so many calls may use at a time."""
    max_wait: float | None
    """Most time it may wait; None: as long as its class may. Unit: seconds."""
    places: Places | None = None
    """The processes that run the tool; None: the tool manager does, as often at once as the tool may run."""


@dataclass(frozen=True, slots=True)
class Started:
    """The tool began to run."""

    at: datetime
    wait: float
    """Time in the tool's queue. Unit: seconds."""
    attempt: int


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's say on one call with exactly these arguments."""

    id: str
    approved: bool
    """False: nobody has decided yet."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class WaitsForApproval:
    """The call waits for a person."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a tool is."""

    progress: float = 0.0
    total: float = 0.0
    message: str = ""
    partial_output: str = ""
    untrusted: bool = False
    """Whether nobody vouches for the texts."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The call is in the ledger."""

    call_id: str
    joined: bool
    """Whether an earlier request with the same id had entered it."""


CallEvent = Accepted | WaitsForApproval | Started | Progress | ToolCall
"""What a caller hears, in this order; the Call is the end."""


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call that a provider says it holds."""

    owner: str
    """The agent that called."""
    call_id: str
    lease_id: str


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a lease lasts without a sign of life."""

    expires_at: datetime
    """On the wall clock of this process."""
    left: float
    """From now on, for whoever's wall clock shows something else. Unit: seconds."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A call in a provider's hands."""

    scope: Scope
    call: ToolCall
    arguments_json: str
    lease_id: str
    deadline: datetime
    time_left: float
    """Until the deadline. Unit: seconds."""
    terms: LeaseTerms
    untrusted: bool = False
    """Whether its caller has read what nobody vouches for, and nobody vouches for the tool either."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A call that a provider must stop working on."""

    scope: Scope
    call_id: str
    lease_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened; the stream lives."""

    held: int
    leases: tuple[str, ...] = ()
    """Ids of the leases of the calls that the process holds."""


ProviderEvent = Taken | Revoked | Heartbeat


@dataclass(frozen=True, slots=True)
class Nothing:
    """The answer of a change that has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolQuery:
    """Which tools are meant; what is empty says nothing."""

    ids: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    """In lower case; name, title or description has all of them."""
    available_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretInfo:
    """What is told of a secret: everything but its value."""

    name: str
    version: int
    """Grows each time it is set."""
    bound_to: str
    """Where alone its value may go: `mcpservers/{id}`, or an origin."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedSecret:
    """A secret as it is kept."""

    info: SecretInfo
    key_id: str
    """Of the key that seals the value."""
    sealed: bytes = field(repr=False)
