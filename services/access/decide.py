"""How a decision gathers its slice from the store. Runs inside a transaction."""

import dataclasses
from datetime import datetime

from services.access.model import Check, Decision, Grant, Policy
from services.access.ports import Engine, Transaction
from services.access.slice import Slice, Target, target_of
from services.chassis import names
from services.chassis.identity import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A check with everything its decision needs."""

    check: Check
    target: Target
    slice: Slice
    policies: tuple[Policy, ...]


def gather(tx: Transaction, check: Check, now: datetime) -> Case:
    """Load the slice of one check.

    Raises InvalidRequest when the resource is no resource name.
    """
    revision = (
        tx.ledger.revision()
    )  # read first: a change made meanwhile then counts as newer than the decision
    who = check.principal
    is_agent = who.kind is Kind.AGENT
    name = names.parse(check.resource or names.agent_name(who.agent), me=who.agent, field="resource")
    target = target_of(name, who, _owner_of(tx, who.tenant, name))
    principal = tx.agents.get(who.tenant, who.agent) if is_agent else None
    if not target.owner:
        owner = None
    elif is_agent and target.owner == who.agent:
        owner = principal
    else:
        owner = tx.agents.get(who.tenant, target.owner)
    groups: frozenset[str] = frozenset()
    grants: tuple[Grant, ...] = ()
    if is_agent:
        member = names.agent_name(who.agent)
        groups = tx.groups.closure(who.tenant, member)
        grantees = frozenset({member, *(f"groups/{group}" for group in groups)})
        grants = tuple(tx.grants.matching(who.tenant, target.name, check.action, grantees, now))
    slice_ = Slice(revision=revision, principal=principal, owner=owner, groups=groups, grants=grants)
    return Case(check, target, slice_, tx.policies.active(who.tenant))


def decide(engine: Engine, case: Case) -> Decision:
    """Decide a gathered check."""
    return engine.decide(case.check, case.target, case.slice, case.policies)


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
