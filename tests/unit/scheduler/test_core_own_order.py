"""An agent's own policy: the class decides whose turn it is, the agent which of its calls goes."""

import pytest

from services.chassis.dispatch.scheduling import QueueOutcome, SchedulingClass
from services.scheduler.core.events import Cancelled, PolicyChanged, Submit
from tests.fakes.scheduling import Desk, call, desk, settings


def serve_all(d: Desk) -> list[str]:
    """Finish what runs, one by one, until nothing is left; return the order of the starts."""
    while running := [name for name in d.order if d.core.call(name)]:
        d.finish(running[0])
    return d.order


def test_within_an_agents_turns_its_own_policy_decides() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    for number, tokens in enumerate((900, 100, 500)):
        d.submit(f"mine{number}", policy="sjf", prompt_tokens=tokens, agent="chooser")
        d.submit(f"other{number}")

    assert serve_all(d) == ["running", "mine1", "other0", "mine2", "other1", "mine0", "other2"]


def test_an_agents_policy_leaves_the_turns_of_others_as_they_are() -> None:
    def turns(policy: str) -> list[str]:
        d = desk(settings("stride", {"by": "agent"}))
        d.submit("running", agent="third")
        for number in range(3):
            d.submit(f"a{number}", policy=policy, agent="a", priority=-number)
            d.submit(f"b{number}", agent="b")
        return [name[0] for name in serve_all(d)]

    assert turns("priority") == turns("")


def test_calls_of_one_agent_without_a_policy_are_none_of_its_business() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    d.submit("long", policy="sjf", prompt_tokens=900)
    d.submit("plain", prompt_tokens=1)
    d.submit("short", policy="sjf", prompt_tokens=100)

    assert serve_all(d) == ["running", "short", "plain", "long"]


def test_an_agent_orders_its_calls_by_when_they_are_due() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    d.submit("later", policy="edf", due=90.0)
    d.submit("sooner", policy="edf", due=20.0)

    assert d.core.explain("sooner", 1.0).position == 0
    assert d.core.explain("sooner", 1.0).key["own_policy"] == "edf"
    assert serve_all(d) == ["running", "sooner", "later"]


def test_a_call_that_waits_too_long_goes_by_the_lane_whatever_its_agent_wants() -> None:
    d = desk(settings("sjf"))
    d.submit("running")
    d.submit("old", policy="sjf", prompt_tokens=5000)
    d.submit("young", policy="sjf", at=200.0, prompt_tokens=1)
    d.finish("running", at=200.0)

    assert d.order[-1] == "old"


def test_the_policy_of_the_class_changes_under_the_agents_own() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    d.submit("long", policy="sjf", prompt_tokens=900)
    d.submit("short", policy="sjf", prompt_tokens=100)
    d.tell(PolicyChanged(SchedulingClass.NORMAL, "rr", {}))
    d.tell(Cancelled("running"))

    assert d.order == ["running", "short"]


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    d = desk()
    d.submit("a", policy="astrology")

    (refused,) = d.rejects
    assert refused.outcome is QueueOutcome.REJECTED_POLICY
    assert "astrology" in refused.detail
    assert "adaptive" in refused.detail


@pytest.mark.parametrize("running_on", [None, "r0"])
def test_a_call_that_was_accepted_before_outlives_its_policy(running_on: str | None) -> None:
    d = desk()
    d.tell(Submit(call("a", policy="astrology"), running_on, 7, resubmission=True))

    assert d.rejects == []
    assert d.core.call("a") is not None
