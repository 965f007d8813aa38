"""Use cases of grants: what an owner or administrator lets others do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.access.core.actions import is_grantable
from services.access.core.decision import decide, gather_input
from services.access.errors import RuleNotFound
from services.access.model.rules import Check, Grant
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.groups import must_exist
from services.access.service.watchers import RuleChange, nothing
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.chassis.times import micros

_ACTION = "access.grant"
_REMEMBERED: Final = timedelta(days=1)
"""How long a grant that ended is known, so that taking it back again is no error."""
_BATCH: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class NewGrant:
    """What a caller says about a grant it makes."""

    grantee: str
    resource: str
    prefix: bool = False
    actions: frozenset[str] = frozenset()
    expire_time: datetime | None = None
    description: str = ""


class GrantService:
    """Keeps the grants of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def create(self, caller: Caller, new: NewGrant, asked: RequestIdentity) -> Grant:
        """Make a grant. Nobody gives what it may not do itself.

        Raises InvalidRequest, RuleNotFound or AgentNotFound (the grantee), or PermissionDenied.
        """
        now = self._deps.clock.now()
        parsed = names.parse(new.resource, me=caller.agent, field="grant.resource")
        resource = str(parsed)
        if new.prefix and not new.resource.endswith("/"):
            raise InvalidRequest.field("grant.resource", "a prefix ends with a slash")
        if new.prefix:
            # The name of a whole collection, such as agents/planner/notes/, is formatted without its slash.
            resource = resource.rstrip("/") + "/"
        unknown = sorted(action for action in new.actions if not is_grantable(action))
        if unknown:
            raise InvalidRequest.field("grant.actions", f"cannot be granted: {', '.join(unknown)}")
        if new.expire_time is not None and new.expire_time <= now:
            raise InvalidRequest.field("grant.expire_time", "lies in the past")

        def work(tx: Transaction) -> Grant:
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return _found(tx, caller.tenant, known)
            must_exist(tx, caller.tenant, new.grantee)
            for action in sorted(new.actions):
                self._must_hold(tx, caller, action, resource, now)
            grant = Grant(
                tenant=caller.tenant,
                id=dependencies.new_id(),
                grantee=new.grantee,
                resource=resource,
                prefix=new.prefix,
                actions=new.actions,
                owner=parsed.owner,
                expire_time=new.expire_time,
                description=new.description,
                creator=caller.agent,
                create_time=now,
                family=dependencies.maker(caller).family,
                by_agent=caller.kind is Kind.AGENT,
            )
            tx.grants.insert(grant)
            owner = dependencies.owner_of(tx, caller.tenant, grant.owner)
            tx.usage.add(owner, grants=1, grant_rows=1)
            tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now, grant.id)
            dependencies.record(
                tx, caller.tenant, now, [dependencies.event(caller, "CreateGrant", _ACTION, resource)]
            )
            return grant

        return await self._deps.commit(work, nothing(caller.tenant))

    async def revoke(self, caller: Caller, name: str, asked: RequestIdentity) -> None:
        """Take a grant back. Raises RuleNotFound when it never existed."""
        now = self._deps.clock.now()
        grant_id = name.removeprefix("grants/")

        def work(tx: Transaction) -> Grant:
            grant = _found(tx, caller.tenant, grant_id)
            if dependencies.answered(tx, caller, asked) is not None or grant.revoked:
                return grant
            tx.grants.revoke(caller.tenant, grant_id, now)
            tx.usage.add(dependencies.owner_of(tx, caller.tenant, grant.owner), grants=-1)
            tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now)
            dependencies.record(
                tx, caller.tenant, now, [dependencies.event(caller, "RevokeGrant", _ACTION, grant.resource)]
            )
            return grant

        await self._deps.commit(work, _loss)

    async def forget(self) -> None:
        """Delete grants that ended a day ago."""
        before = self._deps.clock.now() - _REMEMBERED

        def work(tx: Transaction) -> int:
            gone = tx.grants.forget(before, _BATCH)
            for grant in gone:
                owner = dependencies.owner_of(tx, grant.tenant, grant.owner)
                tx.usage.add(owner, grants=-int(not grant.revoked), grant_rows=-1)
            tx.usage.settle(self._deps.settings.caps)
            return len(gone)

        while await self._deps.store.write(work) == _BATCH:
            pass

    async def page(
        self, caller: Caller, *, grantee: str, resource: str, size: int, token: str
    ) -> tuple[list[Grant], str]:
        """List grants in force, oldest first; an agent sees those on its resources and those it received."""
        limit = paging.page_size(size)
        if resource:
            resource = str(names.parse(resource, me=caller.agent, field="resource"))
        query = (caller.tenant, caller.kind.value, caller.agent, grantee, resource, "grants")
        position = [
            part for part in paging.decode(token, *query, shape=(int, str)) if isinstance(part, int | str)
        ]
        now = self._deps.clock.now()

        def work(tx: Transaction) -> list[Grant]:
            seen_by: frozenset[str] | None = None
            if caller.kind is Kind.AGENT:
                mine = tx.groups.closure(caller.tenant, dependencies.me(caller))
                seen_by = frozenset({dependencies.me(caller), *(f"groups/{group}" for group in mine)})
            return tx.grants.page(
                caller.tenant,
                seen_by=seen_by,
                owner=caller.agent if seen_by is not None else "",
                grantee=grantee,
                resource=resource,
                now=now,
                after=position,
                limit=limit + 1,
            )

        found = await self._deps.store.read(work)
        if len(found) <= limit:
            return found, ""
        last = found[limit - 1]
        return found[:limit], paging.encode([micros(last.create_time), last.id], *query)

    def _must_hold(self, tx: Transaction, caller: Caller, action: str, resource: str, now: datetime) -> None:
        principal = Principal(agent=caller.agent, tenant=caller.tenant, kind=caller.kind)
        if not decide(self._deps.engine, gather_input(tx, Check(principal, action, resource), now)).allowed:
            raise PermissionDenied(
                f"agents/{caller.agent} cannot give {action} on {resource}: it may not do it itself",
                metadata={"action": action, "resource": resource},
            )


def _found(tx: Transaction, tenant: str, grant_id: str) -> Grant:
    grant = tx.grants.get(tenant, grant_id)
    if grant is None:
        raise RuleNotFound(f"no grant grants/{grant_id}", metadata={"grant": f"grants/{grant_id}"})
    return grant


def _loss(grant: Grant) -> RuleChange:
    """Return what its end takes away: from one agent, or from whoever is in the group."""
    one = grant.grantee.startswith("agents/")
    return RuleChange(grant.tenant, frozenset({grant.grantee}) if one else None)
