"""The scheduler's queue, its policies and why a call waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aios.types.agents import SchedulingClass


@dataclass(frozen=True, kw_only=True, slots=True)
class Syscall:
    """A call that the scheduler knows."""

    name: str
    """Resource name `agents/{agent}/calls/{call}`."""

    state: Literal["unspecified", "waiting", "running", "preempting"] = "unspecified"
    """Where it is."""

    scheduling_class: SchedulingClass = "unspecified"
    """Its class."""

    priority: int = 0
    """Its priority, -20 (early) to 19."""

    model: str = ""
    """The model it asks for, or its tool, `tools/{tool}`."""

    prompt_tokens: int = 0
    """Tokens of its prompt."""

    max_new_tokens: int = 0
    """Tokens it may still produce at most."""

    tokens_done: int = 0
    """Tokens it has produced."""

    arrive_time: datetime | None = None
    """When it arrived."""

    wait: float = 0.0
    """Its waits so far, all together. Unit: seconds."""

    replica: str = ""
    """The replica it runs on; empty while it waits."""

    preemption_count: int = 0
    """How often it was preempted."""

    lane: str = ""
    """What it waits for: "inference" or "tool"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSyscalls:
    """How many calls an agent has."""

    agent: str
    """Resource name `agents/{agent}`; its children are counted on their own."""

    waiting_count: int = 0
    """Calls that wait."""

    running_count: int = 0
    """Calls that run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastSyscall:
    """A call that has ended."""

    name: str
    """Resource name `agents/{agent}/calls/{call}`."""

    lane: str = ""
    """What it waited for: "inference" or "tool"."""

    model: str = ""
    """The model, or the tool, `tools/{tool}`."""

    scheduling_class: SchedulingClass = "unspecified"
    """Its class."""

    priority: int = 0
    """Its priority, -20 (early) to 19."""

    outcome: str = ""
    """How it ended or why it was rejected, such as "completed"."""

    prompt_tokens: int = 0
    """Tokens of its prompt."""

    new_tokens: int = 0
    """Tokens it produced."""

    wait: float = 0.0
    """Its waits, all together. Unit: seconds."""

    run: float = 0.0
    """Its runs, all together. Unit: seconds."""

    preemption_count: int = 0
    """How often it was preempted."""

    replica: str = ""
    """Where it ran last; empty: nowhere."""

    arrive_time: datetime | None = None
    """When it arrived."""

    start_time: datetime | None = None
    """When it first ran; None: it never did."""

    end_time: datetime | None = None
    """When it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyscallSums:
    """What ended calls took, all together."""

    call_count: int = 0
    """Calls, rejected ones included."""

    failed_count: int = 0
    """Those that ended otherwise than by completing or being cancelled."""

    cancelled_count: int = 0
    """Those that were cancelled."""

    prompt_tokens: int = 0
    """Tokens of their prompts."""

    new_tokens: int = 0
    """Tokens they produced."""

    wait: float = 0.0
    """Their waits. Unit: seconds."""

    run: float = 0.0
    """Their runs. Unit: seconds."""

    preemption_count: int = 0
    """How often they were preempted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentUsage:
    """What ended calls of an agent took, of one lane."""

    agent: str
    """Resource name `agents/{agent}`."""

    lane: str = ""
    """The lane: "inference" or "tool"."""

    own: SyscallSums = field(default_factory=SyscallSums)
    """Of the agent itself."""

    tree: SyscallSums = field(default_factory=SyscallSums)
    """Of the agent and all below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassQueue:
    """One scheduling class in the queue."""

    scheduling_class: SchedulingClass
    """The class."""

    policy: str = ""
    """The policy in charge."""

    waiting_count: int = 0
    """Calls that wait."""

    running_count: int = 0
    """Calls that run."""

    oldest_wait: float = 0.0
    """How long the oldest has waited. Unit: seconds."""

    lane: str = ""
    """The lane: "inference" or "tool"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One backend replica, or one tool in use."""

    name: str
    """Its name."""

    model: str = ""
    """The model it serves."""

    up: bool = False
    """Whether it takes calls."""

    slots: int = 0
    """Calls it may run at once."""

    running_count: int = 0
    """Calls it runs."""

    token_budget: int = 0
    """Tokens that its calls may hold together; 2**62 where nothing bounds them."""

    tokens_in_flight: int = 0
    """Tokens that they hold."""

    lane: str = ""
    """The lane: "inference" or "tool"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """The queue as a whole."""

    classes: tuple[ClassQueue, ...] = ()
    """Every class, also the empty ones."""

    replicas: tuple[Replica, ...] = ()
    """Every replica that a gateway has announced."""

    preemption_count: int = 0
    """Preemptions since the scheduler started."""

    sequence: int = 0
    """The last event, as watches number them, that these numbers have taken in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """A call that is ahead of another."""

    name: str = ""
    """Its name; empty when the caller may not know it."""

    why: str = ""
    """Why it is ahead, in plain words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a call waits."""

    syscall: Syscall
    """The call."""

    position: int = 0
    """Place in its class, from 1; 0 when it runs. With `position_is_bound` the first place it can be."""

    position_is_bound: bool = False
    """Whether it is further back than places are counted."""

    waiting_count: int = 0
    """Calls of its class that wait for the same resource, itself included."""

    policy: str = ""
    """The policy in charge."""

    policy_key: str = ""
    """The policy's key of this call, spelled out."""

    ahead: tuple[Ahead, ...] = ()
    """Of those ahead the first to be served."""

    binding_limit: str = ""
    """The limit that keeps the head of the queue from running."""

    predicted_wait: float | None = None
    """When it should start, in seconds; None without an estimate."""

    summary: str = ""
    """The whole answer in plain words."""

    in_lane: bool = False
    """Whether it is in the bounded lane against starvation."""

    prediction_error: float | None = None
    """Mean error of past predictions, in seconds."""

    boosted: bool = False
    """Whether the lane of its class gets twice its share because calls of the class wait very long."""

    lane_wait: float | None = None
    """Time until it enters the lane, in seconds; None when it is there, runs, or the class has none."""

    prediction_count: int = 0
    """Predictions that the error is a mean of."""

    cached_tokens: int = 0
    """Tokens of its context that a backend probably has in its prefix cache."""

    cached_replica: str = ""
    """That backend's replica; empty when none has any."""

    time_left: float | None = None
    """Time until it is given up if it still waits, in seconds; None without such a limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """Why the first waiting calls wait, all at one time."""

    waits: tuple[Explanation, ...] = ()
    """Those next in their queues by their place there, then others; `ahead` is left out."""

    time: datetime | None = None
    """When this was so."""

    sequence: int = 0
    """The last event, as watches number them, that this has taken in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A scheduling policy with its parameters."""

    name: str
    """Its registered name."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Its parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassPolicy:
    """The policy of a class."""

    scheduling_class: SchedulingClass
    """The class."""

    policy: Policy
    """The policy in charge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """Which policy is in charge of each class, and which there are."""

    classes: tuple[ClassPolicy, ...] = ()
    """Every class with its policy."""

    available: tuple[str, ...] = ()
    """Names of all policies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleEvent:
    """Something that happened to a call."""

    kind: Literal[
        "unspecified",
        "submitted",
        "granted",
        "progressed",
        "preempted",
        "yielded",
        "finished",
        "rejected",
        "boosted",
        "policy_changed",
        "class_boost_started",
        "class_boost_ended",
        "known_started",
        "known",
        "known_ended",
    ]
    """What happened; `progressed` comes at 1, 2, 4, 8 tokens and each further power of two. `known` tells a
    call that waits or runs when the watch begins; `known_started` comes before all of them, `known_ended`
    after."""

    time: datetime | None = None
    """When."""

    syscall: Syscall | None = None
    """The call as it is after the event; None: it is about a class."""

    outcome: str = ""
    """How it ended or why it was rejected."""

    lost_count: int = 0
    """Events that this reader lost before this one."""

    resumed: bool = False
    """Whether a call that runs had run before, and goes on."""

    from_lane: bool = False
    """Whether a grant came out of the lane against starvation."""

    scheduling_class: SchedulingClass = "unspecified"
    """The class that the event is about."""

    sequence: int = 0
    """Its number: it grows, with gaps; of the `known` kinds that of the last event before."""
