"""Whom a change of the rules concerns."""

import pytest

from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.rules import RulesChanged, Withdrawal
from services.chassis.auth.tokens import Revocations

READER = Principal(agent="reader", tenant="acme", kind=Kind.AGENT)
OWN = "agents/reader/files/f"
THEIRS = "agents/owner/files/f"


@pytest.mark.parametrize(
    ("withdrawal", "resource", "concerned"),
    [
        (Withdrawal("acme"), OWN, True),
        (Withdrawal("globex"), OWN, False),
        (Withdrawal("acme", frozenset({"agents/reader"})), THEIRS, True),
        (Withdrawal("acme", frozenset({"agents/owner"})), THEIRS, True),
        (Withdrawal("acme", frozenset({"agents/owner"})), OWN, False),
        (Withdrawal("acme", frozenset({"agents/own"})), THEIRS, False),
        (Withdrawal("acme", frozenset({"agents/owner"})), "approvals/a1", True),
    ],
)
def test_a_change_concerns_those_who_act_and_those_who_own(
    withdrawal: Withdrawal, resource: str, *, concerned: bool
) -> None:
    assert withdrawal.concerns(READER, resource) is concerned


def test_a_change_that_is_not_known_in_full_concerns_everybody() -> None:
    assert RulesChanged(Revocations(), None).concerns(READER, OWN)
    assert not RulesChanged(Revocations(), ()).concerns(READER, OWN)


def test_all_credentials_of_an_agent_are_told_from_a_single_one() -> None:
    known = Revocations()
    one = Principal(agent="reader", tenant="acme", kind=Kind.AGENT, token_id="t1", issued_at=5.0)
    known.revoke_agent("acme", "reader", issued_until=9.0, forget_at=99.0)

    assert known.covers(one)
    assert not known.covers_token(one)
    known.revoke_token("t1", forget_at=99.0)
    assert known.covers_token(one)


def test_a_token_that_is_revoked_by_its_id_is_one_agents_alone() -> None:
    known = Revocations()
    known.revoke_token("t1", tenant="acme", agent="mal", forget_at=99.0)
    holders = [("acme", "mal"), ("acme", "victim"), ("beta", "mal")]
    covered = [
        known.covers(Principal(agent=agent, tenant=tenant, kind=Kind.AGENT, session_id="t1"))
        for tenant, agent in holders
    ]

    assert covered == [True, False, False]
