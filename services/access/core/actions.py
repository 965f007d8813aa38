"""Every action the kernel knows and who may do it unless a policy says more.

This table is the one place: the Cedar schema's action list is made from it, and a test compares it with the
permissions that the protos name.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Scope(Enum):
    """A built-in reason to permit an action. Values are action groups in policies, `Action::"own"`."""

    OWN = "own"  # an agent, on itself and what belongs to it
    TREE = "tree"  # an agent, on its descendants and what belongs to them
    OPEN = "open"  # every active agent, on what belongs to the tenant
    SHARE = "share"  # whoever holds a grant
    ADMIN = "admin"  # a tenant's administrators
    PERSON = "person"  # the tenant's persons
    ADMINISTRATORS = "administrators"  # administrators and nobody else
    KERNEL = "kernel"  # the kernel's administrators and nobody else
    SERVICE = "service"  # the kernel's processes and nobody else
    PROCESS = "process"  # the kernel's processes beside others


_DATA: Final = frozenset({Scope.OWN, Scope.SHARE, Scope.ADMIN})
_STEER: Final = frozenset({Scope.OWN, Scope.TREE, Scope.SHARE, Scope.ADMIN})
_COMMON: Final = frozenset({Scope.OWN, Scope.OPEN, Scope.ADMIN})
_TOOL: Final = frozenset({Scope.OWN, Scope.OPEN, Scope.SHARE, Scope.ADMIN})
_SELF: Final = frozenset({Scope.OWN, Scope.ADMIN})
_ADMIN: Final = frozenset({Scope.ADMIN})
_ADMIN_ALONE: Final = frozenset({Scope.ADMIN, Scope.ADMINISTRATORS})
_PERSON: Final = frozenset({Scope.PERSON})
_SHAREABLE_ADMIN: Final = frozenset({Scope.ADMIN, Scope.SHARE})
_KERNEL: Final = frozenset({Scope.KERNEL})
_SERVICE: Final = frozenset({Scope.SERVICE})

PRIVILEGE: Final = "agent.privilege"
"""Needed for hints above an agent's caps and to raise the caps."""

REVIEW: Final = "access.review"
"""Needed to be told what somebody may do. Everybody keeps it on itself."""

ACTIONS: Final[Mapping[str, frozenset[Scope]]] = {
    "access.append_audit": _SERVICE,
    "access.approval": _SERVICE,
    "access.administer": _ADMIN_ALONE,
    "access.approve": _ADMIN | _PERSON,
    "access.audit": _SELF | _PERSON,
    "access.check": _SERVICE,
    "access.erase": _ADMIN_ALONE,
    "access.exchange": _SERVICE,
    "access.grant": _SELF,
    "access.manage": _ADMIN,
    "access.purge": _SERVICE,
    "access.read": _COMMON | _PERSON,
    REVIEW: _SELF | _PERSON | {Scope.TREE},
    "access.revoke": _SELF | {Scope.TREE},
    "agent.clear_untrusted": _SHAREABLE_ADMIN | _PERSON,
    "agent.control": _STEER | _PERSON,
    # No OWN: a stolen token makes no credential that outlives it.
    "agent.issue_key": frozenset({Scope.TREE, Scope.ADMIN}),
    "agent.list": _STEER | _PERSON | {Scope.PROCESS},
    PRIVILEGE: _SHAREABLE_ADMIN,
    "agent.purge": _ADMIN_ALONE,
    "agent.read": _STEER | _PERSON,
    "agent.register": _SELF,
    "agent.trace": _STEER | _PERSON,
    "agent.update": _STEER,
    "context.delete": _DATA,
    "context.read": _DATA,
    "context.write": _DATA,
    "inference.cancel": _STEER,
    "inference.embed": _COMMON,
    "inference.generate": _COMMON,
    "inference.list": _COMMON,
    "inference.watch": _STEER,
    "memory.delete": _DATA,
    "memory.read": _DATA,
    "memory.write": _DATA,
    "scheduler.cancel": _STEER,
    "scheduler.configure": _KERNEL,
    "scheduler.dispatch": _SERVICE,
    "scheduler.explain": _STEER,
    "scheduler.list": _STEER,
    "scheduler.queue": _COMMON,
    "storage.delete": _DATA,
    "storage.read": _DATA,
    "storage.share": _SELF,
    "storage.write": _DATA,
    "tool.accept": _ADMIN | _PERSON,
    "tool.call": _TOOL,
    "tool.cancel": _STEER,
    "tool.egress": _ADMIN_ALONE,
    "tool.make": _SELF,
    "tool.provide": _SELF,
    "tool.read": _TOOL,
    "tool.register": _SHAREABLE_ADMIN,
    "tool.secrets": _ADMIN_ALONE,
    "tool.review": _SELF | _PERSON,
    "tool.revoke": _ADMIN | _PERSON,
}


KEPT: Final = frozenset(
    {
        "access.administer",
        "access.audit",
        "access.read",
        "access.revoke",
        "agent.control",
        "agent.list",
        "agent.read",
    }
)
"""What administrators keep on everything in their tenant."""
_REPAIRED: Final = frozenset(
    {("access.manage", ""), ("access.manage", "policies"), ("access.grant", "grants")}
)
"""Actions with the collections on which they mend rules; "": on nothing by name, as to validate a text."""


def is_kept(action: str, resource: str) -> bool:
    """Tell whether an administrator does this whatever the tenant's policies say.

    To look, to stop agents, to revoke and to mend the rules: without these a mistaken or malicious policy
    could not be taken back. A check when a policy is put would not do: its condition may come true later.
    """
    return action in KEPT or (action, resource.partition("/")[0]) in _REPAIRED


def is_kept_by_all(action: str, resource: str, principal: str) -> bool:
    """Tell whether a principal does this on itself whatever the tenant's policies say: to ask what it may do.

    The answer tells it nothing that trying would not, and whoever is refused can learn why.
    """
    return action == REVIEW and resource in ("", f"agents/{principal}", f"persons/{principal}")


def schema_of_actions(principals: str, resources: str) -> str:
    """Write the Cedar declarations of all actions and scopes; the arguments are lists of entity types."""
    groups = [f'action "{scope.value}";' for scope in Scope]
    shape = f"{{ principal: [{principals}], resource: [{resources}], context: Circumstances }}"
    lines = [
        f'action "{name}" in [{", ".join(sorted(_quoted(scopes)))}] appliesTo {shape};'
        for name, scopes in sorted(ACTIONS.items())
    ]
    return "\n".join([*groups, *lines, ""])


def is_grantable(action: str) -> bool:
    """Tell whether a grant can convey the action."""
    return Scope.SHARE in ACTIONS.get(action, frozenset())


def _quoted(scopes: frozenset[Scope]) -> list[str]:
    return [f'"{scope.value}"' for scope in scopes]
