"""The scheduler's use cases: feeds events to the core, routes its decisions, keeps its clock ticking."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import NamedTuple

from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.quotas import Owner, Usage
from services.chassis.rpc.errors import PermissionDenied
from services.scheduler.core.events import (
    BackendDown,
    BackendUp,
    Cancelled,
    Decision,
    DispatchGrant,
    Event,
    GatewayLost,
    PolicyChanged,
    Preempt,
    Reject,
    Revoke,
    Submit,
    Tick,
    TimelineEvent,
)
from services.scheduler.core.explain import Explanation, QueueEntry
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.stats import Stats
from services.scheduler.errors import PolicyParamsInvalid, PolicyRefused, PolicyUnknown, SyscallNotFound
from services.scheduler.model import Call, CallId, ParamValue, PolicySpec, ResourceKind
from services.scheduler.ports import Clock, Ends, ScheduleMetrics
from services.scheduler.service.listing import CallListing, Place
from services.scheduler.service.watching import Known, KnownMark, Shown, Viewer, Wanted, Watchers

SEARCHED = 4000
"""Calls that are looked at for one page of those that a filter takes."""

LOOKED_AT = 1000
"""Calls of a viewer that are looked at to find the queues in which its calls wait."""

_NOT_KNOWN = "no such syscall is waiting or running"

Instruction = DispatchGrant | Preempt | Revoke | Reject


class GatewaySession:
    """One gateway's stream: decisions on their way to it."""

    def __init__(self, gateway: str, kind: ResourceKind) -> None:
        self.gateway = gateway
        self.kind = kind
        """What it may bring calls and replicas of."""
        self.replicas: set[str] = set()
        """Replicas it has announced."""
        self.outbox: asyncio.Queue[Instruction | None] = asyncio.Queue()

    def close(self) -> None:
        """End the stream after what is on its way."""
        self.outbox.put_nowait(None)


class AgentCount(NamedTuple):
    """How many calls an agent itself has."""

    agent: str
    waiting: int
    running: int


class SchedulerService:
    """Owns the core. All methods run on one event loop, so that events are taken one at a time."""

    def __init__(
        self,
        core: SchedulerCore,
        clock: Clock,
        metrics: ScheduleMetrics,
        *,
        first_sequence: int = 0,
        ends: Ends | None = None,
    ) -> None:
        self._ends = ends
        self._core = core
        self._clock = clock
        self._metrics = metrics
        self._sessions: dict[str, GatewaySession] = {}
        self._calls = CallListing()
        self._watchers = Watchers(first_sequence)
        self._timer: asyncio.TimerHandle | None = None
        self._preemptions = 0

    # The gateways' side

    def connect(self, gateway: str, kind: ResourceKind) -> GatewaySession:
        """Begin a gateway's stream. An older one of the same gateway ends and its grants are void.

        `kind` is what the process behind it may bring calls and replicas of.
        """
        if (old := self._sessions.get(gateway)) is not None:
            self.disconnect(old)
            old.close()
        session = self._sessions[gateway] = GatewaySession(gateway, kind)
        return session

    def disconnect(self, session: GatewaySession) -> None:
        """End a gateway's stream: its grants are void, its waiting calls go until they are resubmitted.

        Replicas that no other gateway has announced are nobody's any more.
        """
        if self._sessions.get(session.gateway) is not session:
            return
        del self._sessions[session.gateway]
        self.take(GatewayLost(session.gateway))
        others = {name for each in self._sessions.values() for name in each.replicas}
        for replica in sorted(session.replicas - others):
            self.take(BackendDown(replica))

    def report(self, session: GatewaySession, event: Event) -> None:
        """Take one report of a gateway; what was on its way when its stream was replaced is void.

        Raises PermissionDenied for calls and replicas of another kind than its own.
        """
        if self._sessions.get(session.gateway) is not session:
            return
        self._check_kind(session, event)
        if isinstance(event, BackendUp):
            session.replicas.add(event.replica)
        elif isinstance(event, BackendDown):
            session.replicas.discard(event.replica)
        self.take(event)

    def _check_kind(self, session: GatewaySession, event: Event) -> None:
        """Keep each process to calls and replicas of its own kind. Raises PermissionDenied."""
        kind = session.kind
        if isinstance(event, Submit):
            kind = event.call.lane
        elif isinstance(event, BackendUp | BackendDown):
            others = (each for each in self._sessions.values() if each.kind is not session.kind)
            taken = any(event.replica in each.replicas for each in others)
            if taken:
                raise PermissionDenied(f"the replica {event.replica} is another process's")
            kind = event.lane if isinstance(event, BackendUp) else session.kind
        if kind is not session.kind:
            raise PermissionDenied(f"this process brings nothing of the kind {kind.value}")

    def take(self, event: Event) -> None:
        """Give the core one event and carry out what it decides."""
        now = self._clock.monotonic()
        if isinstance(event, Submit) and not self._core.outdated(event.call):
            self._list(event.call)
        self._carry_out(self._core.step(event, now))
        self._arm()

    def close(self) -> None:
        """End every stream; the gateways connect to the next scheduler and submit again."""
        for session in self._sessions.values():
            session.close()
        if self._timer is not None:
            self._timer.cancel()

    # The agents' and administrators' side

    def queue(
        self, viewer: Viewer, after: Place | None = None, size: int | None = None
    ) -> list[tuple[QueueEntry, Call]]:
        """Return calls that the viewer may see, oldest arrival first: up to `size` of those beyond a place.

        Costs what it returns, however many others wait.
        """
        now = self._clock.monotonic()
        shown = self._calls.page((viewer.tenant, viewer.agent), after, size)
        return [(entry, call) for call in shown if (entry := self._core.entry(call.id, now)) is not None]

    def select(
        self, viewer: Viewer, wanted: Wanted, after: Place | None, size: int
    ) -> tuple[list[tuple[QueueEntry, Call]], Place | None]:
        """Return those of a viewer's calls that are wanted, oldest arrival first, and where to go on.

        Looks at `SEARCHED` calls at most; None: there are no more.
        """
        now, found = self._clock.monotonic(), list[tuple[QueueEntry, Call]]()
        looked = self._calls.page((viewer.tenant, viewer.agent), after, SEARCHED + 1)
        for at, call in enumerate(looked):
            if at == SEARCHED or len(found) == size:
                return found, (looked[at - 1].arrived_at, looked[at - 1].id)
            entry = self._core.entry(call.id, now) if wanted.takes(call) else None
            if entry is not None and (not wanted.states or entry.state in wanted.states):
                found.append((entry, call))
        return found, None

    def count(self, viewer: Viewer, after: str, size: int) -> list[AgentCount]:
        """Count what waits and runs of each agent that a viewer may see: up to `size` beyond a name."""
        running = Counter(call.agent for call in self._core.running() if viewer.sees(call))
        known = self._calls.agents((viewer.tenant, viewer.agent), after, size)
        return [AgentCount(agent, count - running[agent], running[agent]) for agent, count in known]

    def waiting(self, owner: Owner) -> list[Usage]:
        """Return how many calls an agent, its tree and its tenant have waiting; the names are the core's."""
        return self._core.waiting(owner)

    def entry(self, call_id: CallId, viewer: Viewer) -> tuple[QueueEntry, Call]:
        """One call. Raises SyscallNotFound."""
        call = self._seen(call_id, viewer)
        entry = self._core.entry(call_id, self._clock.monotonic())
        if entry is None:
            raise SyscallNotFound(_NOT_KNOWN)
        return entry, call

    def _seen(self, call_id: CallId, viewer: Viewer) -> Call:
        """Return a known call that a viewer may see. Raises SyscallNotFound."""
        call = self._calls.get(call_id)
        if call is None or self._core.call(call_id) is None or not viewer.sees(call):
            raise SyscallNotFound(_NOT_KNOWN)
        return call

    def explain(self, call_id: CallId, viewer: Viewer) -> Explanation:
        """Explain why a call waits. Raises SyscallNotFound."""
        self._seen(call_id, viewer)
        return self._core.explain(call_id, self._clock.monotonic())

    def explain_first(self, viewer: Viewer, top: int) -> list[Explanation]:
        """Explain why the first waiting calls that a viewer may see wait, those to be served next first.

        Looks at the viewer's oldest `LOOKED_AT` calls and at the fronts of the queues they are in.
        """
        oldest = self._calls.page((viewer.tenant, viewer.agent), None, LOOKED_AT)
        ids = (call.id for call in oldest)
        return self._core.explain_first(ids, viewer.sees, top, self._clock.monotonic())

    def may_name(self, call_id: CallId, viewer: Viewer) -> bool:
        """Whether a viewer may learn the name of another waiting call."""
        call = self._calls.get(call_id)
        return call is not None and viewer.sees(call)

    def stats(self) -> Stats:
        """Every gauge but those of the policies, some of which look at all that waits."""
        return self._core.stats(self._clock.monotonic(), of_policies=False)

    @property
    def preemptions(self) -> int:
        """Running calls told to stop since the start."""
        return self._preemptions

    def policies(self, lane: ResourceKind = ResourceKind.INFERENCE) -> Mapping[SchedulingClass, PolicySpec]:
        """Which policy is in charge of which class of a lane."""
        return {kind: self._core.policy_of(kind, lane) for kind in SchedulingClass}

    @property
    def policy_names(self) -> tuple[str, ...]:
        """Names that `set_policy` takes."""
        return self._core.policy_names

    def set_policy(
        self,
        classes: Iterable[SchedulingClass],
        name: str,
        params: Mapping[str, ParamValue],
        lane: ResourceKind = ResourceKind.INFERENCE,
    ) -> None:
        """Put a policy in charge. Calls stay. Raises PolicyRefused."""
        try:
            for kind in classes:
                self.take(PolicyChanged(kind, name, params, lane))
        except (PolicyUnknown, PolicyParamsInvalid) as error:
            raise PolicyRefused(str(error)) from error

    def cancel(self, call_id: CallId, viewer: Viewer) -> None:
        """Cancel a waiting or running call. Raises SyscallNotFound."""
        self._seen(call_id, viewer)
        self.take(Cancelled(call_id))

    @property
    def watched(self) -> bool:
        """Whether anybody follows what happens."""
        return bool(self._watchers)

    @property
    def sequence(self) -> int:
        """Number of the last event; what is read in the same turn of the loop has taken in all up to it."""
        return self._watchers.sequence

    async def watch(
        self, viewer: Viewer, *, initial: bool = False
    ) -> AsyncGenerator[Shown | Known | KnownMark, None]:
        """Follow what happens from now on; with `initial` what waits and runs now comes first."""
        self._core.watch_tokens(on=True)
        try:
            with self._watchers.watching(viewer) as watcher:
                # Read in the turn of the loop in which events begin to be kept: nothing lies in between.
                sequence, known = self.sequence, self.queue(viewer) if initial else []
                if initial:
                    yield KnownMark(sequence, ended=False)
                for entry, call in known:
                    yield Known(entry, call, sequence)
                known.clear()
                if initial:
                    yield KnownMark(sequence, ended=True)
                while True:
                    yield await watcher.next()
        finally:
            self._core.watch_tokens(on=bool(self._watchers))

    # Inside

    def _list(self, call: Call) -> None:
        """Show a call; a newer attempt is shown instead of the older one, by its own arrival."""
        known = self._calls.get(call.id)
        if known is not None and (known.gateway, known.attempt) != (call.gateway, call.attempt):
            self._calls.discard(known.id)
        self._calls.add(call)

    def _carry_out(self, decisions: list[Decision]) -> None:
        self._metrics.decided(decisions)
        for decision in decisions:
            if isinstance(decision, TimelineEvent):
                self._show(decision)
                continue
            self._preemptions += isinstance(decision, Preempt)
            if (session := self._sessions.get(decision.gateway)) is not None:
                session.outbox.put_nowait(decision)
        for decision in decisions:
            if decision.call_id and self._core.call(decision.call_id) is None:
                self._calls.discard(decision.call_id)

    def _show(self, event: TimelineEvent) -> None:
        call = self._calls.get(event.call_id)
        if call is None and event.call_id:
            return
        self._watchers.show(event, call)
        if call is not None and event.summary is not None and self._ends is not None:
            self._ends.note(call, event)

    def _arm(self) -> None:
        """Wake up when the core needs to see time pass."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        due = self._core.next_wakeup(now)
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.001, due - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.take(Tick())
