"""What a process remembers of decisions, and what changes of the rules leave of it."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth import kept_decisions
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.kept_decisions import KeptDecisions, Key
from services.chassis.auth.rules import Withdrawal

NAMES = st.sampled_from(["amy", "bob", "eve"])
TENANTS = st.sampled_from(["acme", "globex"])
RESOURCES = st.builds("agents/{}/notes/n".format, NAMES) | st.just("tools/mail")
KEYS = st.builds(
    lambda tenant, agent, resource: (tenant, agent, Kind.AGENT, "a.read", resource, "", False),
    TENANTS,
    NAMES,
    RESOURCES,
)
WITHDRAWALS = st.builds(
    Withdrawal, TENANTS, st.frozensets(st.builds("agents/{}".format, NAMES)), st.booleans()
)


@given(st.dictionaries(KEYS, st.booleans()), st.lists(WITHDRAWALS, max_size=4))
def test_a_withdrawal_ends_all_that_it_concerns_and_no_other_plain_permit(
    decisions: dict[Key, bool], withdrawals: list[Withdrawal]
) -> None:
    kept: KeptDecisions[bool] = KeptDecisions(100)
    for key, plain in decisions.items():
        kept.put(key, decision=plain, plain=plain)
    kept.withdrawn(withdrawals)

    for key, plain in decisions.items():
        asker = Principal(key[1], key[0], key[2])
        stays = plain and not any(one.concerns(asker, key[4]) for one in withdrawals)
        assert (kept.get(key) is not None) == stays
    assert len(kept) == sum(kept.get(key) is not None for key in decisions)


def key_of(number: int, tenant: str = "acme") -> Key:
    return (tenant, f"a{number}", Kind.AGENT, "a.read", f"agents/a{number}", "", False)


def test_of_a_tenant_with_many_permits_none_is_looked_at_and_none_stays() -> None:
    kept: KeptDecisions[int] = KeptDecisions(10_000)
    for number in range(kept_decisions.MOST_LOOKED_AT + 1):
        kept.put(key_of(number), number, plain=True)
    kept.put(key_of(0, "globex"), 0, plain=True)
    kept.withdrawn([Withdrawal("acme", frozenset({"agents/a1"}))])

    assert (len(kept), kept.get(key_of(0, "globex"))) == (1, 0)


def test_who_remembers_much_forgets_its_own_first() -> None:
    kept: KeptDecisions[int] = KeptDecisions(10)
    kept.put(key_of(0, "globex"), 0, plain=True)
    for number in range(100):
        kept.put(key_of(number), number, plain=True)
        kept.put(key_of(number, "initech"), number, plain=False)

    assert (len(kept), kept.get(key_of(0, "globex"))) == (20, 0)
    kept.withdrawn(None)
    assert not len(kept)


def test_a_decision_that_becomes_conditional_is_kept_once() -> None:
    kept: KeptDecisions[int] = KeptDecisions(10)
    steps: list[Callable[[], None]] = [kept.changed, lambda: kept.put(key_of(1), 2, plain=False)]
    kept.put(key_of(1), 1, plain=True)
    for step in steps:
        step()
    assert (kept.get(key_of(1)), len(kept)) == (2, 1)
    kept.changed()
    assert kept.get(key_of(1)) is None
