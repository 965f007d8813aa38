"""Agents and their keys in SQL. See ports.Agents."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from services.access.model.agents import Agent, AgentKey, AgentState, MadeBy
from services.access.store import rows
from services.access.store.tables import agent_keys, agents, of_family, purges
from services.chassis.db.sql import insert_new
from services.chassis.times import micros


class SqlAgents:
    """The agents of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, agent: str) -> Agent | None:
        """Return one agent, or None."""
        row = self._conn.execute(sa.select(agents).where(*_is(tenant, agent))).first()
        return rows.agent(row) if row else None

    def insert(self, agent: Agent) -> bool:
        """Add an agent; False when the id is taken."""
        return insert_new(self._conn, agents, rows.agent_values(agent))

    def update(self, agents_: Iterable[Agent]) -> None:
        """Store agents that exist."""
        for agent in agents_:
            statement = sa.update(agents).where(*_is(agent.tenant, agent.id))
            self._conn.execute(statement, rows.agent_values(agent))

    def living_children(self, tenant: str, parent: str) -> int:
        """Count the children that are not killed."""
        above = self.get(tenant, parent)
        path = rows.agent_values(above)["path"] + f"{parent}/" if above else ""
        statement = sa.select(sa.func.count()).where(
            agents.c.tenant == tenant, agents.c.path == path, agents.c.state != AgentState.KILLED.value
        )
        return self._conn.execute(statement).scalar_one()

    def descendants(self, agent: Agent) -> list[Agent]:
        """Return all agents below `agent`."""
        statement = sa.select(agents).where(agents.c.tenant == agent.tenant, *_in_path(agent))
        return [rows.agent(row) for row in self._conn.execute(statement)]

    def page(self, tenant: str, under: str, after: str, limit: int) -> list[Agent]:
        """List agents by id."""
        statement = (
            sa.select(agents)
            .where(agents.c.tenant == tenant, agents.c.id > after, *self._below(tenant, under))
            .order_by(agents.c.id)
            .limit(limit)
        )
        return [rows.agent(row) for row in self._conn.execute(statement)]

    def changed(self, tenant: str, under: str, after: int, limit: int) -> list[Agent]:
        """List agents by the revision of their last change."""
        statement = (
            sa.select(agents)
            .where(agents.c.tenant == tenant, agents.c.revision > after, *self._below(tenant, under))
            .order_by(agents.c.revision, agents.c.id)
            .limit(limit)
        )
        return [rows.agent(row) for row in self._conn.execute(statement)]

    def changed_anywhere(self, after: int, limit: int) -> list[Agent]:
        """List agents of all tenants by the revision of their last change."""
        order = (agents.c.revision, agents.c.tenant, agents.c.id)
        statement = sa.select(agents).where(agents.c.revision > after).order_by(*order).limit(limit)
        return [rows.agent(row) for row in self._conn.execute(statement)]

    def killed_before(self, time: datetime, limit: int) -> list[Agent]:
        """List killed agents that last changed before a time and are not being purged."""
        statement = (
            sa.select(agents)
            .where(agents.c.state == AgentState.KILLED.value, agents.c.update_time < micros(time), ~_purged())
            .order_by(agents.c.update_time)
            .limit(limit)
        )
        return [rows.agent(row) for row in self._conn.execute(statement)]

    def expired(self, now: datetime, limit: int) -> list[Agent]:
        """List agents that live and whose time is over."""
        living = agents.c.state.in_([AgentState.ACTIVE.value, AgentState.SUSPENDED.value])
        statement = (
            sa.select(agents)
            .where(living, agents.c.expire_time <= micros(now))
            .order_by(agents.c.expire_time, sa.func.length(agents.c.path), agents.c.tenant, agents.c.id)
            .limit(limit)
        )
        return [rows.agent(row) for row in self._conn.execute(statement)]

    def below_unpurged(self, agent: Agent, limit: int) -> list[Agent]:
        """List agents below `agent` that are not being purged."""
        where = (agents.c.tenant == agent.tenant, *_in_path(agent), ~_purged())
        found = self._conn.execute(sa.select(agents).where(*where).limit(limit))
        return [rows.agent(row) for row in found]

    def has_below(self, agent: Agent) -> bool:
        """Tell whether any agent is below `agent`."""
        statement = sa.select(agents.c.id).where(agents.c.tenant == agent.tenant, *_in_path(agent))
        return self._conn.execute(statement.limit(1)).first() is not None

    def made_by(self, maker: MadeBy) -> list[Agent]:
        """List the agents of all tenants that a principal registered and that are not killed."""
        theirs = sa.and_(agents.c.maker_tenant == maker.tenant, agents.c.maker == maker.id)
        if maker.family:
            theirs = sa.and_(theirs, of_family(agents.c.maker_family, maker.family))
        else:
            unnoted = (agents.c.maker_tenant == "", agents.c.maker == "", agents.c.tenant == maker.tenant)
            theirs = sa.or_(theirs, sa.and_(*unnoted, agents.c.parent == maker.id))
        where = [theirs, agents.c.state != AgentState.KILLED.value]
        if maker.since is not None:
            where.append(agents.c.create_time >= micros(maker.since))
        found = self._conn.execute(sa.select(agents).where(*where).order_by(agents.c.tenant, agents.c.id))
        return [rows.agent(row) for row in found]

    def delete(self, tenant: str, agent: str) -> None:
        """Forget an agent for good, also as the maker of others."""
        self._conn.execute(sa.delete(agents).where(*_is(tenant, agent)))
        made = (agents.c.maker_tenant == tenant, agents.c.maker == agent)
        nobody = {"maker_tenant": "", "maker": "", "maker_family": ""}
        self._conn.execute(sa.update(agents).where(*made).values(nobody))

    def add_key(self, key: AgentKey) -> None:
        """Add a key beside the ones that an agent has."""
        self._conn.execute(sa.insert(agent_keys), rows.agent_key_values(key))

    def key(self, key_hash: str) -> AgentKey | None:
        """Return the key with that hash, or None."""
        row = self._conn.execute(sa.select(agent_keys).where(agent_keys.c.hash == key_hash)).first()
        return rows.agent_key(row) if row else None

    def keys_made_by(self, maker: MadeBy) -> list[AgentKey]:
        """List the keys for agents of all tenants that a principal made, by hash."""
        where = [agent_keys.c.maker_tenant == maker.tenant, agent_keys.c.maker == maker.id]
        if maker.family:
            where.append(of_family(agent_keys.c.maker_family, maker.family))
        if maker.since is not None:
            where.append(agent_keys.c.create_time >= micros(maker.since))
        found = self._conn.execute(sa.select(agent_keys).where(*where).order_by(agent_keys.c.hash))
        return [rows.agent_key(row) for row in found]

    def count_keys(self, tenant: str, agent: str) -> int:
        """Count the keys of an agent."""
        where = (agent_keys.c.tenant == tenant, agent_keys.c.agent == agent)
        counted = sa.select(sa.func.count()).select_from(agent_keys).where(*where)
        return int(self._conn.execute(counted).scalar_one())

    def drop_key(self, key_hash: str) -> None:
        """Forget one key."""
        self._conn.execute(sa.delete(agent_keys).where(agent_keys.c.hash == key_hash))

    def drop_issued(self, tenant: str, agent: str, issue: str) -> None:
        """Forget the key of an agent that one request made."""
        where = (agent_keys.c.tenant == tenant, agent_keys.c.agent == agent, agent_keys.c.issue == issue)
        self._conn.execute(sa.delete(agent_keys).where(*where))

    def drop_keys(self, tenant: str, agents_: Iterable[str]) -> None:
        """Forget the keys of agents."""
        for agent in agents_:
            self._conn.execute(
                sa.delete(agent_keys).where(agent_keys.c.tenant == tenant, agent_keys.c.agent == agent)
            )

    def _below(self, tenant: str, under: str) -> list[sa.ColumnElement[bool]]:
        if not under:
            return []
        root = self.get(tenant, under)
        if root is None:
            return [sa.false()]
        return [sa.or_(agents.c.id == under, sa.and_(*_in_path(root)))]


def _is(tenant: str, agent: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (agents.c.tenant == tenant, agents.c.id == agent)


def _purged() -> sa.ColumnElement[bool]:
    return sa.exists().where(purges.c.tenant == agents.c.tenant, purges.c.agent == agents.c.id)


def _in_path(agent: Agent) -> tuple[sa.ColumnElement[bool], ...]:
    """Select what lies below an agent: a range of the index, since "0" follows "/" in byte order."""
    prefix = rows.agent_values(agent)["path"] + agent.id
    return (agents.c.path >= prefix + "/", agents.c.path < prefix + "0")
