"""The tables of agents and rules, as a transaction sees them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from services.access.model.agents import Agent, AgentKey, MadeBy, Revocation
from services.access.model.approvals import Approval, ApprovalState
from services.access.model.rules import (
    Dissolved,
    Grant,
    Group,
    Member,
    Policy,
)
from services.chassis.auth.identity import Principal
from services.chassis.quotas import Level, Owner


class Agents(Protocol):
    """The agents of all tenants; every method but one names the tenant."""

    def get(self, tenant: str, agent: str) -> Agent | None:
        """Return one agent, or None."""
        ...

    def insert(self, agent: Agent) -> bool:
        """Add an agent; False, and nothing changed, when the id is taken."""
        ...

    def update(self, agents: Iterable[Agent]) -> None:
        """Store agents that exist."""
        ...

    def living_children(self, tenant: str, parent: str) -> int:
        """Count the children that are not killed."""
        ...

    def descendants(self, agent: Agent) -> list[Agent]:
        """Return all agents below `agent`, in any order."""
        ...

    def page(self, tenant: str, under: str, after: str, limit: int) -> list[Agent]:
        """List up to `limit` agents in the order of their ids, those after the id `after`.

        `under` limits the list to one agent and what is below it; empty is the whole tenant.
        """
        ...

    def changed(self, tenant: str, under: str, after: int, limit: int) -> list[Agent]:
        """List up to `limit` agents changed after a revision, by revision, then id; `under` as in page."""
        ...

    def changed_anywhere(self, after: int, limit: int) -> list[Agent]:
        """List up to `limit` agents of all tenants changed after a revision, by revision, tenant, id."""
        ...

    def killed_before(self, time: datetime, limit: int) -> list[Agent]:
        """List killed agents of all tenants that last changed before a time and are not being purged."""
        ...

    def expired(self, now: datetime, limit: int) -> list[Agent]:
        """List agents of all tenants that live and whose time is over, the earliest and highest first."""
        ...

    def below_unpurged(self, agent: Agent, limit: int) -> list[Agent]:
        """List agents below `agent` that are not being purged."""
        ...

    def has_below(self, agent: Agent) -> bool:
        """Tell whether any agent is below `agent`, killed ones included."""
        ...

    def made_by(self, maker: MadeBy) -> list[Agent]:
        """List the agents of all tenants that a principal registered and that are not killed.

        One of which that was not noted counts as registered by its parent, with whatever token.
        """
        ...

    def delete(self, tenant: str, agent: str) -> None:
        """Forget an agent for good, also as the maker of others."""
        ...

    def add_key(self, key: AgentKey) -> None:
        """Add a key beside the ones that an agent has."""
        ...

    def key(self, key_hash: str) -> AgentKey | None:
        """Return the key with that hash, or None."""
        ...

    def keys_made_by(self, maker: MadeBy) -> list[AgentKey]:
        """List the keys for agents of all tenants that a principal made and that have not ended, by hash."""
        ...

    def count_keys(self, tenant: str, agent: str) -> int:
        """Count the keys of an agent."""
        ...

    def drop_key(self, key_hash: str) -> None:
        """Forget one key."""
        ...

    def drop_issued(self, tenant: str, agent: str, issue: str) -> None:
        """Forget the key of an agent that one request made."""
        ...

    def drop_keys(self, tenant: str, agents: Iterable[str]) -> None:
        """Forget the keys of agents."""
        ...


class Groups(Protocol):
    """Groups and their members, by tenant. Members are named `agents/{agent}` or `groups/{group}`."""

    def get(self, tenant: str, group: str) -> Group | None:
        """Return one group with its member count, or None."""
        ...

    def insert(self, group: Group) -> bool:
        """Add a group without members; False when the id is taken."""
        ...

    def touch(self, tenant: str, group: str, revision: int) -> None:
        """Note that a group or its members changed."""
        ...

    def delete(self, tenant: str, group: str, now: datetime) -> Dissolved:
        """Remove a group, its memberships on both sides, and revoke the grants to it; return what ended."""
        ...

    def page(self, tenant: str, member: str, after: str, limit: int) -> list[Group]:
        """List groups by id, those after `after`; with `member` only those it is a direct member of."""
        ...

    def add_member(self, tenant: str, group: str, member: Member) -> bool:
        """Add a member; False when it is one already."""
        ...

    def remove_member(self, tenant: str, group: str, member: str) -> bool:
        """Remove a member; False when it is none."""
        ...

    def members(self, tenant: str, group: str, after: str, limit: int) -> list[Member]:
        """List direct members by name, those after the name `after`."""
        ...

    def closure(self, tenant: str, member: str) -> frozenset[str]:
        """Return the ids of all groups that a member is in, directly or through other groups."""
        ...


class Grants(Protocol):
    """Grants, by tenant."""

    def get(self, tenant: str, grant: str) -> Grant | None:
        """Return one grant, revoked or not, or None."""
        ...

    def insert(self, grant: Grant) -> None:
        """Add a grant with a new id."""
        ...

    def revoke(self, tenant: str, grant: str, now: datetime) -> None:
        """Take a grant out of force for good; it expires now."""
        ...

    def forget(self, ended_before: datetime, limit: int) -> list[Grant]:
        """Delete up to `limit` grants of all tenants that were revoked or expired by then; return them."""
        ...

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
        """List grants in force by (create_time, id), those after that position (micros, id).

        With `seen_by` only grants to one of these grantees or on what `owner` owns; `grantee` and `resource`
        narrow further when not empty.
        """
        ...

    def made_by(self, maker: MadeBy) -> list[Grant]:
        """List the grants that a principal gave and nobody has revoked, by id."""
        ...

    def matching(self, tenant: str, resource: str, grantees: frozenset[str]) -> list[Grant]:
        """Return the grants on `resource` to one of `grantees` that were not revoked, by id."""
        ...


class Policies(Protocol):
    """Versions of the tenants' policies. At most one version of a policy is active."""

    def get(self, tenant: str, policy: str, version: int) -> Policy | None:
        """Return one version; 0 is the active one. None when there is none."""
        ...

    def newest(self, tenant: str, policy: str) -> Policy | None:
        """Return the newest version, active or not, or None."""
        ...

    def put(self, policy: Policy) -> None:
        """Add a version and make it the active one."""
        ...

    def deactivate(self, tenant: str, policy: str) -> None:
        """Take a policy out of force."""
        ...

    def active(self, tenant: str) -> tuple[Policy, ...]:
        """Return the active versions, by id."""
        ...

    def versions(self, tenant: str, policy: str, before: int, limit: int) -> list[Policy]:
        """List versions, newest first, those before the version `before` (0: from the newest)."""
        ...


class Approvals(Protocol):
    """Approvals, by tenant."""

    def get(self, tenant: str, approval: str) -> Approval | None:
        """Return one approval, or None."""
        ...

    def insert(self, approval: Approval) -> None:
        """Add an approval with a new id."""
        ...

    def update(self, approval: Approval) -> None:
        """Store an approval that exists."""
        ...

    def open_for(self, wanted: Approval, now: datetime) -> Approval | None:
        """Return the pending or approved one for the same agent, action, resource and arguments, or None."""
        ...

    def pending_count(self, tenant: str, agent: str, now: datetime) -> int:
        """Count the approvals of an agent that wait for a decision."""
        ...

    def load(self, owner: Owner, now: datetime) -> dict[Level, tuple[int, int]]:
        """Return how many are open at each level of an agent, and the bytes of their arguments."""
        ...

    def put_arguments(self, approval: Approval, content: bytes) -> None:
        """Keep the whole arguments of an approval."""
        ...

    def arguments(self, tenant: str, approval: str) -> bytes | None:
        """Return the whole arguments, or None when they are not kept."""
        ...

    def drop_arguments(self, tenant: str, approval: str) -> None:
        """Forget the arguments of an approval."""
        ...

    def forget_arguments(self, now: datetime) -> None:
        """Forget the arguments of all approvals that are not open any more."""
        ...

    def forget(self, ended_before: datetime, limit: int) -> list[Approval]:
        """Delete approvals whose time was over by then; return them."""
        ...

    def page(
        self,
        tenant: str,
        agent: str,
        *,
        states: frozenset[ApprovalState],
        now: datetime,
        before: Sequence[str | int],
        limit: int,
    ) -> list[Approval]:
        """List approvals newest first by (create_time, id), those before that position (micros, id).

        `agent` and `states` (as of `now`) narrow when not empty.
        """
        ...

    def changed(self, tenant: str, agent: str, after: int, limit: int) -> list[Approval]:
        """List up to `limit` approvals changed after the sequence `after`, in that order."""
        ...


class Tokens(Protocol):
    """Revoked tokens that have not expired."""

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Add revocations; the same token or agent again replaces the older one."""
        ...

    def revoked(self, after: int, now: datetime) -> list[Revocation]:
        """Return the unexpired revocations made after the revision `after`."""
        ...

    def is_revoked(self, holder: Principal) -> bool:
        """Tell whether a token is refused, by its id, its session's, or because all of its agent's are."""
        ...

    def revoked_until(self, tenant: str, agent: str) -> datetime | None:
        """Return up to when tokens of an agent are refused, or None."""
        ...

    def known(self, revocation: Revocation) -> Revocation | None:
        """Return the one that an older request made of the same token or agent, or None."""
        ...

    def forget(self, now: datetime, limit: int) -> list[Revocation]:
        """Delete expired revocations; return them."""
        ...
