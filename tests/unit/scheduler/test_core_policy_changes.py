"""A policy replaced or set anew keeps what it counted; parameters and policies from outside."""

import pytest

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.events import PolicyChanged
from services.scheduler.core.policies import BUILT_IN, PolicyRegistry, discover
from services.scheduler.core.policies.base import Policy
from services.scheduler.core.policies.fifo import Fifo
from services.scheduler.core.settings import CoreSettings
from services.scheduler.core.state import CoreState
from services.scheduler.errors import PolicyParamsInvalid
from services.scheduler.model import PolicySpec
from tests.fakes.scheduling import desk, serve_all, settings


def build(name: str, **params: float | str | bool) -> Policy:
    """Make a policy without a core around it."""
    return PolicyRegistry().build(PolicySpec(name, params), CoreState(CoreSettings(), PolicyRegistry()))


@pytest.mark.parametrize("name", ["vtc", "stride", "adaptive"])
def test_counters_survive_a_restart(name: str) -> None:
    d = desk(settings(name))
    d.submit("a", tenant="big", prompt_tokens=5000)
    d.submit("b", tenant="big")
    queue = next(q for q in next(iter(d.core._pools.values())).queues.values() if q.waiting)
    state = queue.policy.snapshot()

    fresh = build(name)
    fresh.restore(state)
    fresh.restore(b"{}")

    assert fresh.snapshot() == state
    assert b"big" in state


def test_new_parameters_of_a_policy_keep_its_counters() -> None:
    d = desk(settings("vtc"))
    d.submit("a", tenant="big", prompt_tokens=5000)
    d.submit("b", tenant="big")

    d.tell(PolicyChanged(SchedulingClass.NORMAL, "vtc", {"output_weight": 3}))

    assert d.core.explain("b", 0.0).key["tenant_counter"] == 5000.0


def test_policies_without_counters_have_nothing_to_carry_over() -> None:
    policy = build("fifo")
    policy.restore(policy.snapshot())

    assert policy.snapshot() == b"{}"
    assert policy.stats() == {}
    assert policy.pick(0.0) is None


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("rr", {"quantum": "many"}),
        ("rr", {"quantum": 1.5}),
        ("priority", {"preempt": "perhaps"}),
        ("vtc", {"by": "planet"}),
        ("fifo", {"quantum": 3}),
        ("edf", {"slack": -1}),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(name: str, params: dict[str, str | float]) -> None:
    with pytest.raises(PolicyParamsInvalid) as caught:
        build(name, **params)

    assert next(iter(params)) in caught.value.problems[0]


def test_parameters_may_come_as_text() -> None:
    policy = build("priority", preempt="true", quantum="32", ageing="inf")

    assert policy.preempts
    assert policy.quantum_tokens == 32


def test_a_third_party_policy_is_used_like_a_built_in_one() -> None:
    class Newest(Fifo):
        name = "newest"
        in_arrival_order = False

        def key(self, job):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as a plug-in may be
            """Return the reverse of arrival."""
            return (-job.call.arrived_at, -job.seq)

    registry = PolicyRegistry()
    registry.add(Newest)
    d = desk(settings("newest"), registry=registry)
    for n in range(3):
        d.submit(f"c{n}", at=float(n))

    assert serve_all(d) == ["c0", "c2", "c1"]
    assert "newest" in d.core.policy_names


def test_installed_packages_may_offer_policies() -> None:
    assert set(discover().names) >= {policy.name for policy in BUILT_IN}
    assert set(discover().as_mapping()) == set(discover().names)
