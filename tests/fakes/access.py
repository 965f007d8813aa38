"""Authorizers for tests: one follows the default rules of ownership, the others always say the same."""

from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc.errors import KernelError, PermissionDenied


class AllowOwner:
    """Permits what the default policies do: owners their own resources, administrators and services all.

    `grants` holds further permissions as (agent, action, resource). Every question is kept in `asked`.
    """

    def __init__(self, *grants: tuple[str, str, str]) -> None:
        self.grants = set(grants)
        self.asked: list[PermissionCheck] = []
        self.marked: dict[str, str] = {}
        """Agents that were marked, and what they read first."""

    async def mark(self, who: Principal, source: str) -> None:
        """Note the mark."""
        self.marked.setdefault(who.agent, source)

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission, or raise PermissionDenied."""
        self.asked.append(question)
        who = question.principal
        if who.kind is not Kind.AGENT or (who.agent, question.action, question.resource) in self.grants:
            return Permission(untrusted=who.agent in self.marked)
        head, _, rest = question.resource.partition("/")
        if head == "agents" and rest.partition("/")[0] != who.agent:
            raise PermissionDenied(
                f"agents/{who.agent} may not {question.action} {question.resource}",
                metadata={"action": question.action, "resource": question.resource},
            )
        return Permission(untrusted=who.agent in self.marked)


class AllowAll:
    """Permits everything; `marked` holds the agents that were marked, and what they read first."""

    def __init__(self) -> None:
        self.marked: dict[str, str] = {}

    async def mark(self, who: Principal, source: str) -> None:
        """Note the mark."""
        self.marked.setdefault(who.agent, source)

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission."""
        return Permission(untrusted=question.principal.agent in self.marked)


class Refuse:
    """Answers every question with one error."""

    def __init__(self, error: KernelError) -> None:
        self.error = error

    async def mark(self, _who: Principal, _source: str) -> None:
        """Raise the error."""
        raise self.error

    async def authorize(self, _question: PermissionCheck) -> Permission:
        """Raise the error."""
        raise self.error
