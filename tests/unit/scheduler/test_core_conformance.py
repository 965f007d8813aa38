"""What every policy must keep, tried with random histories (one state machine per policy)."""

from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.scheduler.core.events import (
    BackendDown,
    BackendLimits,
    BackendUp,
    Cancelled,
    Decision,
    DispatchGrant,
    Event,
    Finished,
    GatewayLost,
    PolicyChanged,
    Preempt,
    ProgramCancelled,
    Progress,
    Reject,
    Revoke,
    Submit,
    Tick,
    Yielded,
)
from services.scheduler.core.policies import BUILT_IN, PolicyRegistry, discover
from services.scheduler.core.policies.adaptive import Adaptive
from services.scheduler.core.policies.base import Policy
from services.scheduler.core.policies.fifo import Fifo
from services.scheduler.core.pool import Pool
from services.scheduler.core.scheduled_call import Gang, ScheduledCall
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.model import Call, CallState, Prefix, SnapshotInfo
from tests.fakes.examples import examples
from tests.fakes.scheduling import MODEL, call, settings

SLOTS, TOKENS, REPLICAS = 3, 1200, 2

PARAMS: dict[str, dict[str, float | int | str | bool]] = {
    "rr": {"quantum": 20},
    "priority": {"preempt": True, "quantum": 20},
    "mlfq": {"base": 20, "levels": 3},
    "las": {"preempt": True, "quantum": 20, "base": 0.01},
    "adaptive": {"preempt": True, "quantum": 20, "band": 500, "base": 0.01},
    "vtc": {"by": "agent"},
}

CLASSES = st.sampled_from([SchedulingClass.NORMAL] * 4 + list(SchedulingClass))

WISHES = st.fixed_dictionaries(
    {
        "name": CLASSES,
        "prompt": st.integers(0, 700),
        "new": st.integers(1, 300),
        "agent": st.integers(0, 3),
        "priority": st.integers(-2, 2),
        "max_wait": st.sampled_from([None, None, 5.0]),
        "deadline": st.sampled_from([None, None, 8.0]),
        "shared": st.integers(0, 200),
        "preemptible": st.sampled_from([True, True, True, False]),
        "own": st.sampled_from(["", ""] + ["priority", "fifo"] * 6 + sorted(kind.name for kind in BUILT_IN)),
        "gang": st.sampled_from([0, 0, 0, 2, 3, 6, 7]),
    }
)


def owner(job: ScheduledCall) -> tuple[str, str, int]:
    """Return whose turn a place is: an agent's with its own policy, or one call's."""
    return (job.call.agent, job.call.policy, 0) if job.call.policy else ("", "", job.seq)


class SchedulerMachine(RuleBasedStateMachine):
    """Random events against one core, and a plain model of what must be true after each."""

    kind: type[Policy] = Fifo
    reserve_tokens = 0
    kept_slot_from = 0

    def __init__(self) -> None:
        super().__init__()
        self.policy = self.kind.name
        params = PARAMS.get(self.policy, {})
        self.settings = settings(
            self.policy,
            params,
            lookahead=64,
            reserve_tokens=self.reserve_tokens,
            kept_slot_from=self.kept_slot_from,
        )
        self.core = self.fresh_core()
        self.now = 0.0
        self.count = 0
        self.history: list[tuple[Event, float, list[Decision]]] = []
        self.waiting: dict[str, Call] = {}
        self.running: dict[str, DispatchGrant] = {}
        self.known: dict[str, Call] = {}
        self.done: dict[str, int] = {}
        self.asked: set[str] = set()
        self.epochs: set[int] = set()

    def fresh_core(self) -> SchedulerCore:
        """Build a core that knows the policy, built in or not."""
        return SchedulerCore(self.settings, PolicyRegistry((*BUILT_IN, self.kind)))

    # Model

    def tell(self, event: Event) -> None:
        before = {gang: set(gang.members) for gang in self.gangs()}
        decisions = self.core.step(event, self.now)
        self.history.append((event, self.now, decisions))
        for decision in decisions:
            self.account(decision)
        granted = {d.call_id for d in decisions if isinstance(d, DispatchGrant)}
        for gang, members in before.items():
            if not gang.apart and granted & members:
                assert members & self.waiting.keys() == set(), "a gang starts as a whole"

    def account(self, decision: Decision) -> None:
        match decision:
            case DispatchGrant(call_id=name, epoch=epoch):
                if epoch in self.epochs:
                    assert self.running[name].epoch == epoch, "only the same grant may be told again"
                    return
                assert name in self.waiting, "only a waiting call is granted"
                assert name not in self.running, "no call runs twice"
                assert epoch > max(self.epochs, default=0), "epochs grow"
                self.epochs.add(epoch)
                del self.waiting[name]
                self.running[name] = decision
                self.check_budget(decision.replica)
            case Preempt(call_id=name, epoch=epoch):
                assert self.running[name].epoch == epoch
                assert name not in self.asked, "a call is asked to stop once"
                assert self.known[name].preemptible
                self.asked.add(name)
            case Reject(call_id=name):
                del self.waiting[name]
            case Revoke(call_id=name):
                self.end(name)

    def end(self, name: str) -> None:
        del self.running[name]
        self.asked.discard(name)

    def check_budget(self, replica: str) -> None:
        stats = next(r for r in self.core.stats(self.now).replicas if r.replica == replica)
        assert stats.up
        assert stats.running <= stats.slots
        assert stats.tokens_reserved <= 0.95 * TOKENS

    def gangs(self) -> list[Gang]:
        pool = self.pool()
        jobs = [job for queue in pool.queues.values() for job in queue.waiting.values()] if pool else []
        return list({job.gang: None for job in jobs if job.gang is not None})

    def pool(self) -> Pool | None:
        return next((p for p in self.core._pools.values() if p.key.resource == MODEL), None)

    # Rules

    @initialize()
    def backends(self) -> None:
        for number in range(REPLICAS):
            self.tell(BackendUp(f"r{number}", MODEL, SLOTS, TOKENS, kv_snapshot=True))

    @rule(wishes=st.lists(WISHES, min_size=1, max_size=6))
    def submit(self, wishes: list[dict[str, Any]]) -> None:
        for wish in wishes:
            self.count += 1
            agent, shared, left = wish["agent"], wish["shared"], wish["deadline"]
            made = call(
                f"c{self.count}",
                scheduling_class=wish["name"],
                prompt_tokens=wish["prompt"],
                max_new_tokens=wish["new"],
                agent=f"agent{agent}",
                agent_kind=f"kind{agent % 2}",
                tenant=f"tenant{agent % 2}",
                program=f"program{agent}" if agent else "",
                parent_program="program1" if agent == 2 else "",
                gateway=f"gw{agent % 2}",
                priority=wish["priority"],
                arrived_at=self.now,
                max_wait=wish["max_wait"],
                deadline=None if left is None else self.now + left,
                prefixes=(Prefix("shared", min(shared, wish["prompt"])),) if shared else (),
                preemptible=wish["preemptible"],
                policy=wish["own"],
                gang=f"gang{wish['gang']}" if wish["gang"] else "",
                gang_size=wish["gang"],
            )
            self.known[made.id] = self.waiting[made.id] = made
            self.done[made.id] = 0
            self.tell(Submit(made))

    @precondition(lambda self: self.running)
    @rule(tokens=st.integers(1, 40))
    def progress(self, tokens: int) -> None:
        self.now += 0.1
        for name in sorted(self.running):
            more = min(tokens, self.known[name].max_new_tokens - self.done[name])
            self.done[name] += more
            self.tell(Progress(name, more, self.running[name].epoch))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        epoch = self.running[name].epoch
        self.end(name)
        self.tell(Finished(name, Completion.COMPLETED, None, epoch))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), has_kv=st.booleans())
    def give_back(self, data: st.DataObject, has_kv: bool) -> None:  # noqa: FBT001 - by name
        name = data.draw(st.sampled_from(sorted(self.asked)))
        epoch = self.running[name].epoch
        self.end(name)
        self.waiting[name] = self.known[name]
        self.tell(Yielded(name, self.done[name], SnapshotInfo(has_kv), epoch))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose_backend_under(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        epoch = self.running[name].epoch
        self.end(name)
        self.waiting[name] = self.known[name]
        self.tell(Yielded(name, self.done[name], epoch=epoch, backend_failed=True))

    @precondition(lambda self: self.waiting or self.running)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.waiting | self.running)))
        self.tell(Cancelled(name))
        assert name not in self.waiting
        assert name not in self.running

    def rarely(self) -> bool:
        """Keep events that end many calls from ending nearly all of them."""
        return self.count % 7 == 3

    @precondition(rarely)
    @rule(number=st.integers(1, 3))
    def cancel_program(self, number: int) -> None:
        gone = {f"program{number}"} | ({"program2"} if number == 1 else set())
        self.tell(ProgramCancelled(f"program{number}"))
        left = self.waiting | self.running
        assert not [n for n in left if self.known[n].program in gone]

    @precondition(rarely)
    @rule(number=st.integers(0, 1))
    def lose_gateway(self, number: int) -> None:
        gateway = f"gw{number}"
        for name in [n for n in self.running if self.known[n].gateway == gateway]:
            self.end(name)
        for name in [n for n in self.waiting if self.known[n].gateway == gateway]:
            del self.waiting[name]
        self.tell(GatewayLost(gateway))

    @precondition(lambda self: self.waiting or self.running)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.waiting | self.running)))
        self.tell(Submit(self.known[name]))

    @rule(seconds=st.floats(0.0, 6.0))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Tick())

    @precondition(rarely)
    @rule(number=st.integers(0, REPLICAS - 1), up=st.booleans())
    def flap(self, number: int, up: bool) -> None:  # noqa: FBT001 - by name
        if up:
            self.tell(BackendUp(f"r{number}", MODEL, SLOTS, TOKENS, kv_snapshot=True))
        else:
            self.tell(BackendDown(f"r{number}"))

    @rule(number=st.integers(0, REPLICAS - 1), size=st.integers(0, 3))
    def observe(self, number: int, size: int) -> None:
        self.tell(BackendLimits(f"r{number}", queue_size=size))

    @precondition(rarely)
    @rule(name=CLASSES, policy=st.sampled_from([p.name for p in BUILT_IN]))
    def change_policy(self, name: SchedulingClass, policy: str) -> None:
        if name is SchedulingClass.NORMAL:
            policy = self.policy
        self.tell(PolicyChanged(name, policy, PARAMS.get(policy, {})))

    # Invariants

    @invariant()
    def the_core_knows_exactly_the_calls_that_live(self) -> None:
        listed = {e.call_id: e.state for e in self.core.snapshot_queue(self.now)}
        assert {n for n, s in listed.items() if s is CallState.WAITING} == set(self.waiting)
        assert {n for n, s in listed.items() if s is not CallState.WAITING} == set(self.running)
        assert {n for n, s in listed.items() if s is CallState.STOPPING} == self.asked
        stats = self.core.stats(self.now)
        assert (stats.waiting, stats.running) == (len(self.waiting), len(self.running))

    @invariant()
    def every_policy_orders_every_waiting_call_once(self) -> None:
        pool = self.pool()
        for queue in pool.queues.values() if pool else ():
            ordered = list(queue.policy.candidates(self.now))
            lined_up = [j for j in queue.waiting.values() if not j.held]
            assert sorted(map(owner, ordered)) == sorted(map(owner, lined_up))
            assert (ordered[0] if ordered else None) is queue.policy.pick(self.now)
            assert queue.lined_up == len(lined_up)

    @invariant()
    def an_agents_own_order_fills_its_turns_and_nobody_elses(self) -> None:
        pool = self.pool()
        live = self.waiting | self.running
        chosen = {
            (call.agent, call.policy) for name, call in self.known.items() if name in live and call.policy
        }
        for queue in pool.queues.values() if pool else ():
            turns = list(queue.policy.candidates(self.now))
            served = list(queue.ordering.candidates(self.now, reading=True))
            lined_up = [j for j in queue.waiting.values() if not j.held]
            assert sorted(j.seq for j in served) == sorted(j.seq for j in lined_up)
            assert list(map(owner, served)) == list(map(owner, turns))
            assert len(queue.ordering) <= len(chosen)

    @invariant()
    def gangs_hold_no_slots_and_keep_one_call_in_the_queue(self) -> None:
        for gang in self.gangs():
            assert all(job.state is CallState.WAITING for job in gang.members.values())
            assert gang.ready == (gang.leader is not None)
            assert sum(not job.held for job in gang.members.values()) == int(gang.ready)

    @invariant()
    def no_capacity_is_idle_while_a_call_fits(self) -> None:
        pool = self.pool()
        if pool is None:
            return
        if any(r.limit.factor(0.0) < 1.0 for r in pool.replicas.values()):
            # A cut limit recovers with time alone; the core asks for a Tick to act on it.
            self.tell(Tick())
        for replica in pool.replicas.values():
            if replica.reserved_for is not None or not replica.has_slot(self.now):
                continue
            for queue in pool.served(self.now):
                alone = [j for j in queue.waiting.values() if j.gang is None]
                if replica.only_kept(self.now):  # one call of each program is looked at
                    alone = list({j.call.program_key: j for j in reversed(alone)}.values())
                    alone = [j for j in alone if replica.room_for(j, self.now)]
                fitting = [j for j in alone if replica.fits_tokens(j, self.now)]
                assert not fitting, "work conservation"

    @invariant()
    def reserved_tokens_add_up(self) -> None:
        pool = self.pool()
        for replica in pool.replicas.values() if pool else ():
            private = sum(j.private_tokens for j in replica.running.values())
            shared = {s for j in replica.running.values() for s in j.segments}
            assert replica.used_tokens == private + sum(int(s.split(":")[2]) for s in shared)
            assert replica.context_tokens == sum(j.context_tokens for j in replica.running.values())

    @invariant()
    def the_next_wakeup_is_never_in_the_past(self) -> None:
        wakeup = self.core.next_wakeup(self.now)
        assert wakeup is None or self.now <= wakeup < inf

    @invariant()
    def every_waiting_call_is_explained(self) -> None:
        for name in self.waiting:
            told = self.core.explain(name, self.now)
            assert told.state is CallState.WAITING
            assert told.key
            assert len(told.ahead) == min(10, told.position)

    def teardown(self) -> None:
        self.replay()
        self.drain()

    def replay(self) -> None:
        """Check that the same events at the same times give the same decisions."""
        again = self.fresh_core()
        for event, now, decisions in self.history:
            assert again.step(event, now) == decisions

    def drain(self) -> None:
        """Every call that is left is served once capacity comes back: none is lost."""
        for number in range(REPLICAS):
            self.tell(BackendUp(f"r{number}", MODEL, SLOTS, TOKENS, kv_snapshot=True))
        self.now += self.settings.gang_patience
        self.tell(Tick())
        for _ in range(10 * len(self.waiting) + 10 * len(self.running) + 10):
            if not self.running:
                break
            name = min(self.running)
            self.end(name)
            self.tell(Finished(name, Completion.COMPLETED))
        assert not self.waiting
        assert not self.running
        stats = self.core.stats(self.now)
        assert stats.tokens_in_flight == stats.waiting == stats.running == 0
        assert len(self.core._calls) == 0
        assert len(self.core._state.programs) <= 4


def conformance(kind: type[Policy], **settings: int) -> type[Any]:
    """Build the test case of one policy; a policy of your own may be put through it too."""
    body = {"kind": kind, **settings}
    machine = type(f"Machine_{kind.name}", (SchedulerMachine,), body)
    case: type[Any] = machine.TestCase  # type: ignore[attr-defined]
    case.settings = hypothesis_settings(
        max_examples=examples(15),
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    return case


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", discover().as_mapping().values(), ids=lambda kind: kind.name)
def test_every_policy_keeps_the_cores_invariants(kind: type[Policy]) -> None:
    conformance(kind)().runTest()


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", [Fifo, Adaptive], ids=lambda kind: kind.name)
def test_the_invariants_hold_when_room_is_kept_for_parts_of_calls(kind: type[Policy]) -> None:
    conformance(kind, reserve_tokens=20)().runTest()


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", [Fifo, Adaptive], ids=lambda kind: kind.name)
def test_the_invariants_hold_when_a_slot_is_kept_for_newcomers(kind: type[Policy]) -> None:
    conformance(kind, kept_slot_from=2)().runTest()
