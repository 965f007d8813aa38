"""The part of the world that one decision needs, as Cedar sees it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.access.core.people import HUMAN, may_act
from services.access.model.agents import Agent
from services.access.model.approvals import Person
from services.access.model.rules import Check, Grant
from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc.names import ResourceName

Json = dict[str, Any]

UNKNOWN: Final = "unknown"
"""The `state` of an agent that is not registered."""

OWNED: Final[Mapping[str, str]] = {
    "notes": "Note",
    "files": "File",
    "contexts": "Context",
    "generations": "Generation",
    "calls": "Call",
    "collections": "Collection",
    "uploads": "Upload",
}
"""Entity types of what lies below an agent, by collection."""

COMMON: Final[Mapping[str, str]] = {
    "": "Tenant",
    "tools": "Tool",
    "mcpservers": "McpServer",
    "groups": "GroupRule",
    "policies": "Policy",
    "grants": "Grant",
    "approvals": "Approval",
}
"""Entity types of what lies below the tenant, by collection."""

PRINCIPAL_TYPES: Final = ("Agent", "Admin", "Person", "Service")
RESOURCE_TYPES: Final = ("Agent", "Object", *sorted({*OWNED.values(), *COMMON.values()}))


@dataclass(frozen=True, slots=True)
class Target:
    """What a check is about."""

    type: str
    """Entity type."""
    id: str
    """Full resource name; for an agent its bare id, as for a principal."""
    tenant: str
    owner: str = ""
    """Id of the agent it belongs to; empty when it belongs to the tenant."""
    collection: str = ""
    name: str = ""
    """Full resource name, which grants are matched with."""


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """What the store knows about the principal and the target of one check."""

    revision: int
    principal: Agent | None
    """The acting agent; None when it is not registered or the principal is no agent."""
    owner: Agent | None
    """The agent that the target belongs to; None when there is none or it is not registered."""
    groups: frozenset[str]
    """Groups that the principal is in, through other groups too."""
    grants: tuple[Grant, ...]
    """Grants in force that give the action on the target to the principal or its groups."""
    person: Person | None = None
    """What is registered by the id of an acting person or administrator."""
    tree_groups: frozenset[str] = frozenset()
    """Groups that the principal or an agent above it is in."""


def target_of(name: ResourceName, principal: Principal, owner: str) -> Target:
    """Classify a resource.

    `owner` is the agent that a resource without an agent in its name belongs to (an approval, a grant). The
    name of an administrator or service itself stands for its tenant.
    """
    tenant = principal.tenant
    if not name.collection and name.owner == principal.agent and principal.kind is not Kind.AGENT:
        return Target("Tenant", tenant, tenant, name=str(name))
    if name.owner and not name.collection:
        return Target("Agent", name.owner, tenant, name.owner, name=str(name))
    text = str(name)
    types = OWNED if name.owner else COMMON
    kind = types.get(name.collection, "Object")
    if kind == "Approval" and not owner:
        kind = "Object"
    return Target(kind, text, tenant, name.owner or owner, name.collection, text)


def prefixes(resource: str) -> list[str]:
    """List the prefixes that a grant on a resource may name: those that end with a slash.

    The last one covers what lies below the resource, and so the resource itself: who may read a directory's
    files may list it.
    """
    return [resource[: index + 1] for index, char in enumerate(resource) if char == "/"] + [resource + "/"]


def earliest_expiry(grants: tuple[Grant, ...]) -> datetime | None:
    """Return when the first of the grants ends, or None."""
    return min((grant.expire_time for grant in grants if grant.expire_time), default=None)


def request(check: Check, target: Target, *, approved: bool = False) -> Json:
    """Write the Cedar request."""
    kind = check.principal.kind
    return {
        "principal": _uid(_principal_type(kind), check.principal.agent),
        "action": _uid("Action", check.action),
        "resource": _uid(target.type, target.id),
        "context": {"untrusted": check.untrusted, "approved": approved, "effect": check.effect},
    }


def entities(check: Check, target: Target, given: DecisionInput, *, kernel_tenant: str) -> list[Json]:
    """Write the Cedar entities: the principal, the target and its owner, each once."""
    found: dict[tuple[str, str], Json] = {}
    principal = check.principal
    if principal.kind is Kind.AGENT:
        above = given.groups | given.tree_groups
        agent = _agent(
            principal.agent, principal.tenant, given.principal, given.groups, (), tree_groups=above
        )
        found["Agent", principal.agent] = agent
    elif principal.kind in HUMAN:
        kind = _principal_type(principal.kind)
        attrs: Json = {"tenant": principal.tenant, "state": _state_of(principal, given.person)}
        if principal.kind is Kind.ADMIN:
            attrs["kernel"] = principal.tenant == kernel_tenant
        found[kind, principal.agent] = _entity(kind, principal.agent, attrs)
    else:
        found["Service", principal.agent] = _entity("Service", principal.agent, {"tenant": principal.tenant})
    if target.owner:
        own = target.owner == principal.agent and principal.kind is Kind.AGENT
        grants = given.grants if target.type == "Agent" else ()
        groups = given.groups if own else frozenset()
        above = groups | given.tree_groups if own else groups
        owner = _agent(target.owner, target.tenant, given.owner, groups, grants, tree_groups=above)
        found["Agent", target.owner] = owner
    if target.type != "Agent":
        found[target.type, target.id] = _resource(target, given)
    return list(found.values())


def _state_of(principal: Principal, person: Person | None) -> str:
    if may_act(person, principal.agent, principal.kind):
        return "active"
    return person.state.value if person is not None and person.kind is principal.kind else UNKNOWN


def _resource(target: Target, given: DecisionInput) -> Json:
    attrs: Json = {"tenant": target.tenant, **_shares(given.grants)}
    if target.owner:
        attrs["owner"] = _ref("Agent", target.owner)
    if target.type == "Object":
        attrs["collection"] = target.collection
    return _entity(target.type, target.id, attrs)


def _agent(
    agent: str,
    tenant: str,
    row: Agent | None,
    groups: frozenset[str],
    grants: tuple[Grant, ...],
    *,
    tree_groups: frozenset[str],
) -> Json:
    attrs: Json = {
        "tenant": row.tenant if row else tenant,
        "owner": _ref("Agent", agent),
        "state": row.state.value if row else UNKNOWN,
        "kind": row.kind if row else "",
        "tree_groups": [_ref("Group", group) for group in sorted(tree_groups)],
        **_shares(grants),
    }
    parents = [_uid("Agent", ancestor) for ancestor in (row.ancestors if row else ())]
    parents += [_uid("Group", group) for group in sorted(groups)]
    return _entity("Agent", agent, attrs, parents)


def _shares(grants: tuple[Grant, ...]) -> Json:
    agents = {grant.grantee for grant in grants if grant.grantee.startswith("agents/")}
    groups = {grant.grantee for grant in grants if grant.grantee.startswith("groups/")}
    return {
        "grantees": [_ref("Agent", name.partition("/")[2]) for name in sorted(agents)],
        "grantee_groups": [_ref("Group", name.partition("/")[2]) for name in sorted(groups)],
    }


def _principal_type(kind: Kind) -> str:
    types = {Kind.AGENT: "Agent", Kind.ADMIN: "Admin", Kind.PERSON: "Person", Kind.SERVICE: "Service"}
    return types[kind]


def _entity(type_: str, id_: str, attrs: Json, parents: list[Json] | None = None) -> Json:
    return {"uid": _uid(type_, id_), "attrs": attrs, "parents": parents or []}


def _uid(type_: str, id_: str) -> Json:
    return {"type": type_, "id": id_}


def _ref(type_: str, id_: str) -> Json:
    return {"__entity": {"type": type_, "id": id_}}
