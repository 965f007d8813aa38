"""The SQL stores against the one in memory: the same random work gives the same answers."""

import dataclasses
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.access.core import agent_tree, audit_chain
from services.access.model.agents import Agent, AgentKey, AgentState, MadeBy, Maker, Revocation
from services.access.model.approvals import Approval, ApprovalState
from services.access.model.audit import AuditQuery, Event
from services.access.model.rules import Grant, Group, Member, Policy
from services.access.ports.store import Store, Transaction
from services.chassis.auth.identity import Kind, Principal
from services.chassis.db import Database
from services.chassis.dispatch.scheduling import Hints
from services.chassis.times import micros
from tests.fakes.stores.access import MemoryStore

START = datetime(2026, 1, 1, tzinfo=UTC)
AGENTS = ("a", "a-b", "a.b", "a0", "b", "c")
GROUPS = ("g", "h", "i")
TENANTS = ("acme", "globex")
RESOURCES = ("agents/a/notes/n", "agents/a/files/x/y", "agents/a/files/x", "agents/a/files/x%", "tools/t")
Step = Callable[[Transaction], Any]


class Script:
    """Draws random transactions. Each returns what it saw, so that two stores can be compared."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - repeatable steps, no secret
        self._now = START
        self._count = 0

    def step(self) -> Step:
        """Draw one transaction."""
        self._now += timedelta(seconds=self._dice.randint(0, 30))
        self._count += 1
        kinds = (self._agent, self._steer, self._group, self._grant, self._policy, self._approval, self._rest)
        return self._dice.choice(kinds)(self._dice.choice(TENANTS), self._now)

    def _name(self) -> str:
        pool = [f"agents/{agent}" for agent in AGENTS] + [f"groups/{group}" for group in GROUPS]
        return self._dice.choice(pool)

    def _agent(self, tenant: str, now: datetime) -> Step:
        new, parent = self._dice.choice(AGENTS), self._dice.choice(("", *AGENTS))

        def work(tx: Transaction) -> Any:
            above = tx.agents.get(tenant, parent) if parent else None
            row = Agent(
                tenant=tenant,
                id=new,
                parent=above.id if above else "",
                ancestors=(*above.ancestors, above.id) if above else (),
                display_name="x",
                kind="k",
                hints=Hints(max_wait=1),
                labels={"l": "v"},
                suspended=False,
                state=AgentState.ACTIVE,
                revision=tx.ledger.bump(),
                create_time=now,
                update_time=now,
            )
            added = tx.agents.insert(row)
            tx.agents.add_key(
                AgentKey(f"{tenant}/{new}/{now}", tenant, new, now, Maker(tenant, above.id if above else ""))
            )
            return added, [tx.agents.living_children(tenant, agent) for agent in AGENTS]

        return work

    def _steer(self, tenant: str, now: datetime) -> Step:
        target, under = self._dice.choice(AGENTS), self._dice.choice(("", *AGENTS))
        state = self._dice.choice(list(AgentState))

        def work(tx: Transaction) -> Any:
            root = tx.agents.get(tenant, target)
            if root is not None:
                below = tx.agents.descendants(root)
                changed = agent_tree.propagate(
                    dataclasses.replace(root, state=state), AgentState.ACTIVE, below
                )
                tx.agents.update(agent_tree.touched(changed, tx.ledger.bump(), now))
            tx.agents.drop_keys(tenant, [target])
            return (
                tx.agents.page(tenant, under, "a-b", 3),
                tx.agents.changed(tenant, under, 2, 4),
                tx.agents.key(f"{tenant}/{target}/{now}"),
                tx.agents.count_keys(tenant, under),
                tx.agents.keys_made_by(MadeBy(tenant, under)),
            )

        return work

    def _group(self, tenant: str, now: datetime) -> Step:
        group, member = self._dice.choice(GROUPS), self._name()
        kind = self._dice.choice(("insert", "insert", "join", "join", "join", "leave", "delete"))

        def work(tx: Transaction) -> Any:
            seen: Any = None
            if kind == "insert":
                seen = tx.groups.insert(Group(tenant, group, "t", "d", 0, now, tx.ledger.bump()))
            elif tx.groups.get(tenant, group) is not None:
                if kind == "join":
                    seen = tx.groups.add_member(tenant, group, Member(member, now))
                    tx.groups.touch(tenant, group, tx.ledger.bump())
                elif kind == "leave":
                    seen = tx.groups.remove_member(tenant, group, member)
                else:
                    tx.groups.delete(tenant, group, now)
            return (
                seen,
                tx.groups.page(tenant, "", "", 5),
                tx.groups.page(tenant, member, "", 5),
                tx.groups.members(tenant, group, "agents/a", 5),
                [tx.groups.closure(tenant, f"agents/{agent}") for agent in AGENTS],
            )

        return work

    def _grant(self, tenant: str, now: datetime) -> Step:
        grant = Grant(
            tenant=tenant,
            id=f"{self._count:04}",
            grantee=self._name(),
            resource=self._dice.choice(RESOURCES),
            prefix=False,
            actions=frozenset(self._dice.sample(("memory.read", "tool.call", "storage.read"), 2)),
            owner=self._dice.choice(("", "a", "b")),
            expire_time=self._dice.choice((None, now + timedelta(seconds=60))),
            description="",
            creator="admin",
            create_time=now,
        )
        if self._dice.random() < 0.4:
            grant = dataclasses.replace(grant, resource="agents/a/files/x/", prefix=True)
        old, names = f"{self._dice.randint(0, self._count):04}", frozenset({self._name(), self._name()})
        narrow = self._dice.choice(("", *RESOURCES))

        def work(tx: Transaction) -> Any:
            tx.grants.insert(grant)
            if tx.grants.get(tenant, old) is not None:
                tx.grants.revoke(tenant, old, now)
            page = tx.grants.page(
                tenant,
                seen_by=names,
                owner="a",
                grantee="",
                resource=narrow,
                now=now,
                after=(micros(START), ""),
                limit=4,
            )
            everything = tx.grants.page(
                tenant, seen_by=None, owner="", grantee="agents/a", resource="", now=now, after=(), limit=50
            )
            matching = [tx.grants.matching(tenant, resource, names) for resource in RESOURCES]
            return page, everything, matching, tx.grants.get(tenant, old)

        return work

    def _policy(self, tenant: str, now: datetime) -> Step:
        name, gone = self._dice.choice(("p", "q")), self._dice.random() < 0.3

        def work(tx: Transaction) -> Any:
            newest = tx.policies.newest(tenant, name)
            version = newest.version + 1 if newest else 1
            tx.policies.put(Policy(tenant, name, "text", "", version, True, "admin", now))  # noqa: FBT003 - active
            if gone:
                tx.policies.deactivate(tenant, name)
            return (
                tx.policies.active(tenant),
                tx.policies.get(tenant, name, 0),
                tx.policies.get(tenant, name, 1),
                tx.policies.versions(tenant, name, 3, 2),
            )

        return work

    def _approval(self, tenant: str, now: datetime) -> Step:
        agent, state = self._dice.choice(("a", "b")), self._dice.choice(list(ApprovalState))
        states = frozenset(self._dice.sample(list(ApprovalState), self._dice.randint(0, 3)))
        one = Approval(
            tenant=tenant,
            id=f"{self._count:04}",
            agent=agent,
            action="tool.call",
            resource="tools/t",
            arguments_sha256=str(self._dice.randint(0, 2)),
            arguments_preview="",
            summary="",
            state=ApprovalState.PENDING,
            create_time=now,
            expire_time=now + timedelta(seconds=self._dice.randint(1, 90)),
        )
        old = f"{self._dice.randint(0, self._count):04}"

        def work(tx: Transaction) -> Any:
            same = tx.approvals.open_for(one, now)
            if same is None:
                tx.approvals.insert(dataclasses.replace(one, sequence=tx.ledger.advance()))
            known = tx.approvals.get(tenant, old)
            if known is not None:
                changed = dataclasses.replace(
                    known, state=state, sequence=tx.ledger.advance(), decide_time=now
                )
                tx.approvals.update(changed)
            before = (micros(now), "9999")
            return (
                same,
                tx.approvals.pending_count(tenant, agent, now),
                tx.approvals.page(tenant, agent, states=states, now=now, before=before, limit=3),
                tx.approvals.page(tenant, "", states=states, now=now, before=(), limit=3),
                tx.approvals.changed(tenant, "", 2, 5),
            )

        return work

    def _rest(self, tenant: str, now: datetime) -> Step:
        agent, token = self._dice.choice(("", *AGENTS)), str(self._dice.randint(0, 3))
        holder = Principal(agent=agent or "a", tenant=tenant, kind=Kind.AGENT, token_id=token)
        event = Event(agent="a", kind=Kind.AGENT, method="m", action="x.y", resource=f"tools/{agent}_%")
        query = AuditQuery(tenant=tenant, resource_prefix="tools/a", oldest_first=agent < "b")

        def work(tx: Transaction) -> Any:
            entry = audit_chain.next_entry(
                tenant, tx.audit.head(tenant), event, now, key=tx.audit.keys.newest(), salts=("a", "b")
            )
            tx.audit.append([entry])
            until = now + timedelta(seconds=40)
            tx.tokens.revoke(
                [Revocation("" if agent else token, tenant, agent, now, until, tx.ledger.bump())]
            )
            return (
                tx.audit.page(query, 3, 4),
                tx.audit.between(tenant, 2, 4),
                tx.audit.has_hash(tenant, entry.hash),
                tx.tokens.revoked(3, now),
                tx.tokens.is_revoked(holder),
                tx.tokens.revoked_until(tenant, agent),
                sorted(one.token_id for one in tx.tokens.forget(now, 100)),
                tx.ledger.revision(),
                tx.ledger.sequence(),
            )

        return work


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_work_gives_the_same_answers(store: Store, database: Database, seed: int) -> None:
    assert database is not None
    model, script = MemoryStore(), Script(seed)
    for _ in range(60):
        step = script.step()
        expected, found = await model.write(step), await store.write(step)

        assert found == expected
