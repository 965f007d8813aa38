"""How calls end or go on: cancellation, eviction, gateways that are lost, backends that are away."""

import pytest

from services.chassis.dispatch.scheduling import QueueOutcome
from services.scheduler.core.events import (
    AgentCancelled,
    BackendDown,
    BackendUp,
    Cancelled,
    GatewayLost,
    ProgramCancelled,
    Submit,
    TimelineKind,
    Yielded,
)
from services.scheduler.errors import CallUnknown
from tests.fakes.scheduling import MODEL, call, desk, settings


def test_cancelling_a_waiting_call_frees_its_place() -> None:
    d = desk()
    d.submit("a")
    d.submit("b")

    d.tell(Cancelled("b"))

    assert [(r.call_id, r.outcome) for r in d.rejects] == [("b", QueueOutcome.EVICTED_CANCELLED)]
    with pytest.raises(CallUnknown):
        d.core.explain("b", 0.0)


def test_cancelling_a_running_call_revokes_it_and_frees_its_slot() -> None:
    d = desk()
    d.submit("a")
    d.submit("b")

    d.tell(Cancelled("a"))

    assert [(r.call_id, r.replica) for r in d.revokes] == [("a", "r0")]
    assert d.order == ["a", "b"]


def test_cancelling_a_call_cancels_the_calls_it_is_parent_of() -> None:
    d = desk()
    d.submit("parent")
    d.submit("child", parent_call="parent")
    d.submit("grandchild", parent_call="child")
    d.submit("other")

    d.tell(Cancelled("parent"))

    assert {r.call_id for r in d.rejects} == {"child", "grandchild"}
    assert d.order == ["parent", "other"]


def test_cancelling_a_program_frees_everything_below_it() -> None:
    d = desk()
    d.submit("a", program="root")
    d.submit("b", program="fork", parent_program="root")
    d.submit("c", program="leaf", parent_program="fork")
    d.submit("d", program="stranger")

    d.tell(ProgramCancelled("root"))

    assert {r.call_id for r in d.rejects} == {"b", "c"}
    assert [r.call_id for r in d.revokes] == ["a"]
    assert d.order == ["a", "d"]


def test_cancelling_an_agent_ends_its_descendants_too() -> None:
    d = desk()
    d.submit("a", agent="boss")
    d.submit("b", agent="helper", agent_path=("boss",))
    d.submit("c", agent="stranger")

    d.tell(AgentCancelled("boss"))

    assert [r.call_id for r in d.rejects] == ["b"]
    assert d.order == ["a", "c"]


def test_a_call_that_waits_longer_than_it_may_is_evicted() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", max_wait=10.0)

    wakeup = d.core.next_wakeup(0.0)
    d.tick(9.9)

    assert wakeup is not None
    assert wakeup <= 10.0
    assert not d.rejects

    d.tick(10.0)

    assert [(r.call_id, r.outcome) for r in d.rejects] == [("b", QueueOutcome.EVICTED_WAIT)]


def test_a_call_whose_deadline_passes_is_evicted() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", deadline=3.0)

    d.finish("a", at=3.0)

    assert [(r.call_id, r.outcome) for r in d.rejects] == [("b", QueueOutcome.EVICTED_DEADLINE)]
    assert d.order == ["a"]


def test_an_expired_call_is_not_granted_by_the_event_that_finds_it() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", max_wait=1.0)

    d.finish("a", at=100.0)

    assert d.order == ["a"]


def test_nothing_needs_a_tick_when_nobody_waits() -> None:
    d = desk()
    d.submit("a")

    assert d.core.next_wakeup(0.0) is None


def test_a_lost_gateway_frees_its_slots_and_its_waiting_calls() -> None:
    d = desk()
    d.submit("a", gateway="lost")
    d.submit("b", gateway="lost")
    d.submit("c", gateway="alive")

    d.tell(GatewayLost("lost"))

    assert d.order == ["a", "c"]
    assert d.core.stats(0.0).waiting == 0
    assert d.kinds().count(TimelineKind.GATEWAY_LOST) == 2


def test_a_lost_gateways_calls_can_be_submitted_again() -> None:
    d = desk()
    d.submit("a")
    d.tell(GatewayLost("gw"))

    d.tell(Submit(call("a", tokens_done=12), resubmission=True))

    assert d.order == ["a", "a"]
    assert d.grants[1].epoch > d.grants[0].epoch


def test_without_any_backend_a_call_waits_for_the_grace_period_only() -> None:
    d = desk(settings(backend_grace=5.0), replicas=0)
    d.submit("a")

    d.tick(4.9)
    assert not d.rejects
    d.tick(d.core.next_wakeup(4.9) or 0.0)

    assert [(r.call_id, r.outcome) for r in d.rejects] == [("a", QueueOutcome.NO_BACKEND)]

    d.submit("b", at=100.0, resource="unknown-model")

    assert d.rejects[-1].outcome is QueueOutcome.NO_BACKEND


def test_calls_wait_out_a_short_absence_of_the_last_replica() -> None:
    d = desk(settings(backend_grace=5.0))
    d.tell(BackendDown("r0"), at=1.0)
    d.submit("a")

    d.tell(BackendUp("r0", MODEL, 1, 1000), at=3.0)

    assert d.order == ["a"]


def test_a_replica_that_is_down_gets_no_grants_and_keeps_its_runs() -> None:
    d = desk(slots=2, replicas=2)
    d.submit("a")
    d.tell(BackendDown(d.grants[0].replica))

    d.submit("b")
    d.submit("c")
    d.submit("d")

    down = d.grants[0].replica
    assert [g.replica != down for g in d.grants] == [False, True, True]
    assert d.core.stats(0.0).running == 3


def test_a_call_whose_backend_failed_goes_on_elsewhere() -> None:
    d = desk(slots=2, replicas=2)
    d.submit("a")
    failed = d.grants[0].replica

    d.tell(Yielded("a", 20, backend_failed=True))

    assert d.grants[1].replica != failed
    assert d.core.stats(0.0).tokens_in_flight == 150


def test_a_replica_may_change_the_model_it_serves() -> None:
    d = desk()
    d.submit("a")
    d.submit("b", resource="other")

    d.tell(BackendUp("r0", "other", 1, 1000))

    assert "b" in d.order


def test_pools_of_different_models_do_not_block_one_another() -> None:
    d = desk()
    d.tell(BackendUp("x0", "other", 1, 1000))
    d.submit("a")
    d.submit("b")
    d.submit("c", resource="other")

    assert d.order == ["a", "c"]
