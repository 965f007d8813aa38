"""Terms in which calls are put before the scheduler, whoever runs them. Pure."""

from dataclasses import dataclass
from enum import Enum


class SchedulingClass(Enum):
    """Service class of a call. Values are metric labels."""

    REALTIME = "realtime"
    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BATCH = "batch"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class HintsAsked:
    """What one call asks of its scheduling; None: as the agent is registered."""

    scheduling_class: SchedulingClass | None = None
    weight: int | None = None
    priority: int | None = None
    max_wait: float | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """How a call is scheduled."""

    scheduling_class: SchedulingClass = SchedulingClass.NORMAL
    weight: int = 1
    priority: int = 0
    max_wait: float = 30.0
    """Longest time in the queue. Unit: seconds."""

    def overlaid(self, asked: HintsAsked) -> "Hints":
        """Lay what a call asks over what its agent is registered with.

        The realtime class and a larger weight are granted at registration alone: a call that asks for them
        gets the next best.
        """
        wanted = asked.scheduling_class or self.scheduling_class
        if wanted is SchedulingClass.REALTIME and self.scheduling_class is not SchedulingClass.REALTIME:
            wanted = SchedulingClass.INTERACTIVE
        return Hints(
            scheduling_class=wanted,
            weight=min(asked.weight or self.weight, self.weight),
            priority=self.priority if asked.priority is None else asked.priority,
            max_wait=asked.max_wait or self.max_wait,
        )


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the kernel knows about the agent that asks."""

    hints: Hints
    kind: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True)
class CallKey:
    """What names a call everywhere."""

    tenant: str
    agent: str
    call: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The call may run on `replica`."""

    replica: str
    quantum_tokens: int
    """Tokens after which it may be told to yield, so progress is reported by then; 0: never early."""


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
