"""How a decision gathers its input from the store. Runs inside a transaction."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from services.access.core.decision_input import DecisionInput, Target, target_of
from services.access.core.people import HUMAN
from services.access.model.agents import Agent
from services.access.model.approvals import Person
from services.access.model.rules import Check, Decision, Grant, Policy
from services.access.ports.outside import PolicyEngine
from services.access.ports.store import Transaction
from services.chassis.auth.identity import Kind
from services.chassis.rpc import names

T = TypeVar("T")

_MOST_FACTS: Final = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class DecisionRequest:
    """A check with everything its decision needs."""

    check: Check
    target: Target
    given: DecisionInput
    policies: tuple[Policy, ...]


class DecisionCache:
    """What was read at the newest revision: all that decisions rest on changes only together with it.

    Only for reading transactions; several threads may share one.
    """

    def __init__(self) -> None:
        self._state: tuple[int, dict[Any, Any]] = (-1, {})

    def facts(self, revision: int) -> dict[Any, Any]:
        """Return what is known at a revision; a dictionary of its own for an older one."""
        newest, facts = self._state
        if revision < newest:
            return {}
        if revision > newest or len(facts) > _MOST_FACTS:
            facts = {}
            self._state = (revision, facts)
        return facts


class _Reader:
    """Reads facts, each once."""

    def __init__(self, tx: Transaction, facts: dict[Any, Any]) -> None:
        self._tx = tx
        self._facts = facts

    def agent(self, tenant: str, agent: str) -> Agent | None:
        return self._once(("agent", tenant, agent), lambda: self._tx.agents.get(tenant, agent))

    def person(self, tenant: str, person: str) -> Person | None:
        return self._once(("person", tenant, person), lambda: self._tx.persons.get(tenant, person))

    def groups(self, tenant: str, agent: str) -> frozenset[str]:
        member = names.agent_name(agent)
        return self._once(("groups", tenant, agent), lambda: self._tx.groups.closure(tenant, member))

    def grants(self, tenant: str, resource: str, agent: str, groups: frozenset[str]) -> list[Grant]:
        grantees = frozenset({names.agent_name(agent), *(f"groups/{group}" for group in groups)})
        return self._once(
            ("grants", tenant, resource, agent),
            lambda: self._tx.grants.matching(tenant, resource, grantees),
        )

    def policies(self, tenant: str) -> tuple[Policy, ...]:
        return self._once(("policies", tenant), lambda: self._tx.policies.active(tenant))

    def _once(self, key: tuple[str, ...], load: Callable[[], T]) -> T:
        if key not in self._facts:
            self._facts[key] = load()
        found: T = self._facts[key]
        return found


def gather_input(tx: Transaction, check: Check, now: datetime) -> DecisionRequest:
    """Load the input of one check, from a transaction that may have written.

    Raises InvalidRequest when the resource is no resource name.
    """
    return _gather(_Reader(tx, {}), tx, check, now, tx.ledger.revision())


def gather_inputs(
    tx: Transaction, checks: Sequence[Check], now: datetime, memo: DecisionCache
) -> list[DecisionRequest]:
    """Load the inputs of many checks, from a transaction that only reads. Raises as `gather_input`."""
    revision = tx.ledger.revision()
    reader = _Reader(tx, memo.facts(revision))
    return [_gather(reader, tx, check, now, revision) for check in checks]


def _gather(
    reader: "_Reader", tx: Transaction, check: Check, now: datetime, revision: int
) -> DecisionRequest:
    who = check.principal
    is_agent = who.kind is Kind.AGENT
    name = names.parse(check.resource or names.agent_name(who.agent), me=who.agent, field="resource")
    target = target_of(name, who, _owner_of(tx, who.tenant, name))
    groups: frozenset[str] = frozenset()
    grants: list[Grant] = []
    if is_agent:
        groups = reader.groups(who.tenant, who.agent)
        grants = reader.grants(who.tenant, target.name, who.agent, groups)
    acting = reader.agent(who.tenant, who.agent) if is_agent else None
    above = acting.ancestors if acting is not None else ()
    given = DecisionInput(
        revision=revision,
        principal=acting,
        tree_groups=groups.union(*(reader.groups(who.tenant, one) for one in above)),
        owner=reader.agent(who.tenant, target.owner) if target.owner else None,
        groups=groups,
        grants=tuple(grant for grant in grants if check.action in grant.actions and grant.in_force(now)),
        person=reader.person(who.tenant, who.agent) if who.kind in HUMAN else None,
    )
    if given.principal is not None and given.principal.untrusted:
        check = dataclasses.replace(check, untrusted=True)  # the mark counts whatever the question says
    return DecisionRequest(check, target, given, reader.policies(who.tenant))


def decide(engine: PolicyEngine, case: DecisionRequest) -> Decision:
    """Decide a gathered check, inside a transaction."""
    return with_trees(case, engine.decide(case.check, case.target, case.given, case.policies))


def with_trees(case: DecisionRequest, decision: Decision) -> Decision:
    """Add to a decision what it tells of the agents that it is about."""
    who = case.check.principal
    return dataclasses.replace(
        decision,
        tree=_root(case.given.principal, who.agent) if who.kind is Kind.AGENT else "",
        owner_tree=_root(case.given.owner, case.target.owner),
        untrusted=case.given.principal is not None and case.given.principal.untrusted,
    )


def _root(known: Agent | None, agent: str) -> str:
    """Name the root of an agent's tree; one that is not registered is a tree of its own."""
    return known.ancestors[0] if known is not None and known.ancestors else agent


def _owner_of(tx: Transaction, tenant: str, name: names.ResourceName) -> str:
    """Find the agent that a resource without an agent in its name belongs to."""
    if name.owner or not name.id:
        return ""
    if name.collection == "grants":
        grant = tx.grants.get(tenant, name.id)
        return grant.owner if grant else ""
    if name.collection == "approvals":
        approval = tx.approvals.get(tenant, name.id)
        return approval.agent if approval else ""
    return ""
