"""What goes into the core (events) and what comes out (decisions, timeline). All frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from services.chassis.dispatch.scheduling import Completion, QueueOutcome, SchedulingClass
from services.scheduler.model import (
    ANY_ATTEMPT,
    NO_SNAPSHOT,
    Attempt,
    Call,
    CallId,
    GatewayId,
    ParamValue,
    ReplicaId,
    ResourceKind,
    SnapshotInfo,
)


@dataclass(frozen=True, slots=True)
class Submit:
    """A gateway asks for a slot, or tells again what it holds after a reconnect.

    Idempotent while the attempt is known; a newer attempt of a known id ends the one before.
    `running_on` names the replica of a call that already runs (the scheduler restarted): it takes
    its slot back. `resubmission` exempts from queue bounds.
    """

    call: Call
    running_on: ReplicaId | None = None
    epoch: int = 0
    resubmission: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """`tokens` more tokens came out since the last report of this call."""

    call_id: CallId
    tokens: int
    epoch: int = 0
    """Grant the report belongs to; a stale one is ignored, 0 is not checked."""

    cached_tokens: int | None = None
    """Prompt tokens the backend found in its prefix cache, when it says so (first report)."""

    attempt: Attempt = ANY_ATTEMPT


@dataclass(frozen=True, slots=True)
class Yielded:
    """The gateway stopped the call at a token boundary and gives it back to the queue."""

    call_id: CallId
    tokens_done: int
    """All tokens generated so far, over every slice."""

    snapshot: SnapshotInfo = NO_SNAPSHOT
    epoch: int = 0
    backend_failed: bool = False
    """True: not a preemption, the backend died; the call resumes elsewhere."""

    attempt: Attempt = ANY_ATTEMPT


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over and its slot free."""

    call_id: CallId
    completion: Completion
    tokens_done: int | None = None
    """All tokens generated over every slice; None: what Progress told."""

    epoch: int = 0
    cached_tokens: int | None = None
    attempt: Attempt = ANY_ATTEMPT


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up; the call and the calls it is the parent of end wherever they stand."""

    call_id: CallId
    attempt: Attempt = ANY_ATTEMPT
    """The attempt to end; of another one than is known nothing ends."""


@dataclass(frozen=True, slots=True)
class ProgramCancelled:
    """Every call of a program and of the programs forked from it ends."""

    program: str


@dataclass(frozen=True, slots=True)
class AgentCancelled:
    """Every call of an agent and of its descendants ends."""

    agent: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: expire waits and deadlines, age the lanes."""


@dataclass(frozen=True, slots=True)
class BackendUp:
    """A replica serves `resource`. Repeating it is harmless and refreshes the limits."""

    replica: ReplicaId
    resource: str
    slots: int
    max_batch_total_tokens: int | None = None
    """KV budget in tokens; None: only slots bind (tools)."""

    lane: ResourceKind = ResourceKind.INFERENCE
    kv_snapshot: bool = False
    """The backend saves and restores KV state: a resume re-prefills nothing."""

    prefix_cache: bool = True


@dataclass(frozen=True, slots=True)
class BackendDown:
    """No new grants go to this replica. What runs there ends when its gateway says so."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class BackendLimits:
    """Fresh facts about a replica; None leaves a value as it was."""

    replica: ReplicaId
    slots: int | None = None
    max_batch_total_tokens: int | None = None
    queue_size: int | None = None
    """Calls seen waiting inside the backend; above 0 twice in a row cuts the limit."""

    kv_snapshot: bool | None = None


@dataclass(frozen=True, slots=True)
class GatewayLost:
    """A gateway's stream ended: its grants end, its waiting calls go until resubmitted."""

    gateway: GatewayId


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """A class gets another policy; calls that wait move over, none is lost."""

    scheduling_class: SchedulingClass
    policy: str
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    lane: ResourceKind = ResourceKind.INFERENCE


Event: TypeAlias = (
    Submit
    | Progress
    | Yielded
    | Finished
    | Cancelled
    | ProgramCancelled
    | AgentCancelled
    | Tick
    | BackendUp
    | BackendDown
    | BackendLimits
    | GatewayLost
    | PolicyChanged
)


@dataclass(frozen=True, slots=True)
class DispatchGrant:
    """Run the call on this replica. The same grant may be told twice (same epoch)."""

    call_id: CallId
    gateway: GatewayId
    replica: ReplicaId
    epoch: int
    """Fencing number, strictly growing; reports carry it back."""

    quantum_tokens: int
    """Tokens after which a Preempt may come, so report Progress by then; 0: it never comes early."""

    wait_seconds: float
    """Time in the queue since arrival or since the last yield."""

    attained_seconds: float = 0.0
    """Backend seconds its program has received so far."""

    max_new_tokens: int = 0
    """Tokens that room is kept for; an unfinished call then answers Yielded. 0: all it may produce."""

    attempt: int = 0
    """Number of the attempt, as its gateway gave it; so in every decision."""


@dataclass(frozen=True, slots=True)
class Preempt:
    """Stop at the next token boundary and answer Yielded (or Finished, if it ended first)."""

    call_id: CallId
    gateway: GatewayId
    replica: ReplicaId
    epoch: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Revoke:
    """Close the run at once; the call is over and nothing is reported back."""

    call_id: CallId
    gateway: GatewayId
    replica: ReplicaId
    epoch: int
    outcome: QueueOutcome
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """The call leaves without having run (or without going on, after a preemption)."""

    call_id: CallId
    gateway: GatewayId
    outcome: QueueOutcome
    retry_after: float
    """Seconds after which another try makes sense; 0: it makes none."""

    detail: str = ""
    attempt: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    """The numbers behind the refusal, by name."""


FROM_LANE: Final = "from the bounded lane"
"""Detail of a grant that the lane against starvation made."""


class TimelineKind(Enum):
    """What happened, for watchers and traces."""

    SUBMITTED = "submitted"
    ADOPTED = "adopted"
    GRANTED = "granted"
    PREEMPT_ASKED = "preempt_asked"
    PROGRESSED = "progressed"
    YIELDED = "yielded"
    FINISHED = "finished"
    REJECTED = "rejected"
    LANE_ENTERED = "lane_entered"
    BOOST_ON = "boost_on"
    BOOST_OFF = "boost_off"
    RESERVED = "reserved"
    GANG_READY = "gang_ready"
    GANG_APART = "gang_apart"
    REPLICA_UP = "replica_up"
    REPLICA_DOWN = "replica_down"
    LIMIT_CUT = "limit_cut"
    POLICY_CHANGED = "policy_changed"
    GATEWAY_LOST = "gateway_lost"


class RunSummary(NamedTuple):
    """What a call took, told when it leaves. Times in seconds."""

    waited: float
    """All its waits together."""

    ran: float
    """All its runs together."""

    first_run_at: float | None
    """When it first ran; None: it never did."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One thing that happened, for dashboards; it asks nothing of anybody."""

    at: float
    kind: TimelineKind
    call_id: CallId = ""
    lane: ResourceKind | None = None
    scheduling_class: SchedulingClass | None = None
    replica: ReplicaId = ""
    detail: str = ""
    wait_seconds: float = 0.0
    tokens: int = 0
    """Tokens the call has produced, over every slice."""

    preemptions: int = 0
    resumed: bool = False
    """Whether the call had run before: a grant goes on with it."""

    summary: RunSummary | None = None
    """Set when the call leaves."""


Decision: TypeAlias = DispatchGrant | Preempt | Revoke | Reject | TimelineEvent
