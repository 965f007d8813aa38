"""Use cases of privilege groups and their members."""

from services.access.errors import AgentNotFound, AlreadyExists, GroupCycle, RuleNotFound
from services.access.model.rules import Group, Member
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import RuleChange, nothing
from services.chassis.auth.identity import Caller
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Owner
from services.chassis.rpc import paging
from services.chassis.rpc.errors import InvalidRequest

_ACTION = "access.manage"


class GroupService:
    """Keeps the groups of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def create(
        self, caller: Caller, name: str, *, title: str, description: str, asked: RequestIdentity
    ) -> Group:
        """Create a group. Raises AlreadyExists or IdempotencyMismatch."""
        group_id = _id(name)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Group:
            if dependencies.answered(tx, caller, asked) is None:
                revision = tx.ledger.bump()
                group = Group(caller.tenant, group_id, title, description, 0, now, revision)
                if not tx.groups.insert(group):
                    raise AlreadyExists(f"{name} exists already", metadata={"group": name})
                tx.usage.add(_tenant(caller), groups=1)
                dependencies.remember(tx, caller, asked, now, group_id)
                dependencies.record(
                    tx, caller.tenant, now, [dependencies.event(caller, "CreateGroup", _ACTION, name)]
                )
            return _found(tx, caller.tenant, name)

        return await self._deps.commit(work, nothing(caller.tenant))

    async def get(self, caller: Caller, name: str) -> Group:
        """Return one group. Raises RuleNotFound."""
        return await self._deps.store.read(lambda tx: _found(tx, caller.tenant, name))

    async def page(self, caller: Caller, member: str, size: int, token: str) -> tuple[list[Group], str]:
        """List groups by name, with `member` only those it is a direct member of."""
        limit = paging.page_size(size)
        position = paging.decode(token, caller.tenant, member, "groups", shape=(str,))
        after = str(position[0]) if position else ""
        found = await self._deps.store.read(
            lambda tx: tx.groups.page(caller.tenant, member, after, limit + 1)
        )
        if len(found) <= limit:
            return found, ""
        return found[:limit], paging.encode([found[limit - 1].id], caller.tenant, member, "groups")

    async def delete(self, caller: Caller, name: str, etag: str, asked: RequestIdentity) -> None:
        """Delete a group and revoke the grants it received. Raises RuleNotFound or EtagMismatch."""
        now = self._deps.clock.now()

        def work(tx: Transaction) -> None:
            if dependencies.answered(tx, caller, asked) is not None:
                return
            group = _found(tx, caller.tenant, name)
            dependencies.check_etag(etag, group.etag, name)
            gone = tx.groups.delete(caller.tenant, group.id, now)
            tx.usage.add(_tenant(caller), groups=-1, memberships=-gone.members)
            for owner in gone.grant_owners:
                tx.usage.add(dependencies.owner_of(tx, caller.tenant, owner), grants=-1)
            tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now)
            dependencies.record(
                tx, caller.tenant, now, [dependencies.event(caller, "DeleteGroup", _ACTION, name)]
            )

        await self._deps.commit(work, RuleChange(caller.tenant))

    async def add_member(self, caller: Caller, name: str, member: str, asked: RequestIdentity) -> Group:
        """Add an agent or group to a group. Raises RuleNotFound, AgentNotFound or GroupCycle."""
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Group:
            group = _found(tx, caller.tenant, name)
            if dependencies.answered(tx, caller, asked) is not None:
                return group
            must_exist(tx, caller.tenant, member)
            inner = member.removeprefix("groups/")
            if member.startswith("groups/") and inner in {group.id, *tx.groups.closure(caller.tenant, name)}:
                raise GroupCycle(f"{name} would be in itself", metadata={"group": name, "member": member})
            if tx.groups.add_member(caller.tenant, group.id, Member(member, now)):
                tx.usage.add(_tenant(caller), memberships=1)
                tx.groups.touch(caller.tenant, group.id, tx.ledger.bump())
                dependencies.record(
                    tx, caller.tenant, now, [dependencies.event(caller, "AddMember", _ACTION, name)]
                )
            dependencies.remember(tx, caller, asked, now)
            return _found(tx, caller.tenant, name)

        return await self._deps.commit(work, RuleChange(caller.tenant))

    async def remove_member(self, caller: Caller, name: str, member: str, asked: RequestIdentity) -> Group:
        """Remove a member from a group. Raises RuleNotFound."""
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Group:
            group = _found(tx, caller.tenant, name)
            if dependencies.answered(tx, caller, asked) is not None:
                return group
            if tx.groups.remove_member(caller.tenant, group.id, member):
                tx.usage.add(_tenant(caller), memberships=-1)
                tx.groups.touch(caller.tenant, group.id, tx.ledger.bump())
                dependencies.record(
                    tx, caller.tenant, now, [dependencies.event(caller, "RemoveMember", _ACTION, name)]
                )
            dependencies.remember(tx, caller, asked, now)
            return _found(tx, caller.tenant, name)

        return await self._deps.commit(work, RuleChange(caller.tenant))

    async def members(self, caller: Caller, name: str, size: int, token: str) -> tuple[list[Member], str]:
        """List the direct members of a group by name. Raises RuleNotFound."""
        limit = paging.page_size(size, default=100)
        position = paging.decode(token, caller.tenant, name, "members", shape=(str,))
        after = str(position[0]) if position else ""

        def work(tx: Transaction) -> list[Member]:
            group = _found(tx, caller.tenant, name)
            return tx.groups.members(caller.tenant, group.id, after, limit + 1)

        found = await self._deps.store.read(work)
        if len(found) <= limit:
            return found, ""
        return found[:limit], paging.encode([found[limit - 1].name], caller.tenant, name, "members")


def must_exist(tx: Transaction, tenant: str, member: str) -> None:
    """Raise AgentNotFound or RuleNotFound when `agents/x` or `groups/x` does not exist in the tenant."""
    collection, _, identifier = member.partition("/")
    if collection == "agents" and tx.agents.get(tenant, identifier) is None:
        raise AgentNotFound(f"no agent {member}", metadata={"agent": member})
    if collection == "groups" and tx.groups.get(tenant, identifier) is None:
        raise RuleNotFound(f"no group {member}", metadata={"group": member})


def _tenant(caller: Caller) -> Owner:
    """Return whom groups are charged to: they belong to the tenant."""
    return Owner(caller.tenant, "", "")


def _id(name: str) -> str:
    collection, _, identifier = name.partition("/")
    if collection != "groups" or not identifier:
        raise InvalidRequest.field("name", "expected the name of a group: groups/{group}")
    return identifier


def _found(tx: Transaction, tenant: str, name: str) -> Group:
    group = tx.groups.get(tenant, _id(name))
    if group is None:
        raise RuleNotFound(f"no group {name}", metadata={"group": name})
    return group
