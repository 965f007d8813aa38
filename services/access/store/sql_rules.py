"""Groups, grants and policies in SQL. See ports.Groups, Grants and Policies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.access.core.decision_input import prefixes
from services.access.model.agents import MadeBy
from services.access.model.rules import Dissolved, Grant, Group, Member, Policy
from services.access.store import rows
from services.access.store.tables import grants, groups, members, of_family, policies
from services.chassis.db.sql import insert_new
from services.chassis.times import from_micros, micros


class SqlGroups:
    """The groups of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, group: str) -> Group | None:
        """Return one group with its member count, or None."""
        row = self._conn.execute(_groups().where(groups.c.tenant == tenant, groups.c.id == group)).first()
        return _group(row) if row else None

    def insert(self, group: Group) -> bool:
        """Add a group; False when the id is taken."""
        values = {
            "tenant": group.tenant,
            "id": group.id,
            "title": group.title,
            "description": group.description,
            "create_time": micros(group.create_time),
            "revision": group.revision,
        }
        return insert_new(self._conn, groups, values)

    def touch(self, tenant: str, group: str, revision: int) -> None:
        """Note that a group or its members changed."""
        where = (groups.c.tenant == tenant, groups.c.id == group)
        self._conn.execute(sa.update(groups).where(*where).values(revision=revision))

    def delete(self, tenant: str, group: str, now: datetime) -> Dissolved:
        """Remove a group, its memberships, and revoke the grants to it."""
        name = f"groups/{group}"
        either = sa.or_(members.c.group == group, members.c.member == name)
        gone = self._conn.execute(sa.delete(members).where(members.c.tenant == tenant, either)).rowcount
        given = (grants.c.tenant == tenant, grants.c.grantee == name, ~grants.c.revoked)
        revoked = sa.update(grants).where(*given).values(_revoked(now)).returning(grants.c.owner)
        owners = tuple(sorted(self._conn.execute(revoked).scalars()))
        self._conn.execute(sa.delete(groups).where(groups.c.tenant == tenant, groups.c.id == group))
        return Dissolved(gone, owners)

    def page(self, tenant: str, member: str, after: str, limit: int) -> list[Group]:
        """List groups by id."""
        statement = _groups().where(groups.c.tenant == tenant, groups.c.id > after)
        if member:
            mine = sa.select(members.c.group).where(members.c.tenant == tenant, members.c.member == member)
            statement = statement.where(groups.c.id.in_(mine))
        statement = statement.order_by(groups.c.id).limit(limit)
        return [_group(row) for row in self._conn.execute(statement)]

    def add_member(self, tenant: str, group: str, member: Member) -> bool:
        """Add a member; False when it is one already."""
        values = {
            "tenant": tenant,
            "group": group,
            "member": member.name,
            "create_time": micros(member.create_time),
        }
        return insert_new(self._conn, members, values)

    def remove_member(self, tenant: str, group: str, member: str) -> bool:
        """Remove a member; False when it is none."""
        where = (members.c.tenant == tenant, members.c.group == group, members.c.member == member)
        return self._conn.execute(sa.delete(members).where(*where)).rowcount == 1

    def members(self, tenant: str, group: str, after: str, limit: int) -> list[Member]:
        """List direct members by name."""
        statement = (
            sa.select(members.c.member, members.c.create_time)
            .where(members.c.tenant == tenant, members.c.group == group, members.c.member > after)
            .order_by(members.c.member)
            .limit(limit)
        )
        return [Member(row.member, from_micros(row.create_time)) for row in self._conn.execute(statement)]

    def closure(self, tenant: str, member: str) -> frozenset[str]:
        """Return the ids of all groups that a member is in."""
        found = self._conn.execute(_CLOSURE, {"of_tenant": tenant, "of_member": member})
        return frozenset(str(row.id) for row in found)


class SqlGrants:
    """The grants of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, grant: str) -> Grant | None:
        """Return one grant, revoked or not, or None."""
        where = (grants.c.tenant == tenant, grants.c.id == grant)
        row = self._conn.execute(sa.select(grants).where(*where)).first()
        return rows.grant(row) if row else None

    def insert(self, grant: Grant) -> None:
        """Add a grant with a new id."""
        self._conn.execute(sa.insert(grants), rows.grant_values(grant))

    def revoke(self, tenant: str, grant: str, now: datetime) -> None:
        """Take a grant out of force for good; it expires now."""
        where = (grants.c.tenant == tenant, grants.c.id == grant)
        self._conn.execute(sa.update(grants).where(*where).values(_revoked(now)))

    def forget(self, ended_before: datetime, limit: int) -> list[Grant]:
        """Delete grants that were revoked or expired by then; return them."""
        ended = sa.select(grants).where(grants.c.expire_time <= micros(ended_before))
        found = [rows.grant(row) for row in self._conn.execute(ended.limit(limit))]
        for grant in found:
            where = (grants.c.tenant == grant.tenant, grants.c.id == grant.id)
            self._conn.execute(sa.delete(grants).where(*where))
        return found

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
        where = _in_force(tenant, now)
        if seen_by is not None:
            where.append(sa.or_(grants.c.grantee.in_(sorted(seen_by)), grants.c.owner == owner))
        if grantee:
            where.append(grants.c.grantee == grantee)
        if resource:
            where.append(_covers(resource))
        if after:
            where.append(sa.tuple_(grants.c.create_time, grants.c.id) > sa.tuple_(*map(sa.literal, after)))
        statement = sa.select(grants).where(*where).order_by(grants.c.create_time, grants.c.id).limit(limit)
        return [rows.grant(row) for row in self._conn.execute(statement)]

    def made_by(self, maker: MadeBy) -> list[Grant]:
        """List the grants that a principal gave and nobody has revoked, by id."""
        where = [grants.c.tenant == maker.tenant, grants.c.creator == maker.id, ~grants.c.revoked]
        if maker.family:
            where.append(of_family(grants.c.family, maker.family))
        if maker.since is not None:
            where.append(grants.c.create_time >= micros(maker.since))
        found = self._conn.execute(sa.select(grants).where(*where).order_by(grants.c.id))
        return [rows.grant(row) for row in found]

    def matching(self, tenant: str, resource: str, grantees: frozenset[str]) -> list[Grant]:
        """Return the grants on `resource` to one of `grantees` that were not revoked, by id."""
        mine = (grants.c.tenant == tenant, grants.c.grantee.in_(sorted(grantees)), ~grants.c.revoked)
        statement = sa.select(grants).where(*mine, _covers(resource)).order_by(grants.c.id)
        return [rows.grant(row) for row in self._conn.execute(statement)]


class SqlPolicies:
    """The policies of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, policy: str, version: int) -> Policy | None:
        """Return one version; 0 is the active one."""
        which = policies.c.version == version if version else policies.c.active
        row = self._conn.execute(sa.select(policies).where(*_policy(tenant, policy), which)).first()
        return rows.policy(row) if row else None

    def newest(self, tenant: str, policy: str) -> Policy | None:
        """Return the newest version, active or not, or None."""
        return next(iter(self.versions(tenant, policy, 0, 1)), None)

    def put(self, policy: Policy) -> None:
        """Add a version and make it the active one."""
        self.deactivate(policy.tenant, policy.id)
        self._conn.execute(sa.insert(policies), rows.policy_values(policy))

    def deactivate(self, tenant: str, policy: str) -> None:
        """Take a policy out of force."""
        where = _policy(tenant, policy)
        self._conn.execute(sa.update(policies).where(*where, policies.c.active).values(active=False))

    def active(self, tenant: str) -> tuple[Policy, ...]:
        """Return the active versions, by id."""
        where = (policies.c.tenant == tenant, policies.c.active)
        statement = sa.select(policies).where(*where).order_by(policies.c.id)
        return tuple(rows.policy(row) for row in self._conn.execute(statement))

    def versions(self, tenant: str, policy: str, before: int, limit: int) -> list[Policy]:
        """List versions, newest first."""
        statement = sa.select(policies).where(*_policy(tenant, policy))
        if before:
            statement = statement.where(policies.c.version < before)
        statement = statement.order_by(policies.c.version.desc()).limit(limit)
        return [rows.policy(row) for row in self._conn.execute(statement)]


def _revoked(now: datetime) -> dict[str, Any]:
    """Return the columns of a revoked grant. It expires when it ended, to be deleted some time after."""
    at = micros(now)
    earlier = sa.and_(grants.c.expire_time.is_not(None), grants.c.expire_time < at)
    return {"revoked": True, "expire_time": sa.case((earlier, grants.c.expire_time), else_=at)}


def _closure() -> sa.Select[tuple[str]]:
    tenant = sa.bindparam("of_tenant", type_=members.c.tenant.type)
    found = (
        sa.select(members.c.group.label("id"))
        .where(members.c.tenant == tenant, members.c.member == sa.bindparam("of_member"))
        .cte("found", recursive=True)
    )
    outer = sa.select(members.c.group).where(
        members.c.tenant == tenant, members.c.member == sa.literal("groups/").concat(found.c.id)
    )
    found = found.union(outer)
    return sa.select(found.c.id)


_CLOSURE = _closure()


def _groups() -> sa.Select[Any]:
    count = (
        sa.select(sa.func.count())
        .where(members.c.tenant == groups.c.tenant, members.c.group == groups.c.id)
        .scalar_subquery()
    )
    return sa.select(groups, count.label("member_count"))


def _group(row: sa.Row[Any]) -> Group:
    return Group(
        tenant=row.tenant,
        id=row.id,
        title=row.title,
        description=row.description,
        member_count=row.member_count,
        create_time=from_micros(row.create_time),
        revision=row.revision,
    )


def _in_force(tenant: str, now: datetime) -> list[sa.ColumnElement[bool]]:
    lives = sa.or_(grants.c.expire_time.is_(None), grants.c.expire_time > micros(now))
    return [grants.c.tenant == tenant, ~grants.c.revoked, lives]


def _covers(resource: str) -> sa.ColumnElement[bool]:
    exact = sa.and_(grants.c.resource == resource, ~grants.c.prefix)
    above = sa.and_(grants.c.resource.in_(prefixes(resource)), grants.c.prefix)
    return sa.or_(exact, above)


def _policy(tenant: str, policy: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (policies.c.tenant == tenant, policies.c.id == policy)
