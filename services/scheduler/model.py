"""Terms of the scheduling domain: calls, classes, lanes and the ways a call can leave the queue."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from services.chassis.dispatch.scheduling import SchedulingClass

CallId: TypeAlias = str
ReplicaId: TypeAlias = str
GatewayId: TypeAlias = str
ParamValue: TypeAlias = float | int | str | bool


class ResourceKind(Enum):
    """The kind of resource a call waits for. Values are metric label values."""

    INFERENCE = "inference"
    TOOL = "tool"

    # Members are singletons: hashing by identity is right, and several times faster than Enum's.
    __hash__ = object.__hash__


class CallState(Enum):
    """Where a known call stands."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"  # running, asked to yield at its next token boundary


class Prefix(NamedTuple):
    """A leading part of a prompt that other calls may share (system prompt, tool list).

    `tokens` counts from the start of the prompt. A call lists its prefixes from short to long,
    each one an extension of the one before.
    """

    key: str
    tokens: int


class Lock(NamedTuple):
    """A thing that at most `limit` running calls may use, whatever pools they come from."""

    name: str
    limit: int = 1


class PoolKey(NamedTuple):
    """What a call waits for: a lane and, in it, a model (INFERENCE) or a tool (TOOL).

    A tool of one tenant is named `{tenant}/tools/{tool}`, one that all tenants share `tools/{tool}`.
    """

    lane: ResourceKind
    resource: str


class Attempt(NamedTuple):
    """Which submission of a call a report is about: a gateway's, and its number there.

    An id can come again, from the same gateway or through another one, before everything about its
    last attempt has arrived; what is said of one attempt never concerns another.
    """

    gateway: GatewayId = ""
    """Empty: whichever gateway holds the call."""

    number: int = 0
    """0: whichever attempt of that gateway is known, as from a gateway that numbers none."""

    def is_of(self, call: "Call") -> bool:
        """Whether this is the attempt that is known as `call`."""
        if self.gateway and self.gateway != call.gateway:
            return False
        return self.number == call.attempt or not (self.number and call.attempt)


ANY_ATTEMPT: Final = Attempt()


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One syscall that wants a slot. Times are seconds on the scheduler's monotonic clock."""

    id: CallId
    gateway: GatewayId
    agent: str
    resource: str
    """Model name in the INFERENCE lane, tool name in the TOOL lane."""

    arrived_at: float
    """When the kernel first saw the call. Kept across preemption and resubmission."""

    attempt: int = 0
    """Number of this submission among those of its gateway, kept when it is told again; 0: not numbered."""

    tenant: str = ""
    agent_kind: str = ""
    """What sort of agent asks; lengths are predicted per kind."""

    agent_path: tuple[str, ...] = ()
    """Ancestors of the agent, root first, the agent itself left out."""

    program: str = ""
    """The run this call belongs to; empty: the call is a program of its own."""

    parent_program: str = ""
    parent_call: CallId = ""
    step_index: int = 0
    """Which call of its program this is, from 0."""

    lane: ResourceKind = ResourceKind.INFERENCE
    scheduling_class: SchedulingClass = SchedulingClass.NORMAL
    priority: int = 0
    """Like nice: lower is more urgent."""

    policy: str = ""
    """The agent's own order among those of its calls that name the same one; empty: none."""

    weight: float = 1.0
    """The agent's share within its tenant."""

    tree_weight: float | None = None
    """Share of the agent's tree within its tenant; None: `weight`."""

    tenant_weight: float = 1.0
    """The tenant's share within its class."""

    due: float | None = None
    """When its agent wants it done. Missing it demotes a call where the policy looks at it, and no more."""

    deadline: float | None = None
    """A waiting call is evicted at this time: nobody waits for its answer any longer."""

    max_wait: float | None = None
    """Longest wait in seconds; None: the default of the class."""

    prompt_tokens: int = 0
    max_new_tokens: int = 0
    tokens_done: int = 0
    """Tokens generated before this submission (a preempted or resubmitted call)."""

    attained_seconds: float = 0.0
    """Backend seconds its program has received, as an earlier grant told the call's gateway."""

    waiting_since: float | None = None
    """When its present wait began, for a call that waits again; None: when it arrived."""

    preemptions: int = 0
    """Times it was preempted before this submission."""

    preemptible: bool = True
    """False for a generation its backend cannot resume (grammar constraints)."""

    prefixes: tuple[Prefix, ...] = ()
    gang: str = ""
    """Calls of one agent, model and class with the same gang start together; empty: it starts alone."""

    gang_size: int = 0
    """Calls in the gang."""

    locks: tuple[Lock, ...] = ()
    """What it must have beside its slot; all are taken with the grant and given back with the slot."""

    predicted_tokens: int | None = None
    """The caller's own guess of the whole output length."""

    @property
    def pool(self) -> PoolKey:
        """The pool this call waits in."""
        return PoolKey(self.lane, self.resource)

    @property
    def tree(self) -> str:
        """Root of the agent's tree, whose weight all of it shares."""
        return self.agent_path[0] if self.agent_path else self.agent

    @property
    def program_key(self) -> str:
        """Name of the program that is charged: a call without one is its own program."""
        return self.program or self.id


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A policy by name, with the parameters that differ from its defaults."""

    name: str
    params: Mapping[str, ParamValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What was kept of a generation that stopped."""

    has_kv: bool = False
    """True: the key-value state was saved, so a resume re-prefills nothing."""

    replica: ReplicaId = ""
    """Where that state lies; empty: any replica with KV snapshots can load it."""


NO_SNAPSHOT: Final = SnapshotInfo()


@dataclass(frozen=True, kw_only=True, slots=True)
class PastCall:
    """A call that has left the scheduler."""

    tenant: str
    agent: str
    call: str
    """Its id within its agent."""

    path: tuple[str, ...] = ()
    """Ids of the agents above its agent, root first."""

    lane: str
    resource: str
    """Model or tool, as its tenant names it."""

    scheduling_class: str
    priority: int = 0
    outcome: str
    """How it ended or why it was rejected: a value of Completion or QueueOutcome."""

    prompt_tokens: int = 0
    new_tokens: int = 0
    waited: float = 0.0
    """All its waits together. Unit: seconds."""

    ran: float = 0.0
    """All its runs together. Unit: seconds."""

    preemptions: int = 0
    replica: str = ""
    arrive_time: datetime
    start_time: datetime | None = None
    """When it first ran; None: it never did."""

    end_time: datetime

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than by completing or by being cancelled."""
        return self.outcome != _COMPLETED and not self.cancelled

    @property
    def cancelled(self) -> bool:
        """Whether somebody gave it up."""
        return self.outcome in _CANCELLED


_COMPLETED: Final = "completed"
_CANCELLED: Final = frozenset({"cancelled", "evicted_cancelled"})

SUM_FIELDS: Final = (
    "calls",
    "failed",
    "cancelled",
    "prompt_tokens",
    "new_tokens",
    "wait_ms",
    "run_ms",
    "preemptions",
)
"""What is added up of calls, in this order."""

Sums: TypeAlias = tuple[int, ...]
"""A number for each of SUM_FIELDS."""

NO_SUMS: Final[Sums] = (0,) * len(SUM_FIELDS)


class SumKey(NamedTuple):
    """What is added up together: an agent's calls of a lane that ended within an hour."""

    tenant: str
    path: tuple[str, ...]
    """Ids from the root of the agent's tree to the agent."""

    hour: datetime
    lane: str


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What ended calls of an agent took, of one lane."""

    path: tuple[str, ...]
    lane: str
    own: Sums
    tree: Sums
    """Of the agent and all below it."""
