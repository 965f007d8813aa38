"""Terms in which calls are put before the scheduler, whoever runs them. Pure."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.chassis.rpc.errors import PermissionDenied


class SchedulingClass(Enum):
    """Service class of a call, the most urgent first. Values are stored, and are metric labels."""

    REALTIME = "realtime"
    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BATCH = "batch"
    IDLE = "idle"

    # Members are singletons: hashing by identity is right, and several times faster than Enum's.
    __hash__ = object.__hash__

    @property
    def rank(self) -> int:
        """Return its place in the order of urgency, 0 for the most urgent."""
        return _URGENCY.index(self)


_URGENCY: Final = tuple(SchedulingClass)


@dataclass(frozen=True, slots=True)
class HintsAsked:
    """What one call asks of its scheduling; None: as the agent is registered.

    Zero is not None: priority 0, no wait at all, no deadline, no policy.
    """

    scheduling_class: SchedulingClass | None = None
    weight: int | None = None
    priority: int | None = None
    max_wait: float | None = None
    deadline: float | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that an agent may ask for. See SchedulingCaps in agent.proto."""

    highest_class: SchedulingClass = SchedulingClass.INTERACTIVE
    highest_weight: int = 1
    lowest_priority: int = 0
    policies: frozenset[str] | None = None
    """None: every policy."""
    shortest_deadline: float = 0.0
    """Unit: seconds."""

    def check(self, hints: "Hints") -> None:
        """Raise PermissionDenied, which names the hint and its cap, for more than what is allowed."""
        found = excess(hints, self)
        if found is not None:
            raise PermissionDenied(
                f"hints.{found.hint}: asked for {found.asked}, but this agent's cap is {found.cap}",
                metadata={"hint": found.hint, "asked": found.asked, "cap": found.cap},
            )


ANYTHING: Final = Caps(SchedulingClass.REALTIME, 1000, -20)
"""Caps that nothing is above: what the access service tells is within the agent's own already."""


@dataclass(frozen=True, slots=True)
class Excess:
    """One hint above its cap."""

    hint: str
    asked: str
    cap: str


def excess(hints: "Hints", caps: Caps) -> Excess | None:
    """Return the first hint that is above its cap, or None."""
    policies = caps.policies
    if hints.scheduling_class.rank < caps.highest_class.rank:
        return Excess("scheduling_class", hints.scheduling_class.value, caps.highest_class.value)
    if hints.weight > caps.highest_weight:
        return Excess("weight", str(hints.weight), str(caps.highest_weight))
    if hints.priority < caps.lowest_priority:
        return Excess("priority", str(hints.priority), str(caps.lowest_priority))
    if policies is not None and hints.policy and hints.policy not in policies:
        return Excess("policy", hints.policy, ", ".join(sorted(policies)) or "none")
    if hints.deadline is not None and hints.deadline < caps.shortest_deadline:
        return Excess("deadline", f"{hints.deadline:g} s", f"{caps.shortest_deadline:g} s")
    return None


@dataclass(frozen=True, slots=True)
class Hints:
    """How a call is scheduled."""

    scheduling_class: SchedulingClass = SchedulingClass.NORMAL
    weight: int = 1
    priority: int = 0
    max_wait: float | None = None
    """Longest time in the queue; 0: it does not wait; None: as long as its class allows. Unit: seconds."""
    deadline: float | None = None
    """Time from arrival by which the answer is wanted; missing it ends nothing. Unit: seconds."""
    policy: str = ""
    """Orders the agent's own calls among themselves; empty: nothing does."""

    def overlaid(self, asked: HintsAsked, caps: Caps) -> "Hints":
        """Lay what a call asks over what its agent is registered with.

        Raises PermissionDenied for more than the agent's caps.
        """
        hints = Hints(
            scheduling_class=asked.scheduling_class or self.scheduling_class,
            weight=asked.weight or self.weight,
            priority=self.priority if asked.priority is None else asked.priority,
            max_wait=self.max_wait if asked.max_wait is None else asked.max_wait,
            deadline=self.deadline if asked.deadline is None else asked.deadline or None,
            policy=self.policy if asked.policy is None else asked.policy,
        )
        caps.check(hints)
        return hints


DEFAULT_HINTS: Final = Hints(max_wait=30.0)
"""How calls are scheduled where neither the agent nor the call says more."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the kernel knows about the agent that asks."""

    hints: Hints
    kind: str = ""
    program: str = ""
    """Root of the agent's tree, whose account all of it shares."""
    caps: Caps = field(default_factory=Caps)
    path: tuple[str, ...] = ()
    """The agents above it, root first."""
    tree_weight: int = 0
    """Weight of the root; 0: that of the call."""
    tenant_weight: int = 1


@dataclass(frozen=True, slots=True)
class CallKey:
    """What names a call everywhere."""

    tenant: str
    agent: str
    call: str


@dataclass(frozen=True, slots=True)
class Gang:
    """Calls of one agent that start together."""

    id: str
    size: int


TOKEN_MARGIN: Final = 0.95
"""Share of a replica's token budget that calls may reserve: servers keep tokens in blocks and waste some."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A leading part of a prompt that other calls may share."""

    key: str
    tokens: int
    """Its length: exact where the backend told the prompt's tokens, else in proportion to its bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A call as it is put before the scheduler. Times are on the process's monotonic clock, in seconds."""

    key: CallKey
    agent: AgentFacts
    """Who asks; its hints are those of the call."""
    model: str
    """What it needs one place of: a model, or the pool of a tool."""
    arrived_at: float
    deadline: float
    lane: str = ""
    """Kind of that resource, as in `Submit.lane`; empty: inference."""
    prompt_tokens: int = 0
    """Of the prompt itself, without produced tokens."""
    max_new_tokens: int = 0
    """Of the whole answer, produced tokens included."""
    tokens_done: int = 0
    """Produced before this process took the call up."""
    preemptible: bool = False
    step: int = 0
    gang: Gang | None = None
    prefixes: tuple[Prefix, ...] = ()
    """Leading parts of the prompt that other calls may share, short to long."""
    locks: tuple[str, ...] = ()
    """Things of the tenant that no other call may use meanwhile."""
    allowances: tuple[tuple[str, int], ...] = ()
    """Things of the tenant that so many calls may use at a time."""


@dataclass(frozen=True, slots=True)
class DispatchGrant:
    """The call may run on `replica`."""

    replica: str
    quantum_tokens: int
    """Tokens after which it may be told to yield, so progress is reported by then; 0: never early."""

    max_new_tokens: int = 0
    """Tokens after which it must yield, because room is kept for no more; 0: no limit."""


class QueueOutcome(Enum):
    """How a call left the waiting queue. Values are metric labels and error reasons."""

    DISPATCHED = "dispatched"
    REJECTED_FULL = "rejected_full"  # never entered: too many calls wait already
    REJECTED_TOO_LARGE = "rejected_too_large"  # can fit on no replica, however long it waits
    REJECTED_INVALID = "rejected_invalid"  # sizes or weights out of range
    REJECTED_POLICY = "rejected_policy"  # it names a policy that nobody registered
    EVICTED_WAIT = "evicted_wait"  # waited longer than its max_wait
    EVICTED_DEADLINE = "evicted_deadline"  # its deadline passed while it waited
    EVICTED_CANCELLED = "evicted_cancelled"  # the caller, its program or its agent went away
    EVICTED_GATEWAY = "evicted_gateway"  # the gateway that held it is gone
    NO_BACKEND = "no_backend"  # no replica serves what it asks for


class Interrupt(Enum):
    """What the scheduler asks of a running call."""

    PREEMPT = "preempt"  # stop at the next token boundary and yield
    REVOKE = "revoke"  # end at once


class Completion(Enum):
    """How a call ended. Values are metric labels."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
