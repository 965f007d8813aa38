"""Persons, and who decides an approval. Pure.

Agents are not people: whatever rules permit them, an agent decides only what an administrator's policy names
it for, and never anything of its own tree, since it makes descendants at will and steers them.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from services.access.core.agent_tree import root_of
from services.access.model.agents import Agent, AgentState, MadeBy
from services.access.model.approvals import Approval, ApprovalRule, Person, PersonState
from services.chassis.auth.identity import Kind

FIRST_ADMINISTRATOR: Final = "admin"
"""Id of the administrator that the installation comes with. Nobody can be registered by it."""
APPROVE: Final = "access.approve"
PEOPLE_ALONE: Final = frozenset({"tool.share"})
"""What no agent decides, whatever a policy says: code of one agent that all others may run."""
HUMAN: Final = frozenset({Kind.ADMIN, Kind.PERSON})


class Persons(Protocol):
    """The persons of all tenants."""

    def get(self, tenant: str, person: str) -> Person | None:
        """Return one person, or None."""
        ...

    def insert(self, person: Person) -> bool:
        """Add a person; False, and nothing changed, when the id is taken."""
        ...

    def update(self, person: Person) -> None:
        """Store a person that exists."""
        ...

    def by_key(self, key_hash: str) -> Person | None:
        """Return whose key it is, or None."""
        ...

    def page(self, tenant: str, after: str, limit: int) -> list[Person]:
        """List persons by id, those after the id `after`."""
        ...

    def keyed_by(self, maker: MadeBy) -> list[Person]:
        """List the persons of all tenants whose key a principal made."""
        ...

    def count(self, tenant: str) -> int:
        """Count the persons of a tenant."""
        ...

    def active_administrators(self, tenant: str) -> int:
        """Count the administrators that are not disabled."""
        ...


class ApprovalRules(Protocol):
    """The approval rules of all tenants."""

    def put(self, rule: ApprovalRule) -> None:
        """Add a rule, or replace the one of its id."""
        ...

    def drop(self, tenant: str, rule: str) -> bool:
        """Delete a rule; False when there is none."""
        ...

    def of(self, tenant: str) -> list[ApprovalRule]:
        """Return the rules of a tenant by id."""
        ...


def may_act(person: Person | None, who: str, kind: Kind) -> bool:
    """Tell whether a human credential counts: `person` is what is registered by its id."""
    if who == FIRST_ADMINISTRATOR and kind is Kind.ADMIN:
        return True
    return person is not None and person.kind is kind and person.state is PersonState.ACTIVE


def is_impartial(agent: Agent | None, approval: Approval) -> bool:
    """Tell whether an agent that acts is of another tree than the one that waits; both must be known."""
    known = agent is not None and agent.state is AgentState.ACTIVE and bool(approval.root)
    return known and agent is not None and root_of(agent) != approval.root


def required_deciders(rules: Iterable[ApprovalRule], approval: Approval) -> int:
    """Return how many different people must approve: the most that the approval or a rule asks for."""
    return max([approval.required, 1, *(rule.deciders for rule in rules if _is_about(rule, approval))])


def approvers(approval: Approval) -> frozenset[str]:
    """Return who has approved, each once."""
    return frozenset(vote.decider for vote in approval.votes if vote.approved)


def _is_about(rule: ApprovalRule, approval: Approval) -> bool:
    if rule.action not in ("", approval.action):
        return False
    if rule.resource.endswith("/"):
        return approval.resource.startswith(rule.resource)
    return rule.resource in ("", approval.resource)
