"""Locks: who may run when calls of several tools need the same things."""

from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.chassis.dispatch.scheduling import Completion, QueueOutcome, SchedulingClass
from services.scheduler.core.events import (
    BackendDown,
    BackendUp,
    Cancelled,
    Decision,
    DispatchGrant,
    Event,
    Finished,
    GatewayLost,
    Reject,
    Revoke,
    Submit,
    Tick,
)
from services.scheduler.core.explain import Binding, LockHolder
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.model import Call, Lock, ResourceKind
from tests.fakes.examples import examples
from tests.fakes.scheduling import Desk, call, settings

SLOTS = 2
PLENTY = 1_000


def desk(**tools: int) -> Desk:
    """Build a core where each named tool has so many slots; the policy is the tools' own."""
    made = Desk(SchedulerCore(settings()))
    for tool, slots in tools.items():
        made.tell(BackendUp(tool, tool, slots, lane=ResourceKind.TOOL))
    return made


def ask(d: Desk, name: str, tool: str, *locks: str, **fields: Any) -> None:
    """Submit a tool call that needs locks."""
    needs: dict[str, Any] = {
        "lane": ResourceKind.TOOL,
        "resource": tool,
        "locks": tuple(Lock(lock) for lock in locks),
    }
    d.submit(name, **(needs | {"prompt_tokens": 0, "max_new_tokens": 0} | fields))


def order(d: Desk) -> list[str]:
    """Return the granted calls in order."""
    return [grant.call_id for grant in d.grants]


def test_two_calls_of_one_tool_that_need_the_same_lock_run_one_after_the_other() -> None:
    d = desk(write=2)
    ask(d, "first", "write", "file a")
    ask(d, "second", "write", "file a")
    assert order(d) == ["first"]

    d.finish("first")

    assert order(d) == ["first", "second"]


def test_a_call_that_waits_for_a_lock_blocks_no_other_call_of_its_tool() -> None:
    d = desk(write=2)
    for name in ("holder", "waits"):
        ask(d, name, "write", "file a")
    for number in range(30):
        ask(d, f"waits {number}", "write", "file a")
    ask(d, "other", "write", "file b")

    assert order(d) == ["holder", "other"]


def test_a_lock_given_back_in_one_pool_wakes_who_waits_for_it_in_another() -> None:
    d = desk(write=1, erase=1)
    ask(d, "writes", "write", "file a")
    ask(d, "erases", "erase", "file a")

    d.finish("writes")

    assert order(d) == ["writes", "erases"]


def test_who_waits_for_a_lock_is_woken_by_urgency_whichever_tool_it_waits_for() -> None:
    d = desk(write=1, erase=1, read=1)
    ask(d, "holder", "read", "file a")
    ask(d, "batch", "write", "file a", scheduling_class=SchedulingClass.BATCH)
    ask(d, "interactive", "erase", "file a", scheduling_class=SchedulingClass.INTERACTIVE)

    d.finish("holder")

    assert order(d) == ["holder", "interactive"]


def test_all_locks_are_taken_at_once_or_none() -> None:
    d = desk(move=2, write=2)
    ask(d, "b", "write", "b")
    ask(d, "a and b", "move", "a", "b")
    ask(d, "a", "write", "a")
    assert order(d) == ["b", "a"]

    d.finish("a")
    assert order(d) == ["b", "a"]
    d.finish("b")

    assert order(d) == ["b", "a", "a and b"]


def test_a_call_that_needs_two_locks_is_passed_a_bounded_number_of_times() -> None:
    """Each lock alone is always in use by somebody; together they would never be free by chance."""
    d = Desk(SchedulerCore(settings(max_bypass=4)))
    for tool in ("move", "write"):
        d.tell(BackendUp(tool, tool, 4, lane=ResourceKind.TOOL))
    ask(d, "a0", "write", "a")
    ask(d, "b0", "write", "b")
    ask(d, "both", "move", "a", "b")
    for number in range(20):
        ask(d, f"a{number + 1}", "write", "a")
        ask(d, f"b{number + 1}", "write", "b")
        d.finish(f"a{number}")
        d.finish(f"b{number}")
        if "both" in order(d):
            break

    assert order(d).index("both") <= 2 + 4


def test_calls_that_want_the_same_two_locks_in_any_order_never_block_one_another_for_ever() -> None:
    d = desk(left=3, right=3)
    for number in range(10):
        ask(d, f"l{number}", "left", "a", "b")
        ask(d, f"r{number}", "right", "b", "a")
    for _ in range(20):
        d.finish(order(d)[-1])

    assert len(order(d)) == 20


def test_a_lock_may_have_room_for_several_and_the_strictest_limit_counts() -> None:
    d = desk(scan=9)
    for name, limit in (("first", 2), ("second", 3), ("third", 3)):
        ask(d, name, "scan", locks=(Lock("disk", limit),))
    assert order(d) == ["first", "second"]

    d.finish("first")

    assert order(d) == ["first", "second", "third"]


def test_a_running_call_that_comes_back_after_a_restart_has_its_locks_again() -> None:
    d = desk(write=2)
    held = call("held", lane=ResourceKind.TOOL, resource="write", locks=(Lock("file a"),), max_new_tokens=0)
    d.tell(Submit(held, running_on="write", epoch=7, resubmission=True))
    ask(d, "next", "write", "file a")
    assert order(d) == []

    d.finish("held")

    assert order(d) == ["next"]


def test_a_lost_gateway_gives_the_locks_of_its_calls_back() -> None:
    d = desk(write=2)
    ask(d, "held", "write", "file a")
    ask(d, "next", "write", "file a", gateway="another")

    d.tell(GatewayLost("gw"))

    assert order(d) == ["held", "next"]


def test_a_call_that_gives_up_gives_its_reservation_up() -> None:
    d = Desk(SchedulerCore(settings(max_bypass=0)))
    for tool in ("move", "write"):
        d.tell(BackendUp(tool, tool, 4, lane=ResourceKind.TOOL))
    ask(d, "holder", "write", "a")
    ask(d, "both", "move", "a", "b")
    ask(d, "b", "write", "b")
    assert order(d) == ["holder"]

    d.tell(Cancelled("both"))

    assert order(d) == ["holder", "b"]
    assert [each.outcome for each in d.rejects] == [QueueOutcome.EVICTED_CANCELLED]


def test_a_tool_that_nobody_serves_keeps_no_locks_from_others() -> None:
    d = Desk(SchedulerCore(settings(max_bypass=0)))
    for tool in ("move", "write"):
        d.tell(BackendUp(tool, tool, 4, lane=ResourceKind.TOOL))
    ask(d, "holder", "write", "a")
    ask(d, "both", "move", "a", "b")
    ask(d, "b", "write", "b")

    d.tell(BackendDown("move"))

    assert order(d) == ["holder", "b"]


def test_a_waiting_call_tells_which_lock_it_lacks_and_whose_it_is() -> None:
    d = desk(write=9)
    ask(d, "held", "write", "file a", agent="acme/planner")
    ask(d, "mine", "write", "file a", agent="acme/planner")
    ask(d, "other", "write", "file a", agent="acme/critic")
    mine, other = d.core.explain("mine", 0.0), d.core.explain("other", 0.0)

    assert (mine.binding, other.binding) == (Binding.LOCK, Binding.LOCK)
    assert mine.lock is not None
    assert other.lock is not None
    assert (mine.lock.name, mine.lock.holder) == ("file a", LockHolder.OWN)
    assert (other.lock.name, other.lock.holder) == ("file a", LockHolder.OTHER)


def test_a_call_for_which_no_lock_is_in_use_is_told_that_it_is_kept_for_another() -> None:
    d = Desk(SchedulerCore(settings(max_bypass=0)))
    for tool in ("move", "write"):
        d.tell(BackendUp(tool, tool, 4, lane=ResourceKind.TOOL))
    ask(d, "holder", "write", "a")
    ask(d, "both", "move", "a", "b")
    ask(d, "b", "write", "b")
    found = d.core.explain("b", 0.0)

    assert found.lock is not None
    assert found.lock.holder is LockHolder.KEPT


TOO_MANY = tuple(Lock(str(number)) for number in range(33))


@pytest.mark.parametrize("locks", [(Lock("a"), Lock("a")), (Lock("a", 0),), TOO_MANY])
def test_senseless_locks_are_refused(locks: tuple[Lock, ...]) -> None:
    d = desk(write=1)
    ask(d, "bad", "write", locks=locks)

    assert [each.outcome for each in d.rejects] == [QueueOutcome.REJECTED_INVALID]


def test_the_pool_of_a_tool_goes_when_the_tool_goes_and_nothing_runs_there() -> None:
    d = desk(write=1)
    ask(d, "held", "write")
    d.tell(BackendDown("write"))
    kept = bool(d.core.stats(0.0).replicas)

    d.finish("held")

    assert kept
    assert d.core.stats(0.0).replicas == ()
    assert d.core.stats(0.0).classes == ()


def test_calls_of_tools_teach_nothing_about_the_lengths_of_generations() -> None:
    d = desk(write=1)
    for number in range(5):
        ask(d, f"c{number}", "write", agent_kind="coder")
        d.finish(f"c{number}")

    assert d.core._state.history._means == {}


LOCKS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)
TOOLS = ("write", "move", "read")
WISHES = st.fixed_dictionaries(
    {
        "resource": st.sampled_from(TOOLS),
        "agent": st.sampled_from(["planner", "critic"]),
        "scheduling_class": st.sampled_from(
            [SchedulingClass.NORMAL, SchedulingClass.NORMAL, *SchedulingClass]
        ),
        "max_wait": st.sampled_from([None, None, 3.0]),
    }
)


class LockMachine(RuleBasedStateMachine):
    """Random tool calls with random locks, and a plain model of who may run."""

    def __init__(self) -> None:
        super().__init__()
        self.core = SchedulerCore(settings(max_bypass=2, lookahead=4))
        self.now = 0.0
        self.count = 0
        self.waiting: dict[str, Call] = {}
        self.running: dict[str, Call] = {}

    def tell(self, event: Event) -> None:
        for decision in self.core.step(event, self.now):
            self.account(decision)

    def account(self, decision: Decision) -> None:
        match decision:
            case DispatchGrant(call_id=name):
                granted = self.waiting.pop(name)
                self.check_grant(granted)
                self.running[name] = granted
            case Reject(call_id=name):
                del self.waiting[name]
            case Revoke(call_id=name):
                del self.running[name]

    def check_grant(self, granted: Call) -> None:
        running = [each for each in self.running.values() if each.resource == granted.resource]
        assert len(running) < SLOTS, "never more calls of a tool than it has slots"
        assert self.has_locks(granted), "never more holders of a lock than its limit"

    def has_locks(self, wanted: Call) -> bool:
        for lock in wanted.locks:
            taken = [each for running in self.running.values() for each in running.locks]
            held = [each for each in taken if each.name == lock.name]
            if held and len(held) >= min(lock.limit, *(each.limit for each in held)):
                return False
        return True

    @initialize()
    def tools(self) -> None:
        for tool in TOOLS:
            self.tell(BackendUp(tool, tool, SLOTS, lane=ResourceKind.TOOL))

    @rule(wish=WISHES, names=LOCKS, limit=st.sampled_from([1, 1, 1, 2]))
    def submit(self, wish: dict[str, Any], names: list[str], limit: int) -> None:
        self.count += 1
        locks = tuple(Lock(name, limit) for name in names)
        sizes = {"prompt_tokens": 0, "max_new_tokens": 0}
        fields = wish | sizes | {"lane": ResourceKind.TOOL, "locks": locks, "arrived_at": self.now}
        new = call(f"c{self.count}", **fields)
        self.waiting[new.id] = new
        self.tell(Submit(new))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[name]
        self.tell(Finished(name, Completion.COMPLETED))

    @precondition(lambda self: self.waiting or self.running)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.tell(Cancelled(data.draw(st.sampled_from(sorted([*self.waiting, *self.running])))))

    @rule(seconds=st.sampled_from([0.5, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Tick())

    @rule()
    def restart(self) -> None:
        """Start another scheduler, which is told what runs, then what waits."""
        self.core = SchedulerCore(settings(max_bypass=2, lookahead=4, first_epoch=1_000_000))
        for tool in TOOLS:
            self.tell(BackendUp(tool, tool, SLOTS, lane=ResourceKind.TOOL))
        for held in list(self.running.values()):
            self.tell(Submit(held, running_on=held.resource, epoch=1, resubmission=True))
        for waits in list(self.waiting.values()):
            self.tell(Submit(waits, resubmission=True))

    @invariant()
    def who_can_run_runs_unless_something_is_kept(self) -> None:
        kept = set(self.core._state.locks._reserved)
        for name, waits in self.waiting.items():
            if self.core.explain(name, self.now).binding is Binding.CLASS_SHARE:
                continue
            full = sum(each.resource == waits.resource for each in self.running.values()) >= SLOTS
            assert full or not self.has_locks(waits) or kept & {lock.name for lock in waits.locks}

    @invariant()
    def every_call_is_known_until_it_leaves(self) -> None:
        known = {entry.call_id for entry in self.core.snapshot_queue(self.now)}
        assert known == set(self.waiting) | set(self.running)

    def teardown(self) -> None:
        """Whatever happened, all that waits runs once what runs ends: nothing blocks for ever."""
        for _ in range(PLENTY):
            if not self.running:
                break
            name = min(self.running)
            del self.running[name]
            self.tell(Finished(name, Completion.COMPLETED))
        assert not self.waiting
        locks = self.core._state.locks
        assert not locks._holders
        assert not locks._waiting
        assert not locks._reserved


TestLocks = LockMachine.TestCase
TestLocks.settings = hypothesis_settings(
    max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
