"""Room for the moment: an agent, its tree and its tenant each have a share, children or not."""

import pytest

from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.quotas import Cap, Level, Owner, Usage
from services.chassis.shares import Openings, Shares


def owner(agent: str, tree: str = "root", tenant: str = "t") -> Owner:
    return Owner(tenant, agent, tree)


@pytest.mark.parametrize(
    ("cap", "level", "subject"),
    [
        (Cap(2, 9, 9), "agent", "agents/a"),
        (Cap(2, 2, 9), "tree", "agents/root"),
        (Cap(2, 2, 2), "tenant", "tenants/t"),
    ],
)
def test_the_party_that_has_its_share_is_refused_by_name(cap: Cap, level: str, subject: str) -> None:
    shares = Shares("watches", cap)
    shares.take(owner("a"))
    second = {"agent": owner("a"), "tree": owner("b"), "tenant": owner("b", "other")}[level]
    shares.take(second)
    with pytest.raises(TooManyCalls) as refused:
        shares.take(owner("a"))

    assert (refused.value.metadata["level"], refused.value.metadata["limit"]) == (level, "2")
    assert refused.value.quota is not None
    assert refused.value.quota.subject == subject
    assert refused.value.retry_after
    shares.take(owner("z", "z", "another"))
    assert shares.held == 3


def test_all_together_have_a_bound_and_what_is_given_back_is_free_again() -> None:
    shares = Shares("bytes", Cap(100, 100, 100), most=150)
    shares.take(owner("a"), 100)
    with pytest.raises(TooManyCalls):
        shares.take(owner("b", "b", "u"), 51)
    free = shares.room(owner("b", "b", "u"))
    shares.give_back(owner("a"), 100)
    shares.take(owner("b", "b", "u"), 100)

    assert free == 50
    assert (shares.held, shares.of(owner("a")), shares.of(owner("b", "b", "u"), Level.TREE)) == (100, 0, 100)


def test_what_a_process_has_open_is_told_of_an_agent_its_tree_and_its_tenant() -> None:
    openings = Openings()
    watches, calls = openings.add(Shares("watches", Cap(2, 3, 4))), openings.add(Shares("calls", Cap.of(5)))
    for agent in ("a", "a", "b"):
        watches.take(owner(agent))
    calls.take(owner("z", "other"))

    told = openings.told(owner("a"))

    assert told[:3] == [
        Usage("watches", Level.AGENT, 2, 2),
        Usage("watches", Level.TREE, 3, 3),
        Usage("watches", Level.TENANT, 3, 4),
    ]
    assert [(one.quota, one.used) for one in told[3:]] == [("calls", 0), ("calls", 0), ("calls", 1)]
    assert [one.level for one in openings.told(Owner("t", "", ""))] == [Level.TENANT, Level.TENANT]
