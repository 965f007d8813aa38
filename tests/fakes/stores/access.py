"""The store in memory: for tests and trials. Nothing survives the process."""

import asyncio
import dataclasses
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.access.model.agents import Agent, AgentKey, AgentState, MadeBy, Maker, Revocation
from services.access.model.rules import Dissolved, Grant, Group, Member, Policy
from services.access.ports.audit import SealKeys
from services.access.ports.store import T, Work
from services.chassis.auth.identity import Principal, family_above
from services.chassis.auth.tokens import family_began
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Owner, Tab, Usage
from services.chassis.rpc.errors import IdempotencyMismatch
from services.chassis.times import micros
from tests.fakes.seal_keys import SEAL_KEYS
from tests.fakes.stores.access_people import MemoryApprovalRules, MemoryPersons
from tests.fakes.stores.access_purges import MemoryPurges
from tests.fakes.stores.access_records import MemoryApprovals, MemoryAudit
from tests.fakes.stores.access_tables import World

_KEPT: Final = timedelta(hours=24)


class MemoryStore:
    """One world. A writer works on a copy that takes the world's place at the end."""

    def __init__(self, keys: SealKeys = SEAL_KEYS) -> None:
        self._world = World()
        self._keys = keys
        self._epoch = secrets.token_hex(8)
        self._writing = asyncio.Lock()

    async def read(self, work: Work[T]) -> T:
        """Run `work` on the world as it is."""
        return work(MemoryTransaction(self._world.snapshot(), self._epoch, self._keys))

    async def write(self, work: Work[T]) -> T:
        """Run `work` on a copy; it becomes the world unless `work` raises."""
        async with self._writing:
            world = self._world.snapshot()
            result = work(MemoryTransaction(world, self._epoch, self._keys))
            self._world = world
            return result


class MemoryTransaction:
    """All tables of one world."""

    def __init__(self, world: World, epoch: str, keys: SealKeys) -> None:
        self.agents = MemoryAgents(world)
        self.groups = MemoryGroups(world)
        self.grants = MemoryGrants(world)
        self.policies = MemoryPolicies(world)
        self.approvals = MemoryApprovals(world)
        self.approval_rules = MemoryApprovalRules(world)
        self.persons = MemoryPersons(world)
        self.audit = MemoryAudit(world, keys)
        self.purges = MemoryPurges(world)
        self.tokens = MemoryTokens(world)
        self.usage = MemoryUsage(world)
        self.ledger = MemoryLedger(world, epoch, self.usage)


class MemoryAgents:
    """See ports.Agents."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, agent: str) -> Agent | None:
        """Return one agent, or None."""
        return self._world.agents.get((tenant, agent))

    def insert(self, agent: Agent) -> bool:
        """Add an agent; False when the id is taken."""
        return self._world.agents.setdefault((agent.tenant, agent.id), agent) is agent

    def update(self, agents: Iterable[Agent]) -> None:
        """Store agents that exist."""
        for agent in agents:
            self._world.agents[agent.tenant, agent.id] = agent

    def living_children(self, tenant: str, parent: str) -> int:
        """Count the children that are not killed."""
        mine = (agent for agent in self._of(tenant) if agent.parent == parent)
        return sum(agent.state is not AgentState.KILLED for agent in mine)

    def descendants(self, agent: Agent) -> list[Agent]:
        """Return all agents below `agent`."""
        return [below for below in self._of(agent.tenant) if agent.id in below.ancestors]

    def page(self, tenant: str, under: str, after: str, limit: int) -> list[Agent]:
        """List agents by id."""
        found = [agent for agent in self._of(tenant) if agent.id > after and _below(agent, under)]
        return sorted(found, key=lambda agent: agent.id)[:limit]

    def changed(self, tenant: str, under: str, after: int, limit: int) -> list[Agent]:
        """List agents by the revision of their last change."""
        found = [agent for agent in self._of(tenant) if agent.revision > after and _below(agent, under)]
        return sorted(found, key=lambda agent: (agent.revision, agent.id))[:limit]

    def changed_anywhere(self, after: int, limit: int) -> list[Agent]:
        """List agents of all tenants by the revision of their last change."""
        found = [agent for agent in self._world.agents.values() if agent.revision > after]
        return sorted(found, key=lambda agent: (agent.revision, agent.tenant, agent.id))[:limit]

    def killed_before(self, time: datetime, limit: int) -> list[Agent]:
        """List killed agents that last changed before a time and are not being purged."""
        found = [
            one
            for one in self._world.agents.values()
            if one.state is AgentState.KILLED and one.update_time < time and self._unpurged(one)
        ]
        return sorted(found, key=lambda one: one.update_time)[:limit]

    def expired(self, now: datetime, limit: int) -> list[Agent]:
        """List agents that live and whose time is over."""
        found = [
            (one.expire_time, len(one.ancestors), one.tenant, one.id, one)
            for one in self._world.agents.values()
            if one.state is not AgentState.KILLED and one.expire_time is not None and one.expire_time <= now
        ]
        return [one for *_, one in sorted(found, key=lambda it: it[:4])][:limit]

    def below_unpurged(self, agent: Agent, limit: int) -> list[Agent]:
        """List agents below `agent` that are not being purged."""
        return [one for one in self.descendants(agent) if self._unpurged(one)][:limit]

    def has_below(self, agent: Agent) -> bool:
        """Tell whether any agent is below `agent`."""
        return bool(self.descendants(agent))

    def made_by(self, maker: MadeBy) -> list[Agent]:
        """List the agents of all tenants that a principal registered and that are not killed."""
        found = [
            one
            for one in self._world.agents.values()
            if one.state is not AgentState.KILLED and maker.covers(_maker_of(one, maker), one.create_time)
        ]
        return sorted(found, key=lambda one: (one.tenant, one.id))

    def delete(self, tenant: str, agent: str) -> None:
        """Forget an agent for good, also as the maker of others."""
        self._world.agents.pop((tenant, agent), None)
        for key, one in list(self._world.agents.items()):
            if (one.maker.tenant, one.maker.id) == (tenant, agent):
                self._world.agents[key] = dataclasses.replace(one, maker=Maker())

    def _unpurged(self, agent: Agent) -> bool:
        return (agent.tenant, agent.id) not in self._world.purges

    def add_key(self, key: AgentKey) -> None:
        """Add a key beside the ones that an agent has."""
        self._world.keys[key.hash] = key

    def key(self, key_hash: str) -> AgentKey | None:
        """Return the key with that hash, or None."""
        return self._world.keys.get(key_hash)

    def keys_made_by(self, maker: MadeBy) -> list[AgentKey]:
        """List the keys for agents of all tenants that a principal made, by hash."""
        found = [one for one in self._world.keys.values() if maker.covers(one.maker, one.create_time)]
        return sorted(found, key=lambda one: one.hash)

    def count_keys(self, tenant: str, agent: str) -> int:
        """Count the keys of an agent."""
        return sum((one.tenant, one.agent) == (tenant, agent) for one in self._world.keys.values())

    def drop_key(self, key_hash: str) -> None:
        """Forget one key."""
        self._world.keys.pop(key_hash, None)

    def drop_issued(self, tenant: str, agent: str, issue: str) -> None:
        """Forget the key of an agent that one request made."""
        gone = [
            one
            for one in self._world.keys.values()
            if (one.tenant, one.agent, one.issue) == (tenant, agent, issue)
        ]
        for one in gone:
            del self._world.keys[one.hash]

    def drop_keys(self, tenant: str, agents: Iterable[str]) -> None:
        """Forget the keys of agents."""
        gone = {(tenant, agent) for agent in agents}
        kept = [one for one in self._world.keys.values() if (one.tenant, one.agent) not in gone]
        self._world.keys = {one.hash: one for one in kept}

    def _of(self, tenant: str) -> list[Agent]:
        return [agent for (owner, _), agent in self._world.agents.items() if owner == tenant]


def _maker_of(agent: Agent, asked: MadeBy) -> Maker:
    unnoted = not agent.maker.id and not asked.family
    return Maker(agent.tenant, agent.parent) if unnoted else agent.maker


class MemoryGroups:
    """See ports.Groups."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, group: str) -> Group | None:
        """Return one group with its member count, or None."""
        found = self._world.groups.get((tenant, group))
        if found is None:
            return None
        count = sum(key[:2] == (tenant, group) for key in self._world.members)
        return dataclasses.replace(found, member_count=count)

    def insert(self, group: Group) -> bool:
        """Add a group; False when the id is taken."""
        return self._world.groups.setdefault((group.tenant, group.id), group) is group

    def touch(self, tenant: str, group: str, revision: int) -> None:
        """Note that a group or its members changed."""
        key = (tenant, group)
        self._world.groups[key] = dataclasses.replace(self._world.groups[key], revision=revision)

    def delete(self, tenant: str, group: str, now: datetime) -> Dissolved:
        """Remove a group, its memberships, and revoke the grants to it."""
        del self._world.groups[tenant, group]
        name = f"groups/{group}"
        before = len(self._world.members)
        self._world.members = {
            key: member
            for key, member in self._world.members.items()
            if key[:2] != (tenant, group) and (key[0], key[2]) != (tenant, name)
        }
        owners = []
        for key, grant in list(self._world.grants.items()):
            if key[0] == tenant and grant.grantee == name and not grant.revoked:
                self._world.grants[key] = _revoked(grant, now)
                owners.append(grant.owner)
        return Dissolved(before - len(self._world.members), tuple(sorted(owners)))

    def page(self, tenant: str, member: str, after: str, limit: int) -> list[Group]:
        """List groups by id."""
        found = [
            self.get(tenant, group)
            for owner, group in sorted(self._world.groups)
            if owner == tenant
            and group > after
            and (not member or (tenant, group, member) in self._world.members)
        ]
        return [group for group in found if group][:limit]

    def add_member(self, tenant: str, group: str, member: Member) -> bool:
        """Add a member; False when it is one already."""
        return self._world.members.setdefault((tenant, group, member.name), member) is member

    def remove_member(self, tenant: str, group: str, member: str) -> bool:
        """Remove a member; False when it is none."""
        return self._world.members.pop((tenant, group, member), None) is not None

    def members(self, tenant: str, group: str, after: str, limit: int) -> list[Member]:
        """List direct members by name."""
        found = [
            member
            for key, member in sorted(self._world.members.items())
            if key[:2] == (tenant, group) and member.name > after
        ]
        return found[:limit]

    def closure(self, tenant: str, member: str) -> frozenset[str]:
        """Return the ids of all groups that a member is in."""
        found: set[str] = set()
        waiting = [member]
        while waiting:
            inner = waiting.pop()
            direct = {group for owner, group, name in self._world.members if (owner, name) == (tenant, inner)}
            waiting += [f"groups/{group}" for group in direct - found]
            found |= direct
        return frozenset(found)


class MemoryGrants:
    """See ports.Grants."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, grant: str) -> Grant | None:
        """Return one grant, revoked or not, or None."""
        return self._world.grants.get((tenant, grant))

    def insert(self, grant: Grant) -> None:
        """Add a grant with a new id."""
        self._world.grants[grant.tenant, grant.id] = grant

    def revoke(self, tenant: str, grant: str, now: datetime) -> None:
        """Take a grant out of force for good; it expires now."""
        key = (tenant, grant)
        self._world.grants[key] = _revoked(self._world.grants[key], now)

    def forget(self, ended_before: datetime, limit: int) -> list[Grant]:
        """Delete grants that were revoked or expired by then; return them."""
        ended = [g for g in self._world.grants.values() if g.expire_time and g.expire_time <= ended_before]
        for grant in ended[:limit]:
            del self._world.grants[grant.tenant, grant.id]
        return ended[:limit]

    def page(
        self,
        tenant: str,
        *,
        seen_by: frozenset[str] | None,
        owner: str,
        grantee: str,
        resource: str,
        now: datetime,
        after: Sequence[str | int],
        limit: int,
    ) -> list[Grant]:
        """List grants in force by (create_time, id)."""
        found = [
            grant
            for grant in self._in_force(tenant, now)
            if (seen_by is None or grant.grantee in seen_by or grant.owner == owner)
            and grantee in ("", grant.grantee)
            and (not resource or grant.covers(resource))
            and [micros(grant.create_time), grant.id] > list(after)
        ]
        return sorted(found, key=lambda grant: (grant.create_time, grant.id))[:limit]

    def made_by(self, maker: MadeBy) -> list[Grant]:
        """List the grants that a principal gave and nobody has revoked, by id."""
        found = [
            one
            for one in self._world.grants.values()
            if not one.revoked and maker.covers(Maker(one.tenant, one.creator, one.family), one.create_time)
        ]
        return sorted(found, key=lambda one: one.id)

    def matching(self, tenant: str, resource: str, grantees: frozenset[str]) -> list[Grant]:
        """Return the grants on `resource` to one of `grantees` that were not revoked, by id."""
        found = [
            grant
            for (owner, _), grant in self._world.grants.items()
            if owner == tenant and grant.grantee in grantees and grant.covers(resource) and not grant.revoked
        ]
        return sorted(found, key=lambda grant: grant.id)

    def _in_force(self, tenant: str, now: datetime) -> list[Grant]:
        return [g for (owner, _), g in self._world.grants.items() if owner == tenant and g.in_force(now)]


class MemoryPolicies:
    """See ports.Policies."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, policy: str, version: int) -> Policy | None:
        """Return one version; 0 is the active one."""
        if version:
            return self._world.policies.get((tenant, policy, version))
        return next((one for one in self._versions(tenant, policy) if one.active), None)

    def newest(self, tenant: str, policy: str) -> Policy | None:
        """Return the newest version, active or not, or None."""
        return next(iter(self._versions(tenant, policy)), None)

    def put(self, policy: Policy) -> None:
        """Add a version and make it the active one."""
        self.deactivate(policy.tenant, policy.id)
        self._world.policies[policy.tenant, policy.id, policy.version] = policy

    def deactivate(self, tenant: str, policy: str) -> None:
        """Take a policy out of force."""
        for one in self._versions(tenant, policy):
            self._world.policies[tenant, policy, one.version] = dataclasses.replace(one, active=False)

    def active(self, tenant: str) -> tuple[Policy, ...]:
        """Return the active versions, by id."""
        found = [one for key, one in self._world.policies.items() if key[0] == tenant and one.active]
        return tuple(sorted(found, key=lambda one: one.id))

    def versions(self, tenant: str, policy: str, before: int, limit: int) -> list[Policy]:
        """List versions, newest first."""
        return [one for one in self._versions(tenant, policy) if not before or one.version < before][:limit]

    def _versions(self, tenant: str, policy: str) -> list[Policy]:
        found = [one for key, one in self._world.policies.items() if key[:2] == (tenant, policy)]
        return sorted(found, key=lambda one: -one.version)


class MemoryTokens:
    """See ports.Tokens."""

    def __init__(self, world: World) -> None:
        self._world = world

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Add revocations."""
        for one in revocations:
            self._world.revocations[one.tenant, one.agent, one.token_id] = one

    def revoked(self, after: int, now: datetime) -> list[Revocation]:
        """Return the unexpired revocations made after the revision `after`."""
        found = [
            one for one in self._world.revocations.values() if one.revision > after and one.expire_time > now
        ]
        return sorted(found, key=lambda one: (one.revision, one.agent, one.token_id))

    def is_revoked(self, holder: Principal) -> bool:
        """Tell whether a token is refused."""
        ids = {holder.token_id, holder.session_id, family_above(holder.session_id)} - {""}
        whose = {(holder.tenant, ""), (holder.tenant, holder.agent)}
        if any(
            one.token_id in ids and (one.tenant, one.agent) in whose
            for one in self._world.revocations.values()
        ):
            return True
        until = self.revoked_until(holder.tenant, holder.agent)
        return until is not None and family_began(holder) <= until.timestamp()

    def revoked_until(self, tenant: str, agent: str) -> datetime | None:
        """Return up to when tokens of an agent are refused, or None."""
        found = self._world.revocations.get((tenant, agent, ""))
        return found.revoke_time if found else None

    def known(self, revocation: Revocation) -> Revocation | None:
        """Return the one that an older request made of the same token or agent, or None."""
        return self._world.revocations.get((revocation.tenant, revocation.agent, revocation.token_id))

    def forget(self, now: datetime, limit: int) -> list[Revocation]:
        """Delete expired revocations; return them."""
        gone = [one for one in self._world.revocations.values() if one.expire_time <= now][:limit]
        for one in gone:
            del self._world.revocations[one.tenant, one.agent, one.token_id]
        return gone


class MemoryUsage:
    """See ports.UsageSums."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tab = Tab()

    def add(self, owner: Owner, **changes: int) -> None:
        """Note what an owner has more, or less, of each quota."""
        self._tab.add(owner, changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        self._world.usage.charge(self._tab.owed(), caps)

    def told(self, owner: Owner, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return self._world.usage.told(owner, caps)


class MemoryLedger:
    """See ports.Ledger."""

    def __init__(self, world: World, epoch: str, usage: MemoryUsage) -> None:
        self._world = world
        self._usage = usage
        self._epoch = epoch

    def revision(self) -> int:
        """Return the revision of the rules."""
        return self._world.counters.get("revision", 0)

    def bump(self) -> int:
        """Raise the revision by one."""
        return self._raise("revision")

    def sequence(self) -> int:
        """Return the number of changes of approvals."""
        return self._world.counters.get("sequence", 0)

    def advance(self) -> int:
        """Raise the sequence by one."""
        return self._raise("sequence")

    def epoch(self) -> str:
        """Return the id of this store."""
        return self._epoch

    def remembered(self, tenant: str, request: RequestIdentity) -> str | None:
        """Return what the first request of this identity answered. Raises IdempotencyMismatch."""
        known = self._world.answers.get(_answer_key(tenant, request))
        if known is None or not request.request_id:
            return None
        if known[0] != request.digest:
            raise IdempotencyMismatch(
                f"request_id {request.request_id} was used for another request",
                metadata={"request_id": request.request_id},
            )
        return known[1]

    def remember(self, tenant: str, request: RequestIdentity, answer: str, now: datetime) -> None:
        """Keep an answer."""
        if request.request_id:
            self._world.answers[_answer_key(tenant, request)] = (request.digest, answer, now)
            self._usage.add(request.charged(tenant), **{REPLIES: 1})

    def forget(self, now: datetime) -> int:
        """Delete answers older than a day."""
        old = [key for key, (_, _, at) in self._world.answers.items() if at < now - _KEPT]
        for key in old:
            del self._world.answers[key]
            self._world.usage.charge([(Owner(key[0], key[1], ""), {REPLIES: -1})], {})
        return len(old)

    def _raise(self, counter: str) -> int:
        self._world.counters[counter] = self._world.counters.get(counter, 0) + 1
        return self._world.counters[counter]


def _revoked(grant: Grant, now: datetime) -> Grant:
    return dataclasses.replace(grant, revoked=True, expire_time=min(grant.expire_time or now, now))


def _below(agent: Agent, under: str) -> bool:
    return not under or agent.id == under or under in agent.ancestors


def _answer_key(tenant: str, request: RequestIdentity) -> tuple[str, str, str, str]:
    return tenant, request.agent, request.method, request.request_id
