"""Preemption: which running calls are asked to stop for which waiting ones."""

from collections.abc import Mapping
from itertools import islice

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.class_queue import ClassQueue
from services.scheduler.core.events import Preempt, TimelineKind
from services.scheduler.core.preemption_guard import PreemptionGuard, enough
from services.scheduler.core.replica import Replica
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.state import CoreState
from services.scheduler.model import CallState, ReplicaId


class Preemptor:
    """Asks running calls of one pool to make room.

    A waiting call that does not fit may stop running calls of its own class, if its policy names
    victims, and of the classes its own class may stop; the guard has the last word. A call is
    ripe once its quantum is used up: only ripe calls are looked at.
    """

    def __init__(
        self,
        state: CoreState,
        queues: Mapping[SchedulingClass, ClassQueue],
        replicas: Mapping[ReplicaId, Replica],
    ) -> None:
        self._state = state
        self._queues = queues
        self._replicas = replicas
        self._guard = PreemptionGuard(state.settings)
        self._ripe: dict[ScheduledCall, None] = {}
        self._stopping: dict[ScheduledCall, ScheduledCall] = {}
        """Calls asked to stop, and for whom."""

        self._stoppable = {c for settings in state.settings.classes.values() for c in settings.may_stop}

    def quantum(self, queue: ClassQueue) -> int:
        """Tokens after which a call of this class may be asked to stop; 0: never.

        The guard lets none stop earlier. Gateways report when so many are there, and not again for a while.
        """
        least = self._state.settings.guard.min_tokens
        if queue.policy.preempts and queue.policy.quantum_tokens:
            return max(queue.policy.quantum_tokens, least)
        return least if queue.name in self._stoppable else 0

    def ripen(self, job: ScheduledCall) -> None:
        """Note that a running call brought forth tokens."""
        if job.quantum and job.slice_tokens >= job.quantum and job.state is CallState.RUNNING:
            self._ripe[job] = None

    def forget(self, job: ScheduledCall) -> None:
        """Drop a call that runs no more."""
        self._ripe.pop(job, None)
        self._stopping.pop(job, None)

    def reconsider(self, job: ScheduledCall) -> None:
        """Look at a running call again: its quantum changed."""
        self._ripe.pop(job, None)
        self.ripen(job)

    def possible(self) -> bool:
        """Whether any waiting call might stop any running one."""
        return bool(self._ripe) and any(
            q.waiting and (q.policy.preempts or any(self._queues[c].use.slots for c in q.settings.may_stop))
            for q in self._queues.values()
        )

    def ask(self, served: list[ClassQueue], now: float) -> None:
        """Ask for as many stops as waiting calls want and the guard allows, in the order of service.

        Calls whose room is being made already are passed over, and so is one waiting call for
        each stop that was asked for a call that waits no more.
        """
        # Stops take until the next token boundary. What they will free is spoken for by the calls they were
        # asked for; the room of those that wait no more goes to whoever is next, so nobody else need stop for
        # these.
        covered = {job for job in self._stopping.values() if job.state is CallState.WAITING}
        spare = sum(job not in covered for job in self._stopping.values())
        for queue in served:
            for job in islice(queue.in_order(now), self._state.settings.lookahead):
                if job in covered:
                    continue
                if spare > 0:
                    spare -= 1
                    continue
                victims = self._victims(queue, job, now)
                if not victims:
                    break
                self._stop(victims, job, now)

    def _victims(self, queue: ClassQueue, job: ScheduledCall, now: float) -> list[ScheduledCall]:
        found: list[ScheduledCall] = []
        for name in reversed(SchedulingClass):
            if name in queue.settings.may_stop:
                found += sorted(self._ripe_of(name), key=lambda v: (v.dispatched_at, v.seq), reverse=True)
        if queue.policy.preempts:
            found += queue.policy.victims(queue.ordering.place_of(job), self._ripe_of(queue.name), now)
        return enough(job, found, self._replicas, now)

    def _ripe_of(self, name: SchedulingClass) -> list[ScheduledCall]:
        churn = sum(queue.waiting_tokens for queue in self._queues.values())
        return [
            job
            for job in self._ripe
            if job.call.scheduling_class is name
            and self._guard.allows(job, self._replicas[job.replica], churn)
        ]

    def _stop(self, victims: list[ScheduledCall], candidate: ScheduledCall, now: float) -> None:
        for victim in victims:
            victim.state = CallState.STOPPING
            del self._ripe[victim]
            victim.preemptions += 1
            self._stopping[victim] = candidate
            call = victim.call
            self._state.outbox.append(
                Preempt(call.id, call.gateway, victim.replica, victim.epoch, call.attempt)
            )
            detail = f"for a call of class {candidate.call.scheduling_class.value}"
            self._state.emit(now, TimelineKind.PREEMPT_ASKED, victim, detail)
