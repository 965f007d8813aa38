"""A pool: the replicas that serve one resource and the classes of calls that wait for it."""

from collections.abc import Iterator
from itertools import islice

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.class_queue import ClassMix, ClassQueue
from services.scheduler.core.events import FROM_LANE, TimelineKind
from services.scheduler.core.gang_placement import GangPlacement
from services.scheduler.core.placement import Placement
from services.scheduler.core.preemptor import Preemptor
from services.scheduler.core.replica import Replica
from services.scheduler.core.reservation import Reservation
from services.scheduler.core.scheduled_call import Gang, ScheduledCall
from services.scheduler.core.state import CoreState, Why
from services.scheduler.model import CallState, PolicySpec, PoolKey, ReplicaId, ResourceKind


class Pool:
    """Dispatches the calls of one resource over its replicas.

    Invariant after `dispatch`: no replica without a reservation has room for one of the first
    `lookahead` calls of a class that may be served (work conservation).
    """

    def __init__(
        self, key: PoolKey, state: CoreState, specs: dict[SchedulingClass, PolicySpec], since: float
    ) -> None:
        self.key = key
        self.state = state
        self.replicas: dict[ReplicaId, Replica] = {}
        self.queues = {
            name: ClassQueue(name, settings, specs[name], state)
            for name, settings in state.settings.classes.items()
        }
        self._queues = tuple(self.queues.values())
        self.mix = ClassMix(self._queues)
        self.placement = Placement(state.settings)
        self.gang_placement = GangPlacement(state.settings, self.placement, self.replicas)
        self.preemptor = Preemptor(state, self.queues, self.replicas)
        self.running = 0
        self.waiting = 0
        self.no_backend_since: float | None = since

    def queue_of(self, job: ScheduledCall) -> ClassQueue:
        """Return the queue of the call's class."""
        return self.queues[job.call.scheduling_class]

    # Replicas

    def replica(self, replica_id: ReplicaId) -> Replica:
        """Return the replica of this id; made, without any capacity, when it is not known yet."""
        found = self.replicas.get(replica_id)
        if found is None:
            found = self.replicas[replica_id] = Replica(replica_id, self.key, self.state.settings)
        return found

    def down(self, replica_id: ReplicaId, now: float) -> None:
        """Grant nothing more to this replica."""
        replica = self.replicas[replica_id]
        replica.up = False
        replica.down_at = now
        replica.reservation = None
        if not any(r.up for r in self.replicas.values()) and self.no_backend_since is None:
            self.no_backend_since = now
            self.state.locks.unreserve_pool(self.key)

    def forget_lost(self, now: float) -> list[ReplicaId]:
        """Drop replicas that are down for longer than the grace period and run nothing; name them.

        Those of a tool go at once: they know nothing that would be of use when they return.
        """
        oldest = now if self.key.lane is ResourceKind.TOOL else now - self.state.settings.backend_grace
        gone = [r.id for r in self.replicas.values() if not r.up and not r.running and r.down_at <= oldest]
        for replica_id in gone:
            del self.replicas[replica_id]
        return gone

    def without_backend(self, now: float) -> bool:
        """Whether nobody served this resource for longer than the grace period."""
        since = self.no_backend_since
        return since is not None and now >= since + self.state.settings.backend_grace

    def could_hold(self, job: ScheduledCall) -> bool:
        """Whether some replica, now up or down, could ever hold the call; all of them its whole gang."""
        known = [r for r in self.replicas.values() if r.slots > 0]
        if not known:
            return True
        if job.gang is not None and job.gang.ready:
            return self.gang_placement.could_hold(job.gang)
        if job.call.gang and sum(r.slots for r in known) < job.call.gang_size:
            return False
        return any(r.could_hold(job) for r in known)

    def too_large(self, job: ScheduledCall) -> Why:
        """Return why `could_hold` is false for a call, in words and in numbers by name."""
        known = [r for r in self.replicas.values() if r.slots > 0]
        slots, size = sum(r.slots for r in known), job.call.gang_size
        most, needed = max(r.nominal_tokens for r in known), job.whole_footprint
        facts = {"tokens": str(needed), "largest_tokens": f"{most:.0f}"}
        if needed > most:
            return f"the call may take {needed} tokens, and the largest backend holds {most:.0f}", facts
        facts |= {"gang_size": str(size), "slots": str(slots)}
        if size > slots:
            return f"{size} calls are to start together, and the backends run at most {slots} at once", facts
        return (
            f"{size} calls are to start together, and all backends, empty, have no room for their tokens",
            facts,
        )

    def retry_after(self, job: ScheduledCall) -> float:
        """Seconds after which a refused call may find room, from the recent dispatch rate."""
        queue = self.queue_of(job)
        guess = queue.monitor.predicted_wait(len(queue.waiting) // 4)
        return 1.0 if guess is None else min(30.0, max(0.1, guess))

    # Waiting calls

    def waiting_jobs(self) -> list[ScheduledCall]:
        """All waiting calls, in order of submission."""
        found = [job for queue in self.queues.values() for job in queue.waiting.values()]
        return sorted(found, key=lambda job: job.seq)

    def change_policy(self, name: SchedulingClass, spec: PolicySpec, now: float) -> None:
        """Put a class under another policy; what runs may be stopped by its rules from now on."""
        queue, running = self.queues[name], list(self._running_of(name))
        queue.change_policy(spec, running, now)
        for job in running:
            job.quantum = self.preemptor.quantum(queue)
            self.preemptor.reconsider(job)

    def add(self, job: ScheduledCall, now: float) -> None:
        """Note that a call starts to wait."""
        self.estimate(job)
        queue = self.queue_of(job)
        if not queue.waiting:
            self.mix.joined(queue)
        job.predicted_start = self._foretell(queue, now)
        self.waiting += 1
        queue.add(job, now)

    def remove(self, job: ScheduledCall, now: float) -> None:
        """Note that a waiting call leaves without running."""
        self.waiting -= 1
        self.queue_of(job).remove(job, now)
        self._unreserve(job)

    def estimate(self, job: ScheduledCall) -> None:
        """Predict what the call still needs, on the replica that has most of its prefix."""
        reserve = self.state.settings.reserve_tokens
        if reserve and job.call.preemptible and self.key.lane is ResourceKind.INFERENCE:
            job.reserved = job.tokens_done + reserve
        cost = self.state.cost
        cached, _ = self.best_cached(job)
        job.uncached = max(0, job.context_tokens - cached)
        job.decode = self.state.history.remaining(job.call, job.tokens_done)
        job.work = cost.prefill(job.uncached) + cost.decode(job.decode, job.context_tokens)

    def best_cached(self, job: ScheduledCall) -> tuple[int, ReplicaId]:
        """Return most context tokens that a replica which is up need not read, and that replica."""
        best, where = 0, ""
        for replica in self.replicas.values():
            if replica.up and (cached := self.placement.cached(job, replica)) > best:
                best, where = cached, replica.id
        return best, where

    # Running calls

    def adopt(self, job: ScheduledCall, replica: Replica, epoch: int, now: float) -> None:
        """Take in a call that already runs (this scheduler restarted)."""
        self.estimate(job)
        self._start(job, replica, epoch, now)
        job.expected_cached = 0
        self.queue_of(job).ordering.on_adopt(job, now)

    def progress(self, job: ScheduledCall, tokens: int, now: float) -> None:
        """Note that a running call brought forth tokens."""
        before = job.tokens_done.bit_length()
        job.tokens_done += tokens
        job.slice_tokens += tokens
        if self.state.watched and job.tokens_done.bit_length() != before:
            self.state.emit(now, TimelineKind.PROGRESSED, job)
        job.decode -= tokens
        if job.decode <= 0:
            job.decode = self.state.history.remaining(job.call, job.tokens_done)
        self._charge(job, self.state.cost.decode(tokens, job.context_tokens))
        replica = self.replicas[job.replica]
        replica.context_tokens += tokens
        if tokens > 0 and job.reported_at > job.dispatched_at:
            replica.token_seen((now - job.reported_at) / tokens)
        if tokens > 0 and replica.limit.token_seen((now - job.reported_at) / tokens, now):
            self.state.emit(now, TimelineKind.LIMIT_CUT, job, "tokens come slowly")
        job.reported_at = now
        self.queue_of(job).ordering.on_tokens(job, tokens, now)
        self.preemptor.ripen(job)

    def cache_report(self, job: ScheduledCall, found: int, now: float) -> None:
        """Note that the backend told how much of the prompt it had cached."""
        replica = self.replicas[job.replica]
        replica.prefixes.observed(job.expected_cached, found)
        output = job.tokens_done + job.decode
        if replica.limit.cache_seen(job.expected_cached, found, output, len(replica.running), now):
            self.state.emit(now, TimelineKind.LIMIT_CUT, job, "prefix cache thrashes")

    def put_back(self, job: ScheduledCall, now: float) -> None:
        """Note that a running call gave its slot back and waits again."""
        self._stop(job)
        job.ran += max(0.0, now - job.dispatched_at)
        job.state = CallState.WAITING
        job.queued_at = now
        self.estimate(job)
        queue = self.queue_of(job)
        if not queue.waiting:
            self.mix.joined(queue)
        self.waiting += 1
        queue.put_back(job, now)

    def finish(self, job: ScheduledCall, now: float) -> None:
        """Note that a run ended."""
        self._stop(job)
        self.queue_of(job).ordering.on_finish(job, now)

    # Decisions

    def dispatch(self, now: float) -> None:
        """Grant whatever fits, then ask running calls to make room where a policy wants it."""
        self.grant(now)
        self.relieve(now)

    def grant(self, now: float) -> None:
        """Grant whatever fits."""
        while self._room(now) and self._grant_one(now):
            pass

    def relieve(self, now: float) -> None:
        """Ask running calls to stop for waiting ones, where policies and the guard allow."""
        if self.preemptor.possible():
            self.preemptor.ask(self.served(now), now)

    def _room(self, now: float) -> bool:
        return self.waiting > 0 and any(r.has_slot(now) for r in self.replicas.values())

    def _grant_one(self, now: float) -> bool:
        """Grant the first call that may go and fits; False: none does, and `grant` is done.

        One at a time: each grant changes the room, the classes' pass values and what reservations let pass,
        so what comes next is decided anew.
        """
        # Who holds a reservation has had its turn; asking the queues first would let newcomers take its room.
        if self._grant_reserved(now):
            return True
        if not any(r.open_to_all(now) for r in self.replicas.values()):
            return self._grant_newcomer(now)
        for queue in self.served(now):
            head, from_lane = queue.head(now)
            if head is None:
                continue
            if self._try(queue, head, now, from_lane=from_lane):
                return True
            # The head did not fit. Some calls behind it may, without delaying it: a reservation that it holds
            # lets only such calls pass, and the bound keeps one long head from costing a walk of the queue.
            for job in islice(self._unlocked(queue, head, now), self.state.settings.lookahead):
                if not self._open(now):
                    break
                if self._try(queue, job, now, from_lane=False):
                    return True
        return False

    def _grant_newcomer(self, now: float) -> bool:
        """Grant a call of a program that runs nothing where a slot is kept for such."""
        for replica in self.replicas.values():
            if not replica.has_slot(now):
                continue
            for queue in self.served(now):
                head, from_lane = queue.head(now)
                if head is None:
                    continue
                found = queue.newcomers(head, replica.programs)
                for job in islice(found, self.state.settings.lookahead):
                    if self._try(queue, job, now, from_lane=from_lane and job is head):
                        return True
        return False

    def _grant_reserved(self, now: float) -> bool:
        """Grant a call for which room or locks were kept and that fits now."""
        for job in self.state.locks.due(self.key, now):
            replica = self.placement.choose(job, self.replicas.values(), now, strict=False)
            if replica is not None:
                self._grant(job, replica, now, from_lane=False)
                return True
        for replica in self.replicas.values():
            if replica.reservation is not None and self._grant_holder(replica, replica.reservation, now):
                return True
        return False

    def _grant_holder(self, replica: Replica, held: Reservation, now: float) -> bool:
        """Grant the call or gang that holds this replica, if it fits now."""
        job = held.job
        if not self.state.locks.free(job, now):
            replica.unreserve(job)  # the room is of no use to it
            return False
        if replica.room_for(job, now) and replica.fits_tokens(job, now):
            if job.gang is None:
                self._grant(job, replica, now, from_lane=held.from_lane)
                return True
            if self._try_gang(self.queue_of(job), job.gang, now, from_lane=held.from_lane):
                return True
        # The predicted start has passed in vain. A new one lets others pass again, so it is made only while
        # the reservation is young: repeated for ever, wrong predictions could starve the holder.
        if held.start <= now < held.made + self.state.settings.reservation_patience:
            self.placement.foretell(held, replica, now)
        return False

    def _unlocked(self, queue: ClassQueue, head: ScheduledCall, now: float) -> Iterator[ScheduledCall]:
        """Return calls behind the head, without those that lack a lock: they block nobody."""
        return (job for job in queue.behind(head, now) if not self._locked(queue, job, now))

    def _locked(self, queue: ClassQueue, job: ScheduledCall, now: float) -> bool:
        """Whether the call lacks a lock; the first in line that does has its locks kept in the end."""
        locks = self.state.locks
        if not job.call.locks or locks.free(job, now, strict=queue.settings.strict):
            return False
        passes = 0 if queue.policy.in_arrival_order else self.state.settings.max_bypass
        if not queue.settings.free_only and locks.reserve(job, passes, now):
            self.state.emit(now, TimelineKind.RESERVED, job, "locks")
        return True

    def served(self, now: float) -> list[ClassQueue]:
        """Classes that may be served now, the first to serve first."""
        waiting = [queue for queue in self._queues if queue.lined_up]
        if len(waiting) < 2:  # noqa: PLR2004 - nothing to put in order
            return waiting
        slots, tokens = 0, 0.0
        for replica in self.replicas.values():
            if replica.up:
                slots += replica.slot_limit(now)
                tokens += replica.token_limit(now)
        return self.mix.order(waiting, slots, tokens)

    def _open(self, now: float) -> bool:
        return any(
            r.has_slot(now) and (r.reservation is None or r.reservation.open(now))
            for r in self.replicas.values()
        )

    def _try(self, queue: ClassQueue, job: ScheduledCall, now: float, *, from_lane: bool) -> bool:
        if job.gang is not None:
            return self._try_gang(queue, job.gang, now, from_lane=from_lane)
        if self._locked(queue, job, now):
            return False
        replica = self.placement.choose(job, self.replicas.values(), now, strict=queue.settings.strict)
        if replica is not None:
            self._grant(job, replica, now, from_lane=from_lane)
            return True
        if self._only_kept_from(job, now):
            return False  # no room is missing: another call of its program has to end
        # Where a lane guards against starvation it alone holds replicas: holding for others costs room.
        holds = from_lane or not queue.lane.share
        if holds and not queue.settings.free_only and not self.held_for(job):
            sealed = queue.policy.in_arrival_order
            held = self.placement.reserve(
                job, self.replicas.values(), now, sealed=sealed, from_lane=from_lane
            )
            if held is not None:
                self.state.emit(now, TimelineKind.RESERVED, job, held.id)
        return False

    def _only_kept_from(self, job: ScheduledCall, now: float) -> bool:
        """Whether all free slots are kept for programs that run nothing, and this call's runs something."""
        free = [r for r in self.replicas.values() if r.has_slot(now)]
        return bool(free) and not any(r.room_for(job, now) for r in free)

    def _try_gang(self, queue: ClassQueue, gang: Gang, now: float, *, from_lane: bool) -> bool:
        """Grant all calls of a gang, or keep replicas free until all of them fit.

        True also when it gave a replica back: calls that were tried before may fit there.
        """
        leader = gang.leader
        plan = self.gang_placement.plan(gang, now, strict=queue.settings.strict)
        if plan is not None and leader is not None:
            self._unreserve(leader)
            # Only the leader stood in the queue so far. The others join it now, in the same step in which
            # they are granted, so each leaves the way an ordinary call does and no policy sees a call it was
            # not told of.
            queue.start_gang(gang, now)
            for job, replica in plan:
                # The lane sent the leader; charging it for all would make its next call wait for the whole
                # gang.
                self._grant(job, replica, now, from_lane=from_lane and job is leader)
            return True
        if queue.settings.free_only:
            return False
        sealed = queue.policy.in_arrival_order
        fresh, freed = self.gang_placement.hold(gang, now, sealed=sealed, from_lane=from_lane)
        for replica in fresh:
            self.state.emit(now, TimelineKind.RESERVED, leader, replica.id)
        return bool(freed)

    def held_for(self, job: ScheduledCall) -> ReplicaId:
        """Return the replica a waiting call holds a reservation on, or empty."""
        return next((r.id for r in self.replicas.values() if r.reserved_for is job), "")

    def _unreserve(self, job: ScheduledCall) -> None:
        for replica in self.replicas.values():
            replica.unreserve(job)

    def _grant(self, job: ScheduledCall, replica: Replica, now: float, *, from_lane: bool) -> None:
        self._unreserve(job)
        # Somebody else holds this replica and lets the call pass: what it takes of the spare room is used up.
        if replica.reservation is not None:
            replica.reservation.passed(replica.need(job), self.placement.ends(job, replica, now))
        cached = self.placement.cached(job, replica)
        job.expected_cached = cached
        job.uncached = max(0, job.context_tokens - cached)
        queue = self.queue_of(job)
        self.waiting -= 1
        queue.dispatch(job, now, from_lane=from_lane)
        job.from_lane = from_lane
        wait = job.wait(now)
        job.granted_wait = wait
        job.waited += wait
        self._start(job, replica, self.state.next_epoch(), now)
        self._charge(job, self.state.cost.prefill(job.uncached))
        replica.prefixes.prefilled(job)
        self.state.outbox.append(job.grant())
        self.state.emit(now, TimelineKind.GRANTED, job, FROM_LANE if from_lane else "", wait)

    def _start(self, job: ScheduledCall, replica: Replica, epoch: int, now: float) -> None:
        job.state = CallState.RUNNING
        job.replica = replica.id
        job.epoch = epoch
        job.slice_tokens = 0
        job.charged = 0.0
        job.dispatched_at = job.reported_at = now
        job.first_run_at = now if job.first_run_at is None else job.first_run_at
        replica.take(job)
        self.state.locks.take(job)
        self.running += 1
        queue = self.queue_of(job)
        job.quantum = self.preemptor.quantum(queue)
        queue.use.slots += 1
        queue.use.tokens += job.footprint
        self.mix.charge(queue, job.work)

    def _stop(self, job: ScheduledCall) -> None:
        self.replicas[job.replica].release(job)
        self.state.locks.release(job)
        self.running -= 1
        queue = self.queue_of(job)
        queue.use.slots -= 1
        queue.use.tokens -= job.footprint
        # The class paid the expected work at dispatch; settle what the slice really took.
        self.mix.charge(queue, job.charged - job.work)
        self.preemptor.forget(job)
        job.last_replica, job.replica = job.replica, ""

    def _charge(self, job: ScheduledCall, seconds: float) -> None:
        job.charged += seconds
        if job.program is not None:
            job.program.attained += seconds

    def _running_of(self, name: SchedulingClass) -> Iterator[ScheduledCall]:
        if not self.queues[name].use.slots:
            return iter(())
        return (
            job
            for replica in self.replicas.values()
            for job in replica.running.values()
            if job.call.scheduling_class is name
        )

    def _foretell(self, queue: ClassQueue, now: float) -> float | None:
        wait = queue.monitor.predicted_wait(len(queue.waiting))
        return None if wait is None else now + wait

    # Time

    def age(self, now: float) -> None:
        """Let lanes and boosts follow the time."""
        for queue in self.queues.values():
            if queue.waiting or queue.lane.boosted:
                queue.age(now)

    def next_change(self, now: float) -> float | None:
        """When time alone changes something here."""
        if not self.waiting:
            return now if any(queue.lane.boosted for queue in self._queues) else None
        times = [queue.next_change() for queue in self._queues]
        if self.no_backend_since is not None:
            times.append(self.no_backend_since + self.state.settings.backend_grace)
        for replica in self.replicas.values():
            if replica.up and replica.limit.is_cut(now):
                times.append(now + 1.0)
            held = replica.reservation
            if held is not None:
                patience = held.made + self.state.settings.reservation_patience
                times += [at for at in (held.start, patience) if at > now]
        known = [t for t in times if t is not None]
        return min(known) if known else None
