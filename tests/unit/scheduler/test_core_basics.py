"""The core's floor: grants, budgets, ends, cancellation, gateways, bounds."""

import pytest

from services.chassis.dispatch.scheduling import Completion, QueueOutcome, SchedulingClass
from services.chassis.quotas import Cap
from services.scheduler.core.events import (
    BackendDown,
    BackendLimits,
    BackendUp,
    Cancelled,
    Finished,
    GatewayLost,
    PolicyChanged,
    Progress,
    Submit,
    Yielded,
)
from services.scheduler.core.settings import CoreSettings
from services.scheduler.errors import PolicyParamsInvalid, PolicyUnknown, SettingsInvalid
from services.scheduler.model import CallState, Prefix, ResourceKind, SnapshotInfo
from tests.fakes.scheduling import MODEL, call, desk, settings, with_class


def test_an_idle_replica_runs_a_call_at_once() -> None:
    d = desk()

    d.submit("a", at=5.0)

    assert d.order == ["a"]
    assert d.grants[0].replica == "r0"
    assert d.grants[0].wait_seconds == 0.0


def test_a_freed_slot_goes_to_the_next_call_in_the_same_step() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", at=1.0)

    d.finish("a", at=4.0)

    assert d.order == ["a", "b"]
    assert d.grants[1].wait_seconds == 3.0


def test_a_short_call_is_not_held_back_by_a_long_one_beside_it() -> None:
    """No batch barrier: each slot is refilled on its own."""
    d = desk(slots=2)
    d.submit("long")
    d.submit("short")
    d.submit("next", at=0.05)

    d.finish("short", at=0.1)

    assert d.order == ["long", "short", "next"]


def test_all_slots_of_all_replicas_are_used() -> None:
    d = desk(slots=2, replicas=3)

    for n in range(7):
        d.submit(f"c{n}")

    assert len(d.grants) == 6
    assert {g.replica for g in d.grants} == {"r0", "r1", "r2"}
    assert d.core.stats(0.0).waiting == 1


def test_tokens_bind_before_slots_do() -> None:
    d = desk(slots=10, tokens=1000)

    for n in range(3):
        d.submit(f"c{n}", prompt_tokens=300, max_new_tokens=100)

    assert d.order == ["c0", "c1"]
    assert d.core.stats(0.0).tokens_in_flight == 800


def test_a_shared_prefix_is_paid_once() -> None:
    d = desk(slots=10, tokens=1000)
    shared = (Prefix("system", 280),)

    for n in range(5):
        d.submit(f"c{n}", prompt_tokens=300, max_new_tokens=100, prefixes=shared)

    assert d.order == ["c0", "c1", "c2", "c3", "c4"]
    assert d.core.stats(0.0).tokens_in_flight == 280 + 5 * 120

    d.finish("c0")

    assert d.core.stats(0.0).tokens_in_flight == 280 + 4 * 120


def test_under_fifo_nobody_passes_a_head_that_does_not_fit() -> None:
    d = desk(slots=100, tokens=1000)
    d.submit("first", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    d.submit("small", prompt_tokens=10, max_new_tokens=10)

    assert d.order == ["first"]


def test_a_head_that_does_not_fit_holds_one_replica_and_leaves_the_others_open() -> None:
    d = desk(slots=100, tokens=1000, replicas=2)
    d.submit("a", prompt_tokens=500, max_new_tokens=100)
    d.submit("b", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    d.submit("small", prompt_tokens=10, max_new_tokens=10)

    held = d.core.explain("big", 0.0).replica

    assert d.order == ["a", "b", "small"]
    assert held in {"r0", "r1"}
    assert d.grants[2].replica != held


def test_a_call_that_fits_nowhere_is_refused_with_a_reason() -> None:
    d = desk(tokens=1000)

    d.submit("huge", prompt_tokens=2000)

    assert d.rejects[0].outcome is QueueOutcome.REJECTED_TOO_LARGE
    assert d.rejects[0].retry_after == 0.0


def test_a_call_too_large_for_a_replica_that_shrinks_is_refused() -> None:
    d = desk(tokens=1000)
    d.submit("a", prompt_tokens=100)
    d.submit("b", prompt_tokens=800)

    d.tell(BackendLimits("r0", max_batch_total_tokens=500))

    assert [(r.call_id, r.outcome) for r in d.rejects] == [("b", QueueOutcome.REJECTED_TOO_LARGE)]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_tokens": -1},
        {"tokens_done": -1},
        {"weight": 0.0},
        {"tenant_weight": float("nan")},
        {"arrived_at": float("inf")},
        {"priority": 5000},
    ],
)
def test_a_call_with_impossible_numbers_is_refused(fields: dict[str, float]) -> None:
    d = desk()

    d.submit("bad", **fields)

    assert [r.outcome for r in d.rejects] == [QueueOutcome.REJECTED_INVALID]
    assert d.core.stats(0.0).waiting == 0


@pytest.mark.parametrize("running_on", ["r0", None])
@pytest.mark.parametrize("resubmission", [True, False])
def test_a_call_whose_backend_brought_more_than_it_was_asked_for_goes_on(
    running_on: str | None, *, resubmission: bool
) -> None:
    d = desk()
    told = call("a", max_new_tokens=50, tokens_done=60)

    d.tell(Submit(told, running_on=running_on, epoch=7 if running_on else 0, resubmission=resubmission))

    assert d.rejects == []
    assert [(entry.state, entry.tokens_done) for entry in d.core.snapshot_queue(0.0)] == [
        (CallState.RUNNING, 50)
    ]


def test_the_queue_is_bounded_and_says_when_to_come_back() -> None:
    d = desk(settings(max_waiting=2))
    for n in range(4):
        d.submit(f"c{n}", agent=f"agent{n}")

    assert [(r.call_id, r.outcome, r.detail) for r in d.rejects] == [
        ("c3", QueueOutcome.REJECTED_FULL, "queue")
    ]
    assert d.rejects[0].retry_after > 0


def test_one_agent_cannot_fill_the_queue() -> None:
    d = desk(settings(waiting=Cap(2, 50, 50)))
    for n in range(4):
        d.submit(f"c{n}", agent="flooder")
    d.submit("other", agent="quiet")

    assert [(r.call_id, r.detail) for r in d.rejects] == [("c3", "agent")]
    assert d.core.stats(0.0).waiting == 3


def test_neither_a_tree_of_agents_nor_a_tenant_fills_the_queue() -> None:
    d = desk(settings(waiting=Cap(2, 3, 4)))
    d.submit("runs", tenant="acme", agent="other")
    for n in range(4):
        d.submit(f"c{n}", tenant="acme", agent=f"child{n}", agent_path=("root", f"child{n}"))
    for n in range(2):
        d.submit(f"d{n}", tenant="acme", agent=f"free{n}")
    d.submit("e", tenant="globex", agent="root")

    assert [(r.call_id, r.detail) for r in d.rejects] == [("c3", "tree"), ("d1", "tenant")]
    d.tell(Cancelled("c0"))
    d.submit("c4", tenant="acme", agent="child4", agent_path=("root", "child4"))
    full = [r.call_id for r in d.rejects if r.outcome is QueueOutcome.REJECTED_FULL]
    assert full == ["c3", "d1"], "who leaves makes room"


def test_a_resubmission_is_never_refused_for_lack_of_room() -> None:
    d = desk(settings(max_waiting=1))
    d.submit("a")
    d.submit("b")

    d.tell(Submit(call("c"), resubmission=True))

    assert not d.rejects
    assert d.core.stats(0.0).waiting == 2


def test_submitting_a_known_call_again_changes_nothing() -> None:
    d = desk()
    d.submit("a")
    d.submit("b")

    d.submit("b")

    assert d.core.stats(0.0).waiting == 1
    d.finish("a")
    d.finish("b")
    assert d.order == ["a", "b"]


def test_a_grant_that_was_missed_is_told_again_under_its_epoch() -> None:
    d = desk()
    d.submit("a")

    d.submit("a")

    assert d.order == ["a", "a"]
    assert d.grants[0].epoch == d.grants[1].epoch
    assert d.core.stats(0.0).running == 1


def test_a_call_moves_to_the_gateway_that_submits_it_again() -> None:
    d = desk()
    d.submit("a")
    d.submit("b")

    d.tell(Submit(call("b", gateway="gw2")))
    d.tell(GatewayLost("gw"))

    assert d.order == ["a", "b"]
    assert d.grants[1].gateway == "gw2"


def test_a_running_call_takes_its_slot_back_after_a_restart() -> None:
    d = desk(settings(first_epoch=1))

    d.tell(Submit(call("a", tokens_done=20), running_on="r0", epoch=77, resubmission=True))
    d.submit("b")

    assert d.order == []
    assert d.core.stats(0.0).running == 1

    d.tell(Finished("a", Completion.COMPLETED, epoch=77))

    assert d.order == ["b"]
    assert d.grants[0].epoch > 77


def test_a_running_call_may_come_back_before_its_replica_does() -> None:
    d = desk(replicas=0)
    d.tell(Submit(call("a"), running_on="r9", epoch=3, resubmission=True))
    d.submit("b")

    d.tell(BackendUp("r9", MODEL, 1, 1000))

    assert d.order == []
    d.finish("a")
    assert d.order == ["b"]


def test_reports_of_an_older_grant_are_ignored() -> None:
    d = desk()
    d.submit("a")
    old = d.grants[0].epoch
    d.give_back("a", 10)

    d.tell(Finished("a", Completion.COMPLETED, epoch=old))

    assert d.core.stats(0.0).running == 1
    assert d.grants[1].epoch > old


def test_reports_about_unknown_calls_are_ignored() -> None:
    d = desk()

    assert d.progress("ghost", 3) == []
    assert d.finish("ghost") == []
    assert d.give_back("ghost", 3) == []
    assert d.tell(Cancelled("ghost")) == []
    assert d.tell(BackendDown("ghost")) == []
    assert d.tell(BackendLimits("ghost", slots=3)) == []


def test_tools_wait_by_slots_alone() -> None:
    d = desk(replicas=0)
    d.tell(BackendUp("browser", "browser", 1, None, ResourceKind.TOOL))
    d.submit("a", resource="browser", lane=ResourceKind.TOOL, prompt_tokens=0, max_new_tokens=0)
    d.submit("b", resource="browser", lane=ResourceKind.TOOL, prompt_tokens=0, max_new_tokens=0)

    assert d.order == ["a"]
    d.finish("a")
    assert d.order == ["a", "b"]


def test_a_policy_change_keeps_every_call() -> None:
    d = desk()
    for n, priority in enumerate([0, 3, 2, 1]):
        d.submit(f"c{n}", priority=priority)

    d.tell(PolicyChanged(SchedulingClass.NORMAL, "priority", {"ageing": "inf"}))
    for _ in range(4):
        d.finish(d.order[-1])

    assert d.order == ["c0", "c3", "c2", "c1"]
    assert d.core.policy_of(SchedulingClass.NORMAL).name == "priority"


def test_a_policy_that_cannot_be_leaves_everything_as_it_was() -> None:
    d = desk()
    d.submit("a")
    d.submit("b")

    with pytest.raises(PolicyUnknown):
        d.tell(PolicyChanged(SchedulingClass.NORMAL, "magic"))
    with pytest.raises(PolicyParamsInvalid) as caught:
        d.tell(PolicyChanged(SchedulingClass.NORMAL, "rr", {"quantum": 0, "speed": 3}))

    assert len(caught.value.problems) == 2
    d.finish("a")
    assert d.order == ["a", "b"]


def test_contradicting_settings_are_all_reported() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        desk(with_class(settings(max_waiting=0), SchedulingClass.BATCH, weight=0.0))

    assert len(caught.value.problems) == 2


def test_default_settings_are_sound() -> None:
    CoreSettings().check()


def test_the_queue_listing_shows_running_then_waiting_calls_in_order() -> None:
    d = desk(settings("priority", {"ageing": "inf"}))
    d.submit("a", priority=5)
    d.submit("b", priority=5)
    d.submit("c", priority=1)

    listed = d.core.snapshot_queue(2.0)

    assert [(e.call_id, e.state, e.position) for e in listed] == [
        ("a", CallState.RUNNING, -1),
        ("c", CallState.WAITING, 0),
        ("b", CallState.WAITING, 1),
    ]
    assert listed[0].run_seconds == 2.0
    assert listed[1].wait_seconds == 2.0


def test_a_yield_that_nobody_asked_for_puts_the_call_back() -> None:
    d = desk(slots=1)
    d.submit("a")
    d.submit("b")

    d.tell(Yielded("a", 7, SnapshotInfo(has_kv=True)))

    listed = {e.call_id: e for e in d.core.snapshot_queue(0.0)}
    assert listed["a"].tokens_done in {0, 7}
    assert len(d.grants) == 2


def test_progress_of_a_running_call_is_counted() -> None:
    d = desk()
    d.submit("a")

    d.tell(Progress("a", 5, cached_tokens=0), at=1.0)
    d.tell(Progress("a", 5), at=2.0)

    assert d.core.snapshot_queue(2.0)[0].tokens_done == 10
