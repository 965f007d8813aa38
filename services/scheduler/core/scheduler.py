"""The scheduler's core: events in, decisions out; no clock, no I/O, no threads."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from services.chassis.dispatch.scheduling import Completion, QueueOutcome, SchedulingClass
from services.chassis.quotas import Owner, Usage
from services.scheduler.core.admission import LARGEST, invalid
from services.scheduler.core.events import (
    AgentCancelled,
    BackendDown,
    BackendLimits,
    BackendUp,
    Cancelled,
    Decision,
    Event,
    Finished,
    GatewayLost,
    PolicyChanged,
    ProgramCancelled,
    Progress,
    Reject,
    Revoke,
    Submit,
    Tick,
    TimelineKind,
    Yielded,
)
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.pool import Pool
from services.scheduler.core.reading import QueueReader
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings
from services.scheduler.core.state import CoreState
from services.scheduler.model import (
    Attempt,
    Call,
    CallState,
    PolicySpec,
    PoolKey,
    ReplicaId,
    ResourceKind,
)

_SUPERSEDED: Final = "a newer request with the same id has taken its place"


class SchedulerCore(QueueReader):
    """Decides who runs next, on which replica and for how long.

    `step(event, now)` is synchronous and deterministic: the same events at the same times give the
    same decisions. `now` is in seconds on any clock that never goes back. Invariants: every
    submitted call leaves exactly once (a finish, a Reject, a Revoke or its gateway's loss), no call
    runs twice at a time, budgets are never exceeded by grants, ties are broken by submission.
    """

    def __init__(self, settings: CoreSettings | None = None, registry: PolicyRegistry | None = None) -> None:
        settings = settings or CoreSettings()
        settings.check()
        self._state = CoreState(settings, registry or PolicyRegistry())
        self._specs: dict[ResourceKind, dict[SchedulingClass, PolicySpec]] = {
            ResourceKind.INFERENCE: {name: kind.policy for name, kind in settings.classes.items()},
            ResourceKind.TOOL: {name: kind.tool_policy for name, kind in settings.classes.items()},
        }
        for spec in (spec for specs in self._specs.values() for spec in specs.values()):
            self._state.registry.build(spec, self._state)
        super().__init__()
        self._pool_of: dict[ReplicaId, PoolKey] = {}
        self._seq = 0
        self._started: float | None = None
        self._handlers: Mapping[type[Event], Callable[[Any, float], Iterable[Pool]]] = {
            Submit: self._submit,
            Progress: self._progress,
            Yielded: self._yielded,
            Finished: self._finished,
            Cancelled: self._cancelled,
            ProgramCancelled: self._program_cancelled,
            AgentCancelled: self._agent_cancelled,
            Tick: self._tick,
            BackendUp: self._backend_up,
            BackendDown: self._backend_down,
            BackendLimits: self._backend_limits,
            GatewayLost: self._gateway_lost,
            PolicyChanged: self._policy_changed,
        }

    def step(self, event: Event, now: float) -> list[Decision]:
        """Take one event in and give the decisions it leads to, in the order to carry them out.

        Raises PolicyUnknown or PolicyParamsInvalid for a PolicyChanged that cannot be; the state is
        then as before. Events about unknown calls or replicas are ignored: they come from races.
        """
        if self._started is None:
            self._started = now
        touched = {pool.key: pool for pool in self._handlers[type(event)](event, now)}
        for pool in self._expire(now):
            touched[pool.key] = pool
        if self._state.admission.at_once:
            self._start_or_refuse(self._state.admission.take_at_once(), now)
        todo = [*self._woken(), *touched.values()]
        while todo:
            for pool in todo:
                pool.dispatch(now)
                self._drop_if_unused(pool, now)
            todo = self._woken()
        decisions, self._state.outbox = self._state.outbox, []
        return decisions

    def watch_tokens(self, *, on: bool) -> None:
        """Tell a running call's tokens at each power of two, or stop telling them. Changes no decision."""
        self._state.watched = on

    def next_wakeup(self, now: float) -> float | None:
        """When a Tick is needed, in the clock of `step`; None: nothing changes with time alone.

        Never before `now`.
        """
        times = [self._state.admission.next_expiry(), *(p.next_change(now) for p in self._pools.values())]
        known = [t for t in times if t is not None]
        return max(now, min(known)) if known else None

    def waiting(self, owner: Owner) -> list[Usage]:
        """Return how many calls an agent, its tree and its tenant have waiting; the names are the core's."""
        return self._state.admission.told(owner)

    def policy_of(self, name: SchedulingClass, lane: ResourceKind = ResourceKind.INFERENCE) -> PolicySpec:
        """Return the policy a class is under in a lane."""
        return self._specs[lane][name]

    @property
    def policy_names(self) -> tuple[str, ...]:
        """Policies that PolicyChanged may name."""
        return self._state.registry.names

    def outdated(self, call: Call) -> bool:
        """Whether a newer attempt of a call is known."""
        return self._calls.outdated(call)

    # Calls

    def _submit(self, event: Submit, now: float) -> Iterable[Pool]:
        call = event.call
        known = self._calls.find(call.id)
        if known is None:
            return self._submit_new(event, now)
        if Attempt(call.gateway, call.attempt).is_of(known.call):
            return self._submit_again(known, event, now)
        if self.outdated(call):
            # Its gateway may still hold it, so it is told; watchers see one call of the id, the newer one.
            self._state.outbox.append(
                Reject(call.id, call.gateway, QueueOutcome.EVICTED_CANCELLED, 0.0, _SUPERSEDED, call.attempt)
            )
            return ()
        # Later reports of the attempt before will be ignored, so its slot must come back here and now.
        ended = self._cancel_all([known], now)
        return [*ended, *self._submit_new(event, now)]

    def _submit_new(self, event: Submit, now: float) -> Iterable[Pool]:
        call = self._with_known_policy(event)
        since = call.arrived_at if call.waiting_since is None else call.waiting_since
        job = ScheduledCall(call, self._seq, queued_at=min(since, now))
        # Some backends bring more tokens than they were asked for: no reason to end their runs with a stream.
        job.tokens_done, job.preemptions = min(call.tokens_done, call.max_new_tokens), call.preemptions
        self._seq += 1
        problem = invalid(call)
        if problem:
            self._state.reject(job, QueueOutcome.REJECTED_INVALID, now, detail=problem)
            return ()
        if call.policy and call.policy not in self._state.registry:
            text = f"unknown policy {call.policy!r}; known: {', '.join(self.policy_names)}"
            self._state.reject(job, QueueOutcome.REJECTED_POLICY, now, detail=text)
            return ()
        pool = self._pool(call.pool, now)
        if event.running_on is not None:
            self._adopt(job, event.running_on, event.epoch, pool, now)
            return (pool,)
        return self._enqueue(job, pool, now, bounded=not event.resubmission)

    def _with_known_policy(self, event: Submit) -> Call:
        """Return the call; one that was accepted before must not end because its policy is gone."""
        call = event.call
        accepted = event.resubmission or event.running_on is not None
        return replace(call, policy="") if accepted and call.policy not in self._state.registry else call

    def _enqueue(self, job: ScheduledCall, pool: Pool, now: float, *, bounded: bool) -> Iterable[Pool]:
        refused = self._state.admission.refusal(job.call) if bounded else None
        if refused is not None:
            outcome, bound = refused
            self._state.reject(job, outcome, now, pool.retry_after(job), bound)
        elif pool.without_backend(now):
            self._state.reject(job, QueueOutcome.NO_BACKEND, now, self._state.settings.backend_grace)
        elif not pool.could_hold(job):
            self._state.reject_too_large(job, pool.too_large(job), now)
        elif job.call.gang and (disagreement := pool.queue_of(job).gangs.problem(job)):
            self._state.reject(job, QueueOutcome.REJECTED_INVALID, now, detail=disagreement)
        else:
            self._calls.add(job)
            job.program = self._state.programs.enter(job.call, job.seq)
            pool.add(job, now)
            self._state.emit(now, TimelineKind.SUBMITTED, job)
            if job.gang is not None and not pool.could_hold(job):
                self._evict_too_large(list(job.gang.members.values()), pool, now)
        return (pool,)

    def _submit_again(self, job: ScheduledCall, event: Submit, now: float) -> Iterable[Pool]:
        pool = self._pools[job.call.pool]
        if job.state is CallState.WAITING and event.running_on is not None:
            pool.remove(job, now)
            self._run_again(job, event.running_on, event.epoch, pool, now)
        elif job.state is not CallState.WAITING and event.running_on is None:
            # The gateway missed the grant: tell it again, under the same epoch.
            self._state.outbox.append(job.grant())
        return (pool,)

    def _adopt(self, job: ScheduledCall, replica_id: ReplicaId, epoch: int, pool: Pool, now: float) -> None:
        self._calls.add(job)
        job.program = self._state.programs.enter(job.call, job.seq)
        self._run_again(job, replica_id, epoch, pool, now)

    def _run_again(
        self, job: ScheduledCall, replica_id: ReplicaId, epoch: int, pool: Pool, now: float
    ) -> None:
        self._state.seen_epoch(epoch)
        self._pool_of.setdefault(replica_id, pool.key)
        pool.adopt(job, pool.replica(replica_id), epoch, now)
        self._state.emit(now, TimelineKind.ADOPTED, job)

    def _running(self, event: Progress | Yielded | Finished) -> ScheduledCall | None:
        """Return the run that a report is about; None: it came late, the run or its whole attempt is over."""
        job = self._calls.find(event.call_id)
        if job is None or job.state is CallState.WAITING or event.epoch not in (0, job.epoch):
            return None
        return job if event.attempt.is_of(job.call) else None

    def _progress(self, event: Progress, now: float) -> Iterable[Pool]:
        job = self._running(event)
        if job is None:
            return ()
        pool = self._pools[job.call.pool]
        if event.cached_tokens is not None:
            pool.cache_report(job, event.cached_tokens, now)
        pool.progress(job, _more(job, job.tokens_done + event.tokens), now)
        pool.relieve(now)
        return ()

    def _yielded(self, event: Yielded, now: float) -> Iterable[Pool]:
        job = self._running(event)
        if job is None:
            return ()
        pool = self._pools[job.call.pool]
        if more := _more(job, event.tokens_done):
            pool.progress(job, more, now)
        job.snapshot = event.snapshot
        if event.backend_failed:
            job.avoid_replica = job.replica
        pool.put_back(job, now)
        self._state.emit(now, TimelineKind.YIELDED, job)
        return (pool,)

    def _finished(self, event: Finished, now: float) -> Iterable[Pool]:
        job = self._running(event)
        if job is None:
            return ()
        pool = self._pools[job.call.pool]
        if event.cached_tokens is not None:
            pool.cache_report(job, event.cached_tokens, now)
        if more := _more(job, event.tokens_done or 0):
            pool.progress(job, more, now)
        if event.completion is Completion.COMPLETED and pool.key.lane is ResourceKind.INFERENCE:
            self._state.history.learn(job.call, job.tokens_done)
        self._state.emit(now, TimelineKind.FINISHED, job, event.completion.value)
        self._end_run(job, pool, now)
        return (pool,)

    def _cancelled(self, event: Cancelled, now: float) -> Iterable[Pool]:
        job = self._calls.find(event.call_id)
        if job is None or not event.attempt.is_of(job.call):
            return ()
        return self._cancel_all([job], now)

    def _program_cancelled(self, event: ProgramCancelled, now: float) -> Iterable[Pool]:
        programs = self._state.programs.tree(event.program)
        return self._cancel_all([job for name in programs for job in self._calls.of_program(name)], now)

    def _agent_cancelled(self, event: AgentCancelled, now: float) -> Iterable[Pool]:
        return self._cancel_all(self._calls.of_agent(event.agent), now)

    def _cancel_all(self, jobs: list[ScheduledCall], now: float) -> list[Pool]:
        """End these calls and the calls they are parents of."""
        pools: dict[PoolKey, Pool] = {}
        todo = list(jobs)
        while todo:
            job = todo.pop(0)
            if self._calls.find(job.call.id) is not job:
                continue
            todo += self._calls.children(job.call.id)
            pool = pools.setdefault(job.call.pool, self._pools[job.call.pool])
            self._cancel(job, pool, now)
        return list(pools.values())

    def _cancel(self, job: ScheduledCall, pool: Pool, now: float) -> None:
        if job.state is CallState.WAITING:
            self._evict(job, pool, QueueOutcome.EVICTED_CANCELLED, now)
            return
        call = job.call
        self._state.outbox.append(
            Revoke(
                call.id, call.gateway, job.replica, job.epoch, QueueOutcome.EVICTED_CANCELLED, call.attempt
            )
        )
        self._state.emit(now, TimelineKind.FINISHED, job, Completion.CANCELLED.value)
        self._end_run(job, pool, now)

    def _end_run(self, job: ScheduledCall, pool: Pool, now: float) -> None:
        pool.finish(job, now)
        self._forget(job)

    def _evict(
        self, job: ScheduledCall, pool: Pool, outcome: QueueOutcome, now: float, retry_after: float = 0.0
    ) -> None:
        pool.remove(job, now)
        self._forget(job)
        self._state.reject(job, outcome, now, retry_after)

    def _forget(self, job: ScheduledCall) -> None:
        self._calls.remove(job)
        self._state.programs.leave(job.call)

    def _gateway_lost(self, event: GatewayLost, now: float) -> Iterable[Pool]:
        pools: dict[PoolKey, Pool] = {}
        for job in self._calls.of_gateway(event.gateway):
            pool = pools.setdefault(job.call.pool, self._pools[job.call.pool])
            self._state.emit(
                now, TimelineKind.GATEWAY_LOST, job, QueueOutcome.EVICTED_GATEWAY.value, job.wait(now)
            )
            if job.state is CallState.WAITING:
                pool.remove(job, now)
                self._forget(job)
            else:
                self._end_run(job, pool, now)
        return list(pools.values())

    # Time

    def _tick(self, _event: Tick, now: float) -> Iterable[Pool]:
        for pool in self._pools.values():
            pool.age(now)
            self._forget_lost(pool, now)
        return list(self._pools.values())

    def _start_or_refuse(self, jobs: list[ScheduledCall], now: float) -> None:
        """Grant calls that may not wait, or end their wait. No running call is stopped for them."""
        for pool in {job.call.pool: self._pools[job.call.pool] for job in jobs}.values():
            pool.grant(now)
        for job in jobs:
            if job.state is CallState.WAITING and self._calls.find(job.call.id) is job:
                pool = self._pools[job.call.pool]
                self._evict(job, pool, QueueOutcome.EVICTED_WAIT, now, pool.retry_after(job))

    def _expire(self, now: float) -> Iterable[Pool]:
        pools: dict[PoolKey, Pool] = {}
        room = self._state.admission
        job = room.expired(now)
        while job is not None:
            pool = pools.setdefault(job.call.pool, self._pools[job.call.pool])
            late = job.call.deadline is not None and job.call.deadline <= now
            outcome = QueueOutcome.EVICTED_DEADLINE if late else QueueOutcome.EVICTED_WAIT
            self._evict(job, pool, outcome, now, 0.0 if late else pool.retry_after(job))
            job = room.expired(now)
        for pool in list(self._pools.values()):
            if pool.no_backend_since is not None and pool.waiting and pool.without_backend(now):
                pools[pool.key] = pool
                for orphan in pool.waiting_jobs():
                    self._evict(
                        orphan, pool, QueueOutcome.NO_BACKEND, now, self._state.settings.backend_grace
                    )
        return list(pools.values())

    # Backends and policies

    def _pool(self, key: PoolKey, now: float) -> Pool:
        pool = self._pools.get(key)
        if pool is None:
            since = now if self._started is None else self._started
            pool = self._pools[key] = Pool(key, self._state, self._specs[key.lane], since)
        return pool

    def _woken(self) -> list[Pool]:
        """Return the pools where calls wait for locks that have come free, most urgent first."""
        return [self._pools[key] for key in self._state.locks.woken()]

    def _forget_lost(self, pool: Pool, now: float) -> None:
        for replica_id in pool.forget_lost(now):
            if self._pool_of.get(replica_id) == pool.key:
                del self._pool_of[replica_id]

    def _drop_if_unused(self, pool: Pool, now: float) -> None:
        if pool.key.lane is ResourceKind.TOOL:
            self._forget_lost(pool, now)
        if not pool.replicas and not pool.waiting:
            self._pools.pop(pool.key, None)

    def _backend_up(self, event: BackendUp, now: float) -> Iterable[Pool]:
        key = PoolKey(event.lane, event.resource)
        pool = self._pool(key, now)
        before = self._pool_of.get(event.replica)
        touched = [pool]
        if before is not None and before != key:
            old = self._pools[before]
            touched.append(old)
            old.down(event.replica, now)
        self._pool_of[event.replica] = key
        replica = pool.replica(event.replica)
        if not replica.up:
            self._state.emit(now, TimelineKind.REPLICA_UP, detail=event.replica)
        pool.no_backend_since = None
        if replica.announce(event):
            self._evict_too_large(pool.waiting_jobs(), pool, now)
        return touched

    def _backend_down(self, event: BackendDown, now: float) -> Iterable[Pool]:
        key = self._pool_of.get(event.replica)
        if key is None:
            return ()
        self._pools[key].down(event.replica, now)
        self._state.emit(now, TimelineKind.REPLICA_DOWN, detail=event.replica)
        return (self._pools[key],)

    def _backend_limits(self, event: BackendLimits, now: float) -> Iterable[Pool]:
        key = self._pool_of.get(event.replica)
        if key is None:
            return ()
        pool = self._pools[key]
        replica = pool.replicas[event.replica]
        shrunk = replica.update(event)
        if event.queue_size is not None and replica.limit.queue_seen(event.queue_size, now):
            self._state.emit(now, TimelineKind.LIMIT_CUT, detail=f"{event.replica}: backend queues")
        if shrunk:
            self._evict_too_large(pool.waiting_jobs(), pool, now)
        return (pool,)

    def _evict_too_large(self, jobs: list[ScheduledCall], pool: Pool, now: float) -> None:
        """End the calls that no replica could ever hold. All are judged first: gangs go as a whole."""
        for job, why in [(job, pool.too_large(job)) for job in jobs if not pool.could_hold(job)]:
            pool.remove(job, now)
            self._forget(job)
            self._state.reject_too_large(job, why, now)

    def _policy_changed(self, event: PolicyChanged, now: float) -> Iterable[Pool]:
        spec = PolicySpec(event.policy, dict(event.params))
        self._state.registry.build(spec, self._state)
        self._specs[event.lane][event.scheduling_class] = spec
        changed = [pool for pool in self._pools.values() if pool.key.lane is event.lane]
        for pool in changed:
            pool.change_policy(event.scheduling_class, spec, now)
        text = f"{event.scheduling_class.value}: {event.policy}"
        self._state.emit(now, TimelineKind.POLICY_CHANGED, detail=text)
        return changed


def _more(job: ScheduledCall, tokens_done: int) -> int:
    """Return what a run has produced beyond what is known; no report makes it more than a call may have."""
    return max(0, min(tokens_done, LARGEST) - job.tokens_done)
