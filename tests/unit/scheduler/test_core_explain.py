"""What the core tells about a waiting call and about itself."""

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.events import BackendDown, Submit
from services.scheduler.core.explain import Binding
from services.scheduler.core.explanation_text import summary
from services.scheduler.model import CallState
from tests.fakes.scheduling import call, desk, settings


def test_position_and_those_ahead_come_with_the_policys_key() -> None:
    d = desk(settings("priority", {"ageing": 10.0}))
    d.submit("running")
    d.submit("low", priority=3)
    d.submit("high", priority=-3, tenant="other", agent="critic")

    told = d.core.explain("low", 5.0)

    assert told.position == 1
    assert told.policy == "priority"
    assert [(a.call_id, a.agent, a.tenant) for a in told.ahead] == [("high", "critic", "other")]
    assert told.key == {"effective_priority": 2.5, "priority": 3, "age_seconds": 5.0}
    assert told.ahead[0].key["effective_priority"] == -3.5
    assert told.wait_seconds == 5.0


def test_only_the_first_few_ahead_are_named() -> None:
    d = desk()
    for n in range(30):
        d.submit(f"c{n}")

    told = d.core.explain("c29", 0.0)

    assert told.position == 28
    assert len(told.ahead) == 10


def test_the_limit_that_binds_is_named() -> None:
    d = desk(slots=1)
    d.submit("a")
    d.submit("b")
    assert d.core.explain("b", 0.0).binding is Binding.SLOTS

    d.tell(BackendDown("r0"))
    assert d.core.explain("b", 0.0).binding is Binding.NO_BACKEND


def test_tokens_and_order_and_reservations_are_told_apart() -> None:
    d = desk(slots=10, tokens=1000)
    d.submit("a", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    d.submit("small", prompt_tokens=10, max_new_tokens=10)

    big, small = d.core.explain("big", 0.0), d.core.explain("small", 0.0)

    assert (big.binding, big.replica) == (Binding.TOKENS, "r0")
    assert small.binding is Binding.ORDER


def test_a_call_held_up_by_a_reservation_says_so() -> None:
    d = desk(slots=10, tokens=1000)
    d.submit("a", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    d.submit("small", prompt_tokens=10, max_new_tokens=10, scheduling_class=SchedulingClass.BATCH)

    assert d.core.explain("small", 0.0).binding is Binding.RESERVATION


def test_a_class_over_its_share_says_so() -> None:
    d = desk(settings("fifo"), slots=10, tokens=1000)
    d.submit("a", prompt_tokens=300, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    d.submit("idle", scheduling_class=SchedulingClass.IDLE)

    assert d.core.explain("idle", 0.0).binding is Binding.CLASS_SHARE


def test_a_running_call_is_told_as_running() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", at=0.0)
    d.finish("a", at=4.0)

    told = d.core.explain("b", 9.0)

    assert told.state is CallState.RUNNING
    assert told.binding is Binding.NOTHING
    assert told.replica == "r0"
    assert told.wait_seconds == 4.0
    assert told.predicted_start_seconds == 0.0


def test_the_start_is_predicted_from_recent_dispatches_with_its_error() -> None:
    d = desk()
    d.submit("c0")
    for n in range(1, 60):
        d.submit(f"c{n}")
    assert d.core.explain("c59", 0.0).predicted_start_seconds is None
    for n in range(30):
        d.finish(f"c{n}", at=float(n + 1))
    d.submit("last")

    told = d.core.explain("last", 30.0)

    assert told.predicted_start_seconds is not None
    assert abs(told.predicted_start_seconds - 30.0) < 1.0
    assert told.predictions == 0
    for n in range(30, 60):
        d.finish(f"c{n}", at=float(n + 1))
    assert d.core.explain("last", 60.0).predictions == 1
    assert d.core.explain("last", 60.0).prediction_error_seconds < 1.0


def test_a_call_that_will_expire_says_when() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", max_wait=50.0)

    assert d.core.explain("b", 10.0).expires_in_seconds == 40.0


def test_a_call_with_a_due_time_says_how_late_it_is_and_goes_on_waiting() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", due=5.0)

    assert d.core.explain("b", 3.0).due_in_seconds == 2.0
    d.tick(8.0)
    late = d.core.explain("b", 8.0)
    assert late.due_in_seconds == -3.0
    assert "It was due 3.0 s ago." in summary(late)
    assert "It is due in 2.0 s." in summary(d.core.explain("b", 3.0))
    assert d.rejects == []


def test_reading_changes_no_decision() -> None:
    asked, plain = desk(settings("edf")), desk(settings("edf"))
    for d in (asked, plain):
        for n in range(20):
            d.submit(f"c{n}", due=float(20 - n) + 3)
    for n in range(20):
        for name in ("c3", "c19"):
            if asked.core.call(name):
                asked.core.explain(name, asked.now)
        asked.core.stats(asked.now)
        asked.core.snapshot_queue(asked.now)
        left = asked.finish(asked.order[-1], at=float(n) / 2)
        right = plain.finish(plain.order[-1], at=float(n) / 2)

        assert left == right


def test_the_known_call_can_be_looked_up() -> None:
    d = desk()
    made = call("a")
    d.tell(Submit(made))

    assert d.core.call("a") is made
    assert d.core.call("b") is None
