"""Gangs: calls of one agent that start together, without half of them holding slots for the rest."""

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.chassis.dispatch.scheduling import QueueOutcome, SchedulingClass
from services.scheduler.core.events import BackendDown, BackendUp, Cancelled, TimelineKind
from services.scheduler.core.explain import Binding
from services.scheduler.core.explanation_text import summary
from services.scheduler.model import Prefix
from tests.fakes.examples import examples
from tests.fakes.scheduling import MODEL, Desk, desk, settings

TOGETHER = {"gang": "g", "gang_size": 3}


def gather(d: Desk, *names: str, at: float | None = None, **fields: object) -> None:
    """Submit calls of the gang `g` of three."""
    for name in names:
        d.submit(name, at, **(TOGETHER | fields))


def test_nobody_starts_before_the_last_one_has_come() -> None:
    d = desk(slots=4)
    gather(d, "a", "b")
    assert d.order == []

    gather(d, "c")

    assert sorted(d.order) == ["a", "b", "c"]


def test_a_gang_starts_over_several_replicas() -> None:
    d = desk(slots=2, replicas=2)
    gather(d, "a", "b", "c")

    assert {grant.replica for grant in d.grants} == {"r0", "r1"}
    assert len(d.grants) == 3


def test_a_gang_that_gathers_holds_nothing_back_from_others() -> None:
    d = desk(slots=1)
    gather(d, "a", "b", gang_size=1, gang="single")
    d.submit("other")
    d.finish("a")
    d.finish("b")

    assert d.order == ["a", "b", "other"]

    two = desk(slots=2)
    gather(two, "half", gang_size=2)
    two.submit("x")
    two.submit("y")
    assert two.order == ["x", "y"]


def test_a_gang_without_room_keeps_a_drained_replica_free_and_then_starts_at_once() -> None:
    d = desk(settings("fifo"), slots=3)
    for name in ("x", "y", "z"):
        d.submit(name)
    gather(d, "a", "b", "c")
    d.submit("later")
    d.finish("x")
    d.finish("y")
    assert d.order == ["x", "y", "z"]

    d.finish("z")

    assert sorted(d.order[3:]) == ["a", "b", "c"]
    assert TimelineKind.RESERVED in d.kinds()
    d.finish("a")
    assert d.order[-1] == "later"


def test_only_calls_that_end_before_the_others_pass_a_gang_that_waits_for_room() -> None:
    d = desk(settings("priority"), slots=3)
    for name in ("x", "y", "z"):
        d.submit(name, max_new_tokens=500, predicted_tokens=500)
    gather(d, "a", "b", "c", priority=-5)
    d.submit("long", max_new_tokens=500, predicted_tokens=500)
    d.submit("short", max_new_tokens=10)
    d.finish("x")
    assert d.order[3:] == ["short"]

    for name in ("short", "y", "z"):
        d.finish(name, at=5.0)

    assert sorted(d.order[4:7]) == ["a", "b", "c"]


def test_a_gang_that_can_never_fit_is_refused_as_a_whole() -> None:
    d = desk(slots=2)
    gather(d, "a")
    assert [(r.call_id, r.outcome) for r in d.rejects] == [("a", QueueOutcome.REJECTED_TOO_LARGE)]

    tokens = desk(slots=3, tokens=400)
    gather(tokens, "a", "b")
    assert tokens.rejects == []
    gather(tokens, "c")
    assert {r.call_id for r in tokens.rejects} == {"a", "b", "c"}
    assert {r.outcome for r in tokens.rejects} == {QueueOutcome.REJECTED_TOO_LARGE}
    assert tokens.order == []


def test_a_gang_fits_where_its_calls_share_their_prompt() -> None:
    d = desk(slots=3, tokens=400)
    gather(d, "a", "b", "c", prefixes=(Prefix("system", 100),))

    assert len(d.order) == 3


def test_a_gang_that_does_not_come_together_in_time_goes_each_its_own_way() -> None:
    d = desk(settings("fifo", gang_patience=5.0), slots=4)
    gather(d, "a", "b")
    assert d.core.next_wakeup(d.now) == 5.0
    d.tick(4.9)
    assert d.order == []

    d.tick(5.0)
    assert d.order == ["a", "b"]
    assert d.kinds().count(TimelineKind.GANG_APART) == 2

    gather(d, "c", at=6.0)
    assert d.order == ["a", "b", "c"], "a late one need not wait again"


def test_one_that_is_cancelled_before_the_others_come_does_not_hang_them() -> None:
    d = desk(slots=4)
    gather(d, "a", "b")
    d.tell(Cancelled("a"))
    gather(d, "c")

    assert sorted(d.order) == ["b", "c"]


def test_the_rest_goes_on_when_the_first_leaves_while_the_gang_waits_for_room() -> None:
    d = desk(settings("fifo"), slots=3)
    for name in ("x", "y", "z"):
        d.submit(name)
    gather(d, "a", "b", "c")
    d.tell(Cancelled("a"))
    d.finish("x")
    assert d.order[3:] == []
    d.finish("y")

    assert sorted(d.order[3:]) == ["b", "c"]


def test_one_that_ends_early_frees_its_slot_at_once() -> None:
    d = desk(slots=3)
    gather(d, "a", "b", "c")
    d.submit("next")
    d.finish("b")

    assert d.order[-1] == "next"


def test_a_member_that_is_stopped_resumes_alone() -> None:
    d = desk(settings("rr", {"quantum": 16}), slots=3, kv_snapshot=True)
    gather(d, "a", "b", "c")
    d.submit("next", agent="critic")
    d.progress("a", 20)
    assert [p.call_id for p in d.preempts] == ["a"]
    d.give_back("a", 20)
    d.finish("b")

    assert d.order[3:] == ["a", "next"]


def test_a_call_names_the_size_that_its_gang_began_with() -> None:
    d = desk(slots=4)
    gather(d, "a")
    gather(d, "b", gang_size=4)

    assert [(r.call_id, r.outcome) for r in d.rejects] == [("b", QueueOutcome.REJECTED_INVALID)]


def test_gangs_of_two_agents_are_different_gangs() -> None:
    d = desk(slots=4)
    gather(d, "a", "b")
    gather(d, "c", agent="critic")

    assert d.order == []


def test_idle_calls_run_while_a_gang_of_another_class_gathers() -> None:
    d = desk(slots=4)
    gather(d, "a")
    d.submit("idle", scheduling_class=SchedulingClass.IDLE)

    assert d.order == ["idle"]


def test_two_gangs_that_need_every_replica_both_start_in_the_end() -> None:
    d = desk(settings("fifo"), slots=2, replicas=2)
    for n in range(4):
        d.submit(f"x{n}")
    for gang in ("g", "h"):
        for n in range(4):
            d.submit(f"{gang}{n}", gang=gang, gang_size=4)
    for _ in range(12):
        d.finish(next(n for n in d.order if d.core.call(n)))

    assert len(d.order) == 12
    assert {name[0] for name in d.order[4:8]} == {"g"}


def test_a_gang_survives_the_loss_of_a_replica_it_was_waiting_for() -> None:
    d = desk(settings("fifo"), slots=2, replicas=2)
    for n in range(4):
        d.submit(f"x{n}")
    gather(d, "a", "b", "c")
    d.tell(BackendDown("r1"))
    d.submit("other", agent="critic", scheduling_class=SchedulingClass.INTERACTIVE)
    d.finish(next(g.call_id for g in d.grants if g.replica == "r0"))
    assert d.order[4:] == ["other"], "what cannot start keeps nothing free"

    d.tell(BackendUp("r1", MODEL, 2, 100_000))
    for name in (*[f"x{n}" for n in range(4)], "other"):
        d.finish(name)
    assert sorted(d.order[5:]) == ["a", "b", "c"]


def test_the_wait_of_a_gang_is_explained() -> None:
    d = desk(slots=4)
    gather(d, "a", "b")
    found = d.core.explain("b", 1.0)

    assert found.binding is Binding.GANG
    assert found.key == {"gang": "g", "gang_arrived": 2, "gang_size": 3}
    assert "gang" in summary(found)
    assert [entry.call_id for entry in d.core.snapshot_queue(1.0)] == ["a", "b"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["single", "gang", "finish", "cancel", "time"]),
        st.integers(0, 5),
        st.integers(10, 400),
    ),
    max_size=60,
)


@hypothesis_settings(max_examples=examples(60), deadline=None)
@given(steps=STEPS, policy=st.sampled_from(["fifo", "sjf", "adaptive", "stride"]))
def test_gangs_start_as_a_whole_and_every_call_ends(steps: list[tuple[str, int, int]], policy: str) -> None:
    d = desk(settings(policy), slots=3, tokens=1500, replicas=2)
    gang_of: dict[str, str] = {}
    alone: set[str] = set()
    for number, (kind, pick, tokens) in enumerate(steps):
        before = len(d.grants)
        live = [name for name in gang_of if d.core.call(name)]
        running = [name for name in d.order if d.core.call(name)]
        if kind == "single":
            gang_of[f"s{number}"] = ""
            d.submit(f"s{number}", prompt_tokens=tokens)
        elif kind == "gang":
            size = 1 + pick % 4
            for n in range(size):
                gang_of[f"g{number}-{n}"] = f"g{number}"
                d.submit(f"g{number}-{n}", prompt_tokens=tokens, gang=f"g{number}", gang_size=size)
        elif kind == "finish" and running:
            d.finish(running[pick % len(running)])
        elif kind == "cancel" and live:
            d.tell(Cancelled(live[pick % len(live)]))
        else:
            d.tick(d.now + pick)
        started = {g.call_id for g in d.grants[before:]}
        for gang in {gang_of[name] for name in started} - {""}:
            waiting = {name for name in gang_of if gang_of[name] == gang and d.core.call(name)}
            assert waiting <= set(d.order) | alone, "all of a gang, or none"
    for _ in range(4 * len(gang_of) + 4):
        running = [name for name in d.order if d.core.call(name)]
        if not running:
            break
        d.finish(running[0])

    assert not [name for name in gang_of if d.core.call(name)], "no call is lost"
    assert len(d.order) == len(set(d.order)), "no call runs twice"


def test_a_gang_that_is_too_large_is_told_how_many_can_start_together() -> None:
    slots = desk(slots=2)
    gather(slots, "a")
    (refused,) = slots.rejects
    assert "3 calls are to start together" in refused.detail
    assert "at most 2 at once" in refused.detail
    assert (refused.facts["gang_size"], refused.facts["slots"]) == ("3", "2")

    tokens = desk(slots=3, tokens=400)
    gather(tokens, "a", "b", "c")
    assert "no room for their tokens" in tokens.rejects[0].detail
