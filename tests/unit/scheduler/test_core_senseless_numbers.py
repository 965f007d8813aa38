"""Numbers that mean nothing reach no queue: not in calls, not in reports, not as parameters of policies."""

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.dispatch.scheduling import Completion, QueueOutcome, SchedulingClass
from services.scheduler.core.events import Finished, PolicyChanged, Progress, Submit, Yielded
from services.scheduler.core.policies import BUILT_IN
from services.scheduler.errors import PolicyParamsInvalid
from tests.fakes.scheduling import call, desk, settings

NAN, INF = float("nan"), float("inf")
NOT_FINITE = [NAN, INF, -INF]
NUMBERS = {
    "adaptive": ["band", "base", "prompt_weight", "output_weight", "quantum"],
    "edf": ["slack"],
    "las": ["base", "quantum"],
    "mlfq": ["base", "levels"],
    "priority": ["ageing", "quantum"],
    "rr": ["quantum"],
    "vtc": ["prompt_weight", "output_weight"],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (field, value)
            for field in ("arrived_at", "due", "deadline", "waiting_since", "max_wait", "attained_seconds")
            for value in NOT_FINITE
        ],
        *[
            (field, value)
            for field in ("weight", "tenant_weight", "tree_weight")
            for value in (*NOT_FINITE, 0.0, -1.0, 1e300)
        ],
        ("max_wait", -1.0),
        ("max_wait", 1e300),
        ("attained_seconds", -1.0),
        ("attained_seconds", 1e300),
        ("priority", 10**9),
        ("priority", -(10**9)),
        ("prompt_tokens", 10**12),
        ("max_new_tokens", -1),
    ],
)
def test_a_call_with_a_senseless_number_is_refused_and_leaves_nothing(field: str, value: float) -> None:
    d = desk()
    fields: dict[str, Any] = {field: value}
    d.tell(Submit(call("c", **fields)))
    d.tell(Submit(call("again", **fields), resubmission=True))

    assert [each.outcome for each in d.rejects] == [QueueOutcome.REJECTED_INVALID] * 2
    assert d.grants == []
    assert d.core.next_wakeup(0.0) is None


@pytest.mark.parametrize("report", ["progress", "yield", "finish"])
def test_a_report_of_more_tokens_than_a_call_can_have_is_cut_down(report: str) -> None:
    d = desk(settings("las"))
    d.submit("c", program="p")
    huge = 2**31 - 1
    if report == "progress":
        for _ in range(3):
            d.tell(Progress("c", huge))
    elif report == "yield":
        d.tell(Yielded("c", huge))
    else:
        d.tell(Finished("c", Completion.COMPLETED, huge))
    done = [entry.tokens_done for entry in d.core.snapshot_queue(0.0)]
    told = [event.tokens for event in d.timeline]

    assert max([*done, *told], default=0) <= 10_000_000


values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(10**400), 10**400),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "", "x", "9" * 400]),
)


@given(data=st.data(), value=values)
@pytest.mark.parametrize("policy", sorted(NUMBERS))
def test_a_policy_takes_a_number_that_orders_calls_or_refuses_it(
    policy: str, data: st.DataObject, value: Any
) -> None:
    name = data.draw(st.sampled_from(NUMBERS[policy]))
    d = desk(settings("fifo"))
    d.submit("running")
    for number in range(4):
        d.submit(f"c{number}", priority=number - 2, program=f"p{number % 2}", prompt_tokens=50 * number)
    with suppress(PolicyParamsInvalid):
        d.tell(PolicyChanged(SchedulingClass.NORMAL, policy, {name: value}))
    keys = [d.core.explain(f"c{number}", 1.0).key for number in range(4)]
    for _ in range(5):
        d.progress(d.order[-1], 3)
        d.finish(d.order[-1])

    assert not any(isinstance(part, float) and math.isnan(part) for key in keys for part in key.values())
    assert sorted(d.order) == ["c0", "c1", "c2", "c3", "running"]


def test_the_numbers_of_every_policy_are_tried() -> None:
    d = desk()
    asked: dict[str, list[str]] = {}
    for kind in BUILT_IN:
        for name in (
            "band",
            "base",
            "prompt_weight",
            "output_weight",
            "quantum",
            "slack",
            "levels",
            "ageing",
        ):
            try:
                d.tell(PolicyChanged(SchedulingClass.NORMAL, kind.name, {name: 2}))
            except PolicyParamsInvalid:
                continue
            asked.setdefault(kind.name, []).append(name)

    assert {name: sorted(found) for name, found in asked.items()} == {
        k: sorted(v) for k, v in NUMBERS.items()
    }
