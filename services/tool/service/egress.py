"""Use cases: administrators narrow where their tenant's tools may send to."""

from dataclasses import dataclass
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.tool.core.egress import OperatorRules, OriginPattern
from services.tool.errors import EtagMismatch
from services.tool.model import Narrowing
from services.tool.ports import Audit, Store, Transaction
from services.tool.service.dependencies import Dependencies

_ACTION: Final = "tool.egress"
_RESOURCE: Final = "egress"


@dataclass(frozen=True, slots=True)
class ShownEgress:
    """Where a tenant's tools may send to."""

    narrowing: Narrowing
    allowed: tuple[str, ...]
    """What the operator allows the tenant, places inside by their origin."""


class StoredRules:
    """The EgressRules port on the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def narrowed(self, tenant: str) -> tuple[OriginPattern, ...] | None:
        """Return the origins that a tenant's tools may reach; None: all that the operator allows."""
        kept = await self._store.read(Scope(tenant, ""), lambda tx: tx.narrowing())
        return None if kept.origins is None else tuple(map(OriginPattern.read, kept.origins))


class EgressAdmin:
    """Sets and shows where the tools of a tenant may send to."""

    def __init__(self, deps: Dependencies, operator: OperatorRules, audit: Audit) -> None:
        self._deps = deps
        self._operator = operator
        self._audit = audit

    async def set(
        self, scope: Scope, actor: RequestIdentity, origins: tuple[str, ...] | None, etag: str
    ) -> ShownEgress:
        """Keep the origins that tools may reach; None: all that the operator allows.

        Raises InvalidRequest, PermissionDenied, EtagMismatch, IdempotencyMismatch, and what the audit log
        refuses with.
        """
        _administrator(admin=actor.admin)
        patterns = None if origins is None else tuple(str(_pattern(text)) for text in origins)
        await self._audit.note("SetEgressPolicy", _ACTION, _RESOURCE, actor)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Narrowing:
            known = tx.narrowing()
            if etag and etag != str(known.version):
                text = "where tools may send to has changed; read it again"
                raise EtagMismatch(text, metadata={"etag": str(known.version)})
            made = Narrowing(origins=patterns, version=known.version + 1, updated_at=now)
            tx.put_narrowing(made)
            return made

        return self._shown(scope, await self._deps.once(scope, actor, Narrowing, work))

    async def get(self, scope: Scope, *, admin: bool) -> ShownEgress:
        """Return where tools may send to. Raises PermissionDenied."""
        _administrator(admin=admin)
        return self._shown(scope, await self._deps.store.read(scope, lambda tx: tx.narrowing()))

    def _shown(self, scope: Scope, narrowing: Narrowing) -> ShownEgress:
        policy = self._operator.policy(scope.tenant, None)
        inside = (str(target.origin) for target in policy.internal)
        return ShownEgress(narrowing, (*map(str, policy.allowed), *inside))


def _pattern(text: str) -> OriginPattern:
    try:
        return OriginPattern.read(text)
    except ValueError as error:
        raise InvalidRequest.field("policy.origins", str(error)) from error


def _administrator(*, admin: bool) -> None:
    if not admin:
        raise PermissionDenied("where tools send to is for administrators", metadata={"action": _ACTION})
