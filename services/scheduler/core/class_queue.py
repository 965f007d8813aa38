"""One class's queue in one pool, and how the classes of a pool share it."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import islice

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.agent_order import AgentOrdering
from services.scheduler.core.events import TimelineKind
from services.scheduler.core.gangs import GangBook
from services.scheduler.core.policies.base import Explanation, Policy
from services.scheduler.core.scheduled_call import Gang, ScheduledCall
from services.scheduler.core.settings import ClassSettings
from services.scheduler.core.starvation_lane import StarvationLane
from services.scheduler.core.state import CoreState
from services.scheduler.core.wait_monitor import WaitMonitor
from services.scheduler.model import CallId, PolicySpec


@dataclass(slots=True)
class ClassUse:
    """What a class holds of a pool."""

    slots: int = 0
    tokens: int = 0


class ClassQueue:
    """The calls of one class that wait for one pool: a policy, a lane, a monitor, a pass value."""

    def __init__(
        self, name: SchedulingClass, settings: ClassSettings, spec: PolicySpec, state: CoreState
    ) -> None:
        self.name = name
        self.settings = settings
        self.spec = spec
        self.state = state
        self.ordering = AgentOrdering(
            state.registry.build(spec, state), lambda spec: state.registry.build(spec, state)
        )
        self.lane = StarvationLane(settings.lane_after, self._lane_share())
        self.monitor = WaitMonitor()
        self.use = ClassUse()
        self.pass_value = 0.0
        self.gangs = GangBook(state.settings.gang_patience)
        self.lined_up = 0
        """Waiting calls that may be served: all but those held back by their gangs."""
        self.waiting: dict[CallId, ScheduledCall] = {}
        self.programs: dict[str, dict[ScheduledCall, None]] = {}
        """Waiting calls by program; both in the order of their coming."""
        self.waiting_tokens = 0

    @property
    def policy(self) -> Policy:
        """The policy in charge; calls come and go through `ordering`."""
        return self.ordering.policy

    def add(self, job: ScheduledCall, now: float) -> None:
        """Note that a new call waits; a call of a gang that still gathers is held back."""
        self._enter(job, now)
        gang = self.gangs.join(job, now)
        if gang is None:
            self._line_up(job, now)
        elif gang.leader is not None and not gang.lined_up:
            gang.lined_up = True
            self.state.emit(now, TimelineKind.GANG_READY, gang.leader, gang.key[1])
            self._line_up(gang.leader, now)

    def put_back(self, job: ScheduledCall, now: float) -> None:
        """Note that a call that ran waits again."""
        self._enter(job, now)
        self.lined_up += 1
        self.lane.add(job)
        self.ordering.on_yield(job, now)

    def remove(self, job: ScheduledCall, now: float) -> None:
        """Note that a waiting call leaves without running; the rest of its gang goes on without it."""
        self._exit(job)
        gang = job.gang
        if not job.held:
            self.lined_up -= 1
            self.lane.discard(job)
            self.ordering.on_cancel(job)
        # The leader stood in the queue for all; when it leaves, the next member takes its place there.
        led = gang is not None and gang.leader is job
        self.gangs.leave(job)
        if led and gang is not None and gang.leader is not None:
            self._line_up(gang.leader, now)

    def start_gang(self, gang: Gang, now: float) -> None:
        """Line up all calls of a gang: there is room for all of them."""
        for job in self.gangs.start(gang):
            self._line_up(job, now)

    def dispatch(self, job: ScheduledCall, now: float, *, from_lane: bool) -> None:
        """Note that a waiting call starts to run."""
        self._exit(job)
        self.lined_up -= 1
        self.lane.discard(job)
        # Every dispatch counts, whoever sent it: the class's work is what pays the lane's debt back.
        self.lane.dispatched(job.work, from_lane=from_lane)
        self.ordering.on_dispatch(job, now, from_lane=from_lane)
        wait = job.wait(now)
        predicted, job.predicted_start = job.predicted_start, None
        self.monitor.dispatched(wait, None if predicted is None else predicted - job.queued_at, now)

    def head(self, now: float) -> tuple[ScheduledCall | None, bool]:
        """Return the call to serve next and whether the lane sends it."""
        self.age(now)
        due = self.lane.due()
        if due is not None:
            return due, True
        return self.ordering.pick(now), False

    def behind(self, head: ScheduledCall, now: float) -> Iterator[ScheduledCall]:
        """Return calls after the head, in the order they would be served."""
        return (job for job in self.ordering.candidates(now) if job is not head)

    def newcomers(self, head: ScheduledCall, running: Container[str]) -> Iterator[ScheduledCall]:
        """Return a call of each program that runs nothing, the one to serve next first.

        Behind that one they come in the order in which their programs came to wait: to ask the policy for
        more could mean to go through all that wait. Gangs have no use for a single slot.
        """
        if head.gang is None and head.call.program_key not in running:
            yield head
        for program, jobs in self.programs.items():
            if program not in running:
                yield from islice((job for job in jobs if job.gang is None and job is not head), 1)

    def in_order(self, now: float) -> Iterator[ScheduledCall]:
        """Return the calls that may be served in their order as it stands now, one for each gang."""
        due = self.lane.due()
        if due is not None:
            yield due
        yield from (job for job in self.ordering.candidates(now, reading=True) if job is not due)

    def listed(self, now: float) -> Iterator[ScheduledCall]:
        """Return all waiting calls in the order of service; gangs that still gather come last."""
        for job in self.in_order(now):
            yield job
            if job.gang is not None:
                yield from (other for other in job.gang.members.values() if other is not job)
        yield from self.gangs.gathering()

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Return what places a waiting call, spelled out."""
        gang = job.gang
        found: dict[str, float | int | str] = {}
        if gang is not None:
            found = {"gang": gang.key[1], "gang_arrived": gang.arrived, "gang_size": gang.size}
        if not job.held:
            found |= self.ordering.explain(job, now)
        return found

    def age(self, now: float) -> None:
        """Let gangs come apart and calls enter the lane; switch the boost as the oldest wait demands."""
        for job in self.gangs.part(now):
            self.state.emit(now, TimelineKind.GANG_APART, job, job.call.gang, job.wait(now))
            self._line_up(job, now)
        for job in self.lane.advance(now):
            self.state.emit(now, TimelineKind.LANE_ENTERED, job, wait=job.wait(now))
        oldest = self.lane.oldest()
        late = oldest is not None and oldest.wait(now) >= self.settings.alert_wait
        if late != self.lane.boosted:
            self.lane.boosted = late
            kind = TimelineKind.BOOST_ON if late else TimelineKind.BOOST_OFF
            self.state.emit_class(now, kind, self.name, oldest.wait(now) if oldest else 0.0)

    def next_change(self) -> float | None:
        """When ageing changes something next."""
        oldest = self.lane.oldest()
        alert = None if self.lane.boosted or oldest is None else oldest.queued_at + self.settings.alert_wait
        times = [t for t in (self.gangs.next_change(), self.lane.next_entry(), alert) if t is not None]
        return min(times) if times else None

    def change_policy(self, spec: PolicySpec, running: list[ScheduledCall], now: float) -> None:
        """Hand every call to a new policy, in order of first submission.

        Raises PolicyUnknown or PolicyParamsInvalid and then changes nothing.
        """
        policy = self.state.registry.build(spec, self.state)
        # Same policy with other parameters: what it learned stays. Another policy could not read it.
        if type(policy) is type(self.policy):
            policy.restore(self.policy.snapshot())
        waiting = sorted((job for job in self.waiting.values() if not job.held), key=lambda j: j.seq)
        self.ordering.change(policy, running, waiting, now)
        self.spec = spec
        self.lane.share = self._lane_share()

    def _enter(self, job: ScheduledCall, now: float) -> None:
        self.waiting[job.call.id] = job
        self.programs.setdefault(job.call.program_key, {})[job] = None
        self.waiting_tokens += job.context_tokens
        self.state.admission.enter(job, now)
        self.state.locks.wait(job)

    def _exit(self, job: ScheduledCall) -> None:
        del self.waiting[job.call.id]
        program = self.programs[job.call.program_key]
        del program[job]
        if not program:
            del self.programs[job.call.program_key]
        self.waiting_tokens -= job.context_tokens
        self.state.admission.leave(job)
        self.state.locks.leave(job)

    def _line_up(self, job: ScheduledCall, now: float) -> None:
        self.lined_up += 1
        self.lane.add(job)
        self.ordering.on_submit(job, now)

    def _lane_share(self) -> float:
        return 0.0 if self.policy.in_arrival_order else self.settings.lane_share


class ClassMix:
    """How the classes of a pool take turns.

    Strict classes first, then those below their minimum share, then by stride scheduling
    (Waldspurger and Weihl, 1995): least pass value, which grows by work / weight with each
    dispatch. Classes marked free-only come when no other class waits.
    """

    def __init__(self, queues: tuple[ClassQueue, ...]) -> None:
        self._queues = queues

    def joined(self, queue: ClassQueue) -> None:
        """Note that a class starts to wait: it starts at the least pass of the others, without old credit.

        Its own pass value stands where it last ran. Kept, an idle class would be served alone until it had
        caught up with all the work of the time in which it wanted nothing.
        """
        passes = [q.pass_value for q in self._queues if q.waiting and q is not queue]
        if passes:
            queue.pass_value = max(queue.pass_value, min(passes))

    def charge(self, queue: ClassQueue, seconds: float) -> None:
        """Charge work (or give back, when negative)."""
        queue.pass_value += seconds / queue.settings.weight

    def order(self, waiting: list[ClassQueue], slots: int, tokens: float) -> list[ClassQueue]:
        """Return the waiting classes that may be served now, the first to serve first."""
        paying = [q for q in waiting if not q.settings.free_only]
        allowed = [q for q in paying or waiting if not _above(q, q.settings.max_share, slots, tokens)]
        allowed.sort(
            key=lambda q: (
                not q.settings.strict,
                not (q.settings.min_share and not _above(q, q.settings.min_share, slots, tokens)),
                q.pass_value,
            )
        )
        return allowed


def _above(queue: ClassQueue, share: float, slots: int, tokens: float) -> bool:
    if share >= 1.0 or not queue.use.slots:
        return False
    return queue.use.slots + 1 > share * slots or queue.use.tokens >= share * tokens
