"""The core's own record of a known call. Policies read it; only the core writes it."""

from dataclasses import dataclass, field

from services.scheduler.core.accounts import Program
from services.scheduler.core.events import DispatchGrant, RunSummary
from services.scheduler.model import NO_SNAPSHOT, Call, CallId, CallState, ReplicaId, SnapshotInfo


@dataclass(slots=True, eq=False)
class Gang:
    """Calls that start together: gathering until all have arrived, then waiting for room for all at once."""

    key: tuple[str, str]
    """Agent and id."""

    size: int
    since: float
    """When the first of them arrived."""

    came: set[CallId] = field(default_factory=set)
    """Calls that came, those that left again included; one that comes twice is one."""

    members: dict[CallId, "ScheduledCall"] = field(default_factory=dict)
    """Calls that wait, in order of arrival."""

    ready: bool = False
    """All have arrived. The first member then stands in the queue for the whole gang."""

    lined_up: bool = False
    """The first member stands in the queue."""

    apart: bool = False
    """Not all came in time: each call goes its own way."""

    @property
    def arrived(self) -> int:
        """Count the calls that came."""
        return len(self.came)

    @property
    def leader(self) -> "ScheduledCall | None":
        """The member that stands in the queue."""
        return next(iter(self.members.values()), None) if self.ready else None


@dataclass(slots=True, eq=False)
class ScheduledCall:
    """A call while the scheduler knows it."""

    call: Call
    seq: int
    """Order of first submission; breaks every tie."""

    queued_at: float
    """When the present wait began: arrival, or the last yield."""

    program: Program | None = None
    """Account of the tree of agents that it belongs to; set while the core knows the call."""

    gang: Gang | None = None
    """The gang it waits with; None before and after, and for a call that starts alone."""

    state: CallState = CallState.WAITING
    tokens_done: int = 0
    slice_tokens: int = 0
    """Tokens since the last dispatch."""

    waited: float = 0.0
    """Seconds of the waits before the present one, as far as this scheduler saw them."""

    ran: float = 0.0
    """Seconds of the runs before the present one."""

    first_run_at: float | None = None
    dispatched_at: float = 0.0
    reported_at: float = 0.0
    preemptions: int = 0
    replica: ReplicaId = ""
    last_replica: ReplicaId = ""
    avoid_replica: ReplicaId = ""
    """Replica that failed under this call; used only when no other fits."""

    snapshot: SnapshotInfo = NO_SNAPSHOT
    epoch: int = 0
    granted_wait: float = 0.0
    quantum: int = 0
    uncached: int = 0
    """Prompt tokens expected to be read: while waiting on the best replica, running on its own."""

    expected_cached: int = 0
    decode: int = 1
    """Output tokens still expected."""

    work: float = 0.0
    """Expected backend seconds still needed, prefix cache counted in."""

    charged: float = 0.0
    """Backend seconds charged to the program since dispatch."""

    in_lane: bool = False
    from_lane: bool = False
    expires_at: float = float("inf")
    predicted_start: float | None = None
    parts: tuple[tuple[str, int], ...] | None = None
    """Its prompt's parts that may be shared, with their tokens; None: not worked out yet."""

    reserved: int = 0
    """Output tokens, those done included, that room is or will be kept for; 0: all that may come."""

    segments: tuple[str, ...] = ()
    private_tokens: int = 0
    """Tokens reserved on the replica beside the shared segments."""

    @property
    def held(self) -> bool:
        """Whether it waits behind another call of its gang, so that no policy knows it."""
        return self.gang is not None and self.gang.leader is not self

    @property
    def context_tokens(self) -> int:
        """Tokens a dispatch now would start from: the prompt and what was generated already."""
        return self.call.prompt_tokens + self.tokens_done

    @property
    def resumed(self) -> bool:
        """Whether it has run before, here or under an earlier scheduler."""
        return bool(self.last_replica or self.tokens_done or self.preemptions)

    @property
    def footprint(self) -> int:
        """Tokens of KV the backend reserves for the call, or for its next part."""
        output = self.call.max_new_tokens
        return self.call.prompt_tokens + (min(output, self.reserved) if self.reserved else output)

    @property
    def whole_footprint(self) -> int:
        """Tokens of KV that the call needs at its longest."""
        return self.call.prompt_tokens + self.call.max_new_tokens

    @property
    def grant_tokens(self) -> int:
        """Tokens it may produce before it yields; 0: all."""
        if not self.reserved or self.reserved >= self.call.max_new_tokens:
            return 0
        return max(1, self.reserved - self.tokens_done)

    def wait(self, now: float) -> float:
        """Seconds of the present wait."""
        return max(0.0, now - self.queued_at)

    def summary(self, now: float) -> RunSummary:
        """Tell what it took, the present wait or run included."""
        if self.state is CallState.WAITING:
            return RunSummary(self.waited + self.wait(now), self.ran, self.first_run_at)
        return RunSummary(self.waited, self.ran + max(0.0, now - self.dispatched_at), self.first_run_at)

    def grant(self) -> DispatchGrant:
        """Tell where it runs."""
        attained = 0.0 if self.program is None else self.program.attained
        return DispatchGrant(
            self.call.id,
            self.call.gateway,
            self.replica,
            self.epoch,
            self.quantum,
            self.granted_wait,
            attained,
            self.grant_tokens,
            self.call.attempt,
        )
