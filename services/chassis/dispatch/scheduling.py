"""Terms in which calls are put before the scheduler, whoever runs them. Pure."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.chassis.rpc.errors import PermissionDenied


class SchedulingClass(Enum):
    """Service class of a call. Values are metric labels."""

    REALTIME = "realtime"
    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BATCH = "batch"
    IDLE = "idle"


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
        policies = self.policies
        if _URGENCY.index(hints.scheduling_class) < _URGENCY.index(self.highest_class):
            raise _above("scheduling_class", hints.scheduling_class.value, self.highest_class.value)
        if hints.weight > self.highest_weight:
            raise _above("weight", str(hints.weight), str(self.highest_weight))
        if hints.priority < self.lowest_priority:
            raise _above("priority", str(hints.priority), str(self.lowest_priority))
        if policies is not None and hints.policy and hints.policy not in policies:
            raise _above("policy", hints.policy, ", ".join(sorted(policies)) or "none")
        if hints.deadline is not None and hints.deadline < self.shortest_deadline:
            raise _above("deadline", f"{hints.deadline:g} s", f"{self.shortest_deadline:g} s")


ANYTHING: Final = Caps(SchedulingClass.REALTIME, 1000, -20)
"""Caps that nothing is above: what the access service tells is within the agent's own already."""


def _above(hint: str, asked: str, cap: str) -> PermissionDenied:
    return PermissionDenied(
        f"hints.{hint}: asked for {asked}, but this agent's cap is {cap}",
        metadata={"hint": hint, "asked": asked, "cap": cap},
    )


@dataclass(frozen=True, slots=True)
class Hints:
    """How a call is scheduled."""

    scheduling_class: SchedulingClass = SchedulingClass.NORMAL
    weight: int = 1
    priority: int = 0
    max_wait: float | None = 30.0
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
class DispatchGrant:
    """The call may run on `replica`."""

    replica: str
    quantum_tokens: int
    """Tokens after which it may be told to yield, so progress is reported by then; 0: never early."""

    max_new_tokens: int = 0
    """Tokens after which it must yield, because room is kept for no more; 0: no limit."""


class QueueOutcome(Enum):
    """How a call left a queue outside the scheduler; the scheduler's own words, where it has them too."""

    DISPATCHED = "dispatched"
    REJECTED_FULL = "rejected_full"
    EVICTED_DEADLINE = "evicted_deadline"
    EVICTED_CANCELLED = "evicted_cancelled"


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
