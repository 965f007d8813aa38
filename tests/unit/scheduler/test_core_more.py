"""Corners of the core: accounts that are forgotten, plug-ins that are wrong, replicas that vanish."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core import policies
from services.scheduler.core.events import (
    BackendDown,
    BackendUp,
    Cancelled,
    GatewayLost,
    PolicyChanged,
    Submit,
    TimelineKind,
)
from services.scheduler.core.length_history import LengthHistory
from services.scheduler.core.policies import BUILT_IN, PolicyRegistry, discover
from services.scheduler.core.policies.base import Policy
from services.scheduler.core.policies.fair import FairTree, tenant_then_agent
from services.scheduler.core.policies.fifo import Fifo
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import ClassSettings, CoreSettings
from services.scheduler.core.state import CoreState
from services.scheduler.errors import SettingsInvalid
from services.scheduler.model import PolicySpec
from tests.fakes.scheduling import MODEL, call, desk, settings


def job(name: str, seq: int, **fields: Any) -> ScheduledCall:
    """Make a waiting job outside of any core."""
    made = call(name, **fields)
    return ScheduledCall(made, seq, made.arrived_at)


@pytest.mark.parametrize("policy", [p.name for p in BUILT_IN])
def test_every_policy_explains_its_order_in_its_own_terms(policy: str) -> None:
    d = desk(settings(policy))
    d.submit("running")
    for n in range(3):
        d.submit(f"c{n}", tenant=f"t{n}", prompt_tokens=100 * (n + 1))

    told = [d.core.explain(f"c{n}", 2.0) for n in range(3)]

    assert all(t.key for t in told)
    assert sorted(t.position for t in told) == [0, 1, 2]
    assert all(isinstance(v, int | float | str) for t in told for v in t.key.values())


@pytest.mark.parametrize("policy", [p.name for p in BUILT_IN])
def test_every_policy_takes_running_calls_over_and_lets_them_go(policy: str) -> None:
    d = desk(settings("fifo"), slots=3)
    for name in ("a", "b", "c", "d"):
        d.submit(name, max_new_tokens=500)

    d.tell(PolicyChanged(SchedulingClass.NORMAL, policy))
    d.progress("a", 200, at=1.0)
    d.give_back("a", 200, at=1.0)
    d.tell(Cancelled("b"))
    d.finish("c")
    for name in ("a", "d"):
        d.finish(name)

    assert d.core.stats(2.0).running == 0
    assert d.core.stats(2.0).waiting == 0


def test_accounts_below_the_least_counter_are_forgotten_without_harm() -> None:
    tree = FairTree(tenant_then_agent, lambda j: (j.seq,))
    keep = job("keep", 0, tenant="keep")
    tree.add(keep)
    tree.charge(keep, 100.0)
    for n in range(1, 5000):
        visitor = job(f"v{n}", n, tenant=f"visitor{n}")
        tree.add(visitor)
        tree.remove(visitor)

    assert len(tree.root.children) < 4200
    assert tree.peek() is keep
    assert len(tree) == 1


def test_restored_counters_place_tenants_that_come_later() -> None:
    tree = FairTree(tenant_then_agent, lambda j: (j.seq,))
    tree.restore({"rich": 500.0})
    tree.add(job("a", 0, tenant="rich"))
    tree.add(job("b", 1, tenant="poor"))
    tree.charge(job("b", 1, tenant="poor"), 100.0)

    first = tree.peek()

    assert first is not None
    assert first.call.tenant == "rich"
    assert tree.counters() == {"rich": 500.0, "poor": 600.0}


def test_a_plug_in_is_found_through_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    good = EntryPoint("mine", "services.scheduler.core.policies.fifo:Fifo", policies.ENTRY_POINT_GROUP)
    monkeypatch.setattr(policies, "entry_points", lambda group: [good] if group else [])

    assert discover().as_mapping()["fifo"] is Fifo


def test_a_plug_in_that_is_no_policy_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = EntryPoint("bad", "json:dumps", policies.ENTRY_POINT_GROUP)
    monkeypatch.setattr(policies, "entry_points", lambda group: [bad] if group else [])

    with pytest.raises(TypeError, match="not a named Policy subclass"):
        discover()


def test_the_least_a_policy_must_write_is_enough() -> None:
    class Last(Fifo):
        name = "last"

    policy: Policy = PolicyRegistry([Last]).build(
        PolicySpec("last"), CoreState(CoreSettings(), PolicyRegistry())
    )
    waiting = job("a", 0)
    policy.on_submit(waiting, 0.0)

    assert policy.pick(0.0) is waiting
    assert policy.victims(waiting, [waiting], 0.0) == []
    policy.on_adopt(waiting, 0.0)
    policy.on_tokens(waiting, 1, 0.0)
    policy.on_finish(waiting, 0.0)


def test_every_contradiction_in_the_settings_is_listed() -> None:
    classes = {
        SchedulingClass.NORMAL: ClassSettings(
            weight=-1, min_share=0.5, max_share=0.2, lane_share=2, lane_after=-1
        )
    }

    with pytest.raises(SettingsInvalid) as caught:
        CoreSettings(classes=classes, max_waiting=0, lookahead=0).check()

    assert len(caught.value.problems) == 4 + 4 + 2


def test_a_replica_that_stays_away_is_forgotten() -> None:
    d = desk(settings(backend_grace=10.0), replicas=2)
    d.submit("a")
    home = d.grants[0].replica
    d.tell(BackendDown("r0"), at=1.0)
    d.tell(BackendDown("r1"), at=1.0)
    d.tick(20.0)

    assert [r.replica for r in d.core.stats(20.0).replicas] == [home]
    d.finish("a")
    d.tick(21.0)

    assert d.core.stats(21.0).replicas == ()
    d.tell(BackendUp(home, MODEL, 1, 1000))
    d.submit("b")
    assert d.order == ["a", "b"]


def test_a_waiting_call_that_turns_out_to_run_takes_its_slot() -> None:
    d = desk(slots=1)
    d.submit("a")
    d.submit("b")

    d.tell(Submit(call("b"), running_on="r0", epoch=9, resubmission=True))

    assert d.core.stats(0.0).running == 2
    assert d.core.stats(0.0).waiting == 0
    d.finish("a")
    d.finish("b")
    assert d.order == ["a"]


def test_announcing_a_replica_again_is_no_news() -> None:
    d = desk()
    d.tell(BackendUp("r0", MODEL, 1, 100_000))

    assert TimelineKind.REPLICA_UP not in d.kinds()


def test_the_history_of_lengths_is_bounded() -> None:
    history = LengthHistory(5)
    for n in range(11_000):
        history.learn(call("x", agent_kind=f"k{n}", resource=f"m{n}"), 7)

    assert len(history._means) == 10_000


def test_a_call_that_is_its_own_program_leaves_no_trace() -> None:
    d = desk()
    for n in range(10):
        d.submit(f"c{n}")
        d.finish(f"c{n}")
    d.submit("last")
    d.tell(GatewayLost("gw"))

    assert len(d.core._state.programs) == 0
