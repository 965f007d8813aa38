"""Agents, their credentials and how their calls are scheduled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

AgentState = Literal["unspecified", "active", "suspended", "killed"]
OldKeys = Literal["end", "end_with_tokens", "keep"]
SchedulingClass = Literal["unspecified", "realtime", "interactive", "normal", "batch", "idle"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hints:
    """How calls are scheduled, within what the agent may ask for.

    What is left out stays the default; with a single call, the agent's own. A zero that is given means zero.
    """

    scheduling_class: SchedulingClass = "unspecified"
    """Default: normal."""

    weight: int = 0
    """Share of the capacity against siblings, 1 to 1000. 0: left out; the default is 1."""

    priority: int | None = None
    """Smaller runs earlier where the policy looks at it, -20 to 19. Default: 0."""

    max_wait: float | None = None
    """Longest wait in the queue; 0: start at once or be refused. Unit: seconds; default: the kernel's, 30."""

    deadline: float | None = None
    """Time from a call's arrival by which its answer is wanted; a late call is put back, never ended.

    0: none, also where the agent has one. Unit: seconds.
    """

    policy: str | None = None
    """Orders the agent's own calls among themselves, such as `edf` or `sjf`. Empty: nothing does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """The most that an agent may ask for in its hints and with its calls."""

    highest_class: SchedulingClass = "interactive"
    """Highest class; realtime is the highest, idle the lowest."""

    highest_weight: int = 1
    """Largest weight."""

    lowest_priority: int = 0
    """Least, that is most urgent, priority."""

    policies: tuple[str, ...] | None = None
    """Policies it may name; None: every one."""

    shortest_deadline: float = 0.0
    """Unit: seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentInfo:
    """What the kernel knows about an agent."""

    name: str
    """Resource name `agents/{id}`."""

    parent: str = ""
    """Resource name of the parent; empty for a root."""

    display_name: str = ""
    """What people call it."""

    kind: str = ""
    """What sort of agent it is, such as `researcher`."""

    state: AgentState = "unspecified"
    """Whether it may act."""

    hints: Hints = field(default_factory=Hints)
    """How its calls are scheduled."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Free labels."""

    etag: str = ""
    """Changes with every update."""

    create_time: datetime | None = None
    """When it was registered, UTC."""

    update_time: datetime | None = None
    """When it last changed, UTC."""

    tenant: str = ""
    """The tenant it belongs to."""

    caps: Caps = field(default_factory=Caps)
    """The most it may ask for."""

    ancestors: tuple[str, ...] = ()
    """Ids of the agents above it, the root first."""

    untrusted_since: datetime | None = None
    """Since when it counts as having read what nobody vouches for, UTC; None: it has not."""

    untrusted_source: str = ""
    """What it read then, such as `tools/browse`, or the agent it has the mark from."""

    expire_time: datetime | None = None
    """When it is killed with all below it, UTC; None: when somebody does."""

    tenant_weight: int = 1
    """Share of its tenant against other tenants."""

    purging: bool = False
    """Whether everything of it is being deleted; only where it was asked for by name."""

    @property
    def id(self) -> str:
        """The agent's id: its name without `agents/`."""
        return self.name.removeprefix("agents/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """What an agent proves itself with.

    Keep `agent_key` secret: it renews the token for as long as the agent lives.
    """

    token: str = field(repr=False)
    """Bearer token."""

    expire_time: datetime
    """When the token stops being accepted, UTC."""

    agent_key: str = field(default="", repr=False)
    """Secret that is exchanged for fresh tokens; empty: the token cannot be renewed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentHandle:
    """A registered agent together with its credential; `Kernel.as_agent` takes it."""

    agent: AgentInfo
    """The agent as it was registered."""

    credential: Credential
    """What it proves itself with."""

    existed: bool = False
    """Whether it was there before: its credential is then a token without a key."""

    @property
    def name(self) -> str:
        """Resource name `agents/{id}`."""
        return self.agent.name

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.agent.id


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentEvent:
    """A change of an agent."""

    agent: AgentInfo
    """The agent as it is after the change."""

    initial: bool
    """True for the events that describe the state at the start of the watch."""

    revision: int
    """The access revision of the change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyscallEvent:
    """A moment in the life of an agent's syscall."""

    phase: Literal["watching", "begun", "ended"]
    """`watching` comes first, and again after a broken connection: from then on nothing is missed. `begun` is
    told of calls that may last, `ended` of all."""

    method: str = ""
    """Such as `MemoryService.PutNote`."""

    agent: str = ""
    """Who calls: resource name `agents/{id}`."""

    resource: str = ""
    """What it is about; empty where it names nothing."""

    syscall_id: str = ""
    """What logs and traces know it by."""

    time: datetime | None = None
    """When it came."""

    duration: float | None = None
    """How long it took; None: it has begun. Unit: seconds."""

    code: str = ""
    """Name of the gRPC status that it ended with, such as `OK`."""

    reason: str = ""
    """The kernel's word for why it failed, such as `NOTE_NOT_FOUND`."""

    request_bytes: int = 0
    """Size of the request."""

    lost_count: int = 0
    """Events that this reader lost just before, as it was too slow."""
