"""What every store of the access manager shows, whichever adapter is behind it, seen through the use cases too."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.access import kit
from services.access.agents import Changes, NewAgent
from services.access.errors import (
    AgentExists,
    AgentNotFound,
    AgentTreeLimit,
    AlreadyExists,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalNotFound,
    EtagMismatch,
    GroupCycle,
    PolicyInvalid,
    QuotaExceeded,
    RuleNotFound,
    RuleProtected,
    TooManyCalls,
)
from services.access.grants import NewGrant
from services.access.kit import Request
from services.access.model import (
    AgentState,
    Approval,
    ApprovalState,
    AuditEntry,
    AuditQuery,
    Hints,
    Outcome,
    Reason,
    SchedulingClass,
)
from services.access.ports import Store, Transaction
from services.access.store.memory import MemoryStore
from services.access.store.sql import MIGRATIONS, SqlStore
from services.access.tokens import Target
from services.chassis.database import Database
from services.chassis.errors import (
    AgentInactive,
    ApprovalRequired,
    CredentialInvalid,
    CredentialRevoked,
    IdempotencyMismatch,
    InvalidPageToken,
    InvalidRequest,
    PermissionDenied,
)
from services.chassis.identity import Caller, Kind, Principal
from tests.fakes.access_manager import (
    ADMIN,
    KERNEL_ADMIN,
    NEW,
    SERVICE,
    SERVICE_KEY,
    TENANT,
    Desk,
    agent,
    desk,
)

PLANNER = agent("planner")
CRITIC = agent("critic")
NOTE = "agents/planner/notes/n"
ALLOW_ALL = '@id("all") permit(principal, action, resource);'
SHA = "ab" * 32


def asked(request_id: str, digest: bytes = b"d", method: str = "Test") -> Request:
    """Make a request that may be repeated."""
    return Request(method, request_id, digest)


def wanted(agent_id: str = "planner", *, sha: str = SHA) -> Approval:
    """Describe a call that needs an approval."""
    epoch = datetime.fromtimestamp(0, UTC)
    return Approval(
        tenant=TENANT,
        id="",
        agent=agent_id,
        action="tool.call",
        resource="tools/mail",
        arguments_sha256=sha,
        arguments_preview="{}",
        summary="send a mail",
        state=ApprovalState.PENDING,
        create_time=epoch,
        expire_time=epoch,
    )


class StoreContract:
    """Behaviour of every store; subclasses supply `store`."""

    @pytest.fixture
    async def desk(self, store: Store, tmp_path: Path) -> Desk:
        return await asyncio.to_thread(desk, store, tmp_path)

    async def audit(self, desk: Desk) -> list[AuditEntry]:
        """Return the tenant's whole log, oldest first."""
        await desk.manager.flush()
        query = AuditQuery(tenant=TENANT, oldest_first=True)
        page, _ = await desk.manager.audit.query(ADMIN, query, 1000, "")
        return page

    # Agents

    async def test_a_registered_agent_is_found_and_may_act(self, desk: Desk) -> None:
        made = await desk.register("planner")
        found = await desk.manager.agents.get(ADMIN, "planner")

        assert found == made.agent
        assert found.state is AgentState.ACTIVE
        assert await desk.allows(PLANNER, "memory.write", NOTE)
        assert desk.keys.verify(made.token.text, now=desk.clock.now()).agent == "planner"

    async def test_hints_and_labels_survive_the_store(self, desk: Desk) -> None:
        hints = Hints(SchedulingClass.REALTIME, 7, -3, timedelta(seconds=1.5))
        new = NewAgent(id="planner", kind="researcher", hints=hints, labels={"team": "blue"})
        await desk.manager.agents.register(ADMIN, new, NEW)
        found = await desk.manager.agents.get(ADMIN, "planner")

        assert found.hints == hints
        assert found.labels == {"team": "blue"}
        assert found.kind == "researcher"
        assert found.create_time == desk.clock.now()

    async def test_a_taken_id_is_refused(self, desk: Desk) -> None:
        await desk.register("planner")

        with pytest.raises(AgentExists):
            await desk.register("planner")

    async def test_the_same_id_may_exist_in_two_tenants(self, desk: Desk) -> None:
        await desk.register("planner")
        new = NewAgent(id="planner", tenant="globex")
        other = await desk.manager.agents.register(KERNEL_ADMIN, new, NEW)

        assert other.agent.tenant == "globex"
        with pytest.raises(AgentNotFound):
            await desk.manager.agents.get(KERNEL_ADMIN, "planner")

    async def test_only_the_kernels_administrators_reach_other_tenants(self, desk: Desk) -> None:
        with pytest.raises(PermissionDenied):
            await desk.manager.agents.register(ADMIN, NewAgent(id="x", tenant="globex"), NEW)
        with pytest.raises(InvalidRequest):
            await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="x", tenant="kernel"), NEW)

    @pytest.mark.parametrize("reserved", ["me", "admin"])
    async def test_some_ids_are_reserved(self, desk: Desk, reserved: str) -> None:
        with pytest.raises(InvalidRequest):
            await desk.register(reserved)

    async def test_a_repeated_registration_has_one_effect_and_renews_the_key(self, desk: Desk) -> None:
        new = NewAgent(id="planner")
        first = await desk.manager.agents.register(ADMIN, new, asked("r1"))
        again = await desk.manager.agents.register(ADMIN, new, asked("r1"))

        assert again.agent == first.agent
        assert (await desk.manager.tokens.by_agent_key(again.key, None)).principal.agent == "planner"
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_agent_key(first.key, None)
        with pytest.raises(IdempotencyMismatch):
            await desk.manager.agents.register(ADMIN, new, asked("r1", b"other"))

    async def test_an_agent_registers_children_of_its_own(self, desk: Desk) -> None:
        await desk.register("planner")
        made = await desk.register("child", by=PLANNER)

        assert made.agent.parent == "planner"
        assert made.token.principal.parent == "planner"

    async def test_a_tree_keeps_its_limits(self, desk: Desk) -> None:
        await desk.register("a")
        await desk.register("b", parent="a")
        await desk.register("c", parent="b")
        with pytest.raises(AgentTreeLimit):
            await desk.register("d", parent="c")
        await desk.register("b2", parent="a")
        await desk.register("b3", parent="a")
        with pytest.raises(AgentTreeLimit):
            await desk.register("b4", parent="a")
        await desk.manager.agents.kill(ADMIN, "b3", "")

        assert (await desk.register("b4", parent="a")).agent.parent == "a"

    async def test_a_parent_must_exist_and_live(self, desk: Desk) -> None:
        with pytest.raises(AgentNotFound):
            await desk.register("x", parent="nobody")
        await desk.register("a")
        await desk.manager.agents.suspend(ADMIN, "a", "")
        with pytest.raises(AgentInactive):
            await desk.register("x", parent="a")

    async def test_agents_are_listed_by_id_and_page(self, desk: Desk) -> None:
        for name in ("b", "a.x", "a-x", "a", "c"):
            await desk.register(name)
        first, token = await desk.manager.agents.page(ADMIN, "", 2, "")
        second, token2 = await desk.manager.agents.page(ADMIN, "", 2, token)
        third, end = await desk.manager.agents.page(ADMIN, "", 2, token2)

        assert [one.id for one in (*first, *second, *third)] == ["a", "a-x", "a.x", "b", "c"]
        assert end == ""
        with pytest.raises(InvalidPageToken):
            await desk.manager.agents.page(ADMIN, "agents/a", 2, token)

    async def test_an_agent_lists_its_own_tree(self, desk: Desk) -> None:
        await desk.register("a")
        await desk.register("a0")
        await desk.register("b", parent="a")
        await desk.register("c", parent="b")
        mine, _ = await desk.manager.agents.page(agent("a"), "", 0, "")
        below, _ = await desk.manager.agents.page(ADMIN, "agents/b", 0, "")
        nobody, _ = await desk.manager.agents.page(ADMIN, "agents/ghost", 0, "")

        assert [one.id for one in mine] == ["a", "b", "c"]
        assert [one.id for one in below] == ["b", "c"]
        assert nobody == []

    async def test_an_update_changes_what_it_names_and_the_etag(self, desk: Desk) -> None:
        before = (await desk.register("planner")).agent
        after = await desk.manager.agents.update(ADMIN, "planner", Changes(display_name="P"), before.etag)

        assert after.display_name == "P"
        assert after.hints == before.hints
        assert after.etag != before.etag
        with pytest.raises(EtagMismatch):
            await desk.manager.agents.update(ADMIN, "planner", Changes(kind="x"), before.etag)

    async def test_an_update_that_changes_nothing_keeps_the_etag(self, desk: Desk) -> None:
        before = (await desk.register("planner")).agent
        after = await desk.manager.agents.update(ADMIN, "planner", Changes(display_name="planner"), "")

        assert after.etag == before.etag

    async def test_an_agent_cannot_take_capacity_from_others(self, desk: Desk) -> None:
        await desk.register("planner")
        greedy = Changes(hints=Hints(scheduling_class=SchedulingClass.REALTIME))

        with pytest.raises(PermissionDenied):
            await desk.manager.agents.update(PLANNER, "planner", greedy, "")
        with pytest.raises(PermissionDenied):
            await desk.manager.agents.update(PLANNER, "planner", Changes(hints=Hints(weight=9)), "")
        with pytest.raises(PermissionDenied):
            await desk.register("child", by=PLANNER, hints=Hints(priority=-1))
        assert (await desk.manager.agents.update(ADMIN, "planner", greedy, "")).hints == greedy.hints

    async def test_a_granted_privilege_lets_an_agent_be_real_time(self, desk: Desk) -> None:
        await desk.register("planner")
        new = NewGrant(
            grantee="agents/planner", resource="agents/planner", actions=frozenset({"agent.privilege"})
        )
        await desk.manager.grants.create(ADMIN, new, NEW)
        greedy = Changes(hints=Hints(scheduling_class=SchedulingClass.REALTIME))

        assert await desk.manager.agents.update(PLANNER, "planner", greedy, "")

    async def test_a_suspended_tree_does_nothing_until_it_is_resumed(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("child", by=PLANNER)
        suspended = await desk.manager.agents.suspend(ADMIN, "planner", "")

        assert suspended.state is AgentState.SUSPENDED
        decision = await desk.decide(agent("child"), "inference.generate")
        assert decision.reason is Reason.AGENT_INACTIVE
        await desk.manager.agents.resume(ADMIN, "planner")
        assert await desk.allows(agent("child"), "inference.generate")

    async def test_a_killed_tree_is_gone_for_good(self, desk: Desk) -> None:
        made = await desk.register("planner")
        child = await desk.register("child", by=PLANNER)
        await desk.register("bystander")
        killed, count = await desk.manager.agents.kill(ADMIN, "planner", "")
        again, none = await desk.manager.agents.kill(ADMIN, "planner", "")

        assert (killed.state, count) == (AgentState.KILLED, 2)
        assert (again.state, none) == (AgentState.KILLED, 0)
        assert not await desk.allows(agent("child"), "inference.generate")
        assert await desk.allows(agent("bystander"), "inference.generate")
        with pytest.raises(AgentInactive):
            await desk.manager.agents.resume(ADMIN, "planner")
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_agent_key(made.key, None)
        with pytest.raises(CredentialRevoked):
            await desk.manager.tokens.by_renewal(child.token.text, None)

    async def test_a_watch_shows_the_agents_then_every_change(self, desk: Desk) -> None:
        await desk.register("a")
        await desk.register("b")
        async with aclosing(desk.manager.agents.watch(ADMIN, "")) as events:
            seen = [await anext(events), await anext(events)]
            await desk.manager.agents.suspend(ADMIN, "b", "")
            change = await asyncio.wait_for(anext(events), 5)

        assert [(event.agent.id, event.initial) for event in seen] == [("a", True), ("b", True)]
        assert (change.agent.id, change.agent.state, change.initial) == ("b", AgentState.SUSPENDED, False)

    # Decisions

    async def test_an_agent_reaches_only_its_own(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")

        assert await desk.allows(PLANNER, "memory.read", "agents/me/notes/n")
        assert not await desk.allows(CRITIC, "memory.read", NOTE)
        assert await desk.allows(ADMIN, "memory.read", NOTE)
        assert not await desk.allows(ADMIN, "scheduler.configure")
        assert await desk.allows(KERNEL_ADMIN, "scheduler.configure")

    async def test_an_ancestor_steers_but_does_not_read(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("child", by=PLANNER)
        await desk.register("leaf", by=agent("child"))

        assert await desk.allows(PLANNER, "agent.control", "agents/leaf")
        assert not await desk.allows(PLANNER, "memory.read", "agents/leaf/notes/n")
        assert not await desk.allows(agent("leaf"), "agent.control", "agents/planner")

    async def test_an_agent_nobody_registered_does_nothing(self, desk: Desk) -> None:
        decision = await desk.decide(agent("ghost"), "inference.generate")

        assert decision.reason is Reason.AGENT_INACTIVE

    async def test_the_same_name_in_another_tenant_is_another_agent(self, desk: Desk) -> None:
        await desk.register("planner")

        assert not await desk.allows(agent("planner", tenant="globex"), "memory.read", NOTE)

    async def test_every_change_of_a_rule_raises_the_revision(self, desk: Desk) -> None:
        await desk.register("planner")
        before = (await desk.decide(PLANNER, "memory.read", NOTE)).revision
        await desk.manager.agents.suspend(ADMIN, "planner", "")

        assert (await desk.decide(PLANNER, "memory.read", NOTE)).revision == before + 1

    async def test_a_denial_changes_nothing_and_is_audited_once(self, desk: Desk) -> None:
        await desk.register("planner")
        for _ in range(3):
            await desk.decide(PLANNER, "access.manage", "groups/g")
        last = (await self.audit(desk))[-1]

        assert last.event.outcome is Outcome.DENIED
        assert (last.event.agent, last.event.action, last.event.resource) == (
            "planner",
            "access.manage",
            "groups/g",
        )
        assert last.event.reason == "PERMISSION_DENIED x3"

    async def test_a_watch_of_the_revision_says_it_at_once_and_after_each_change(self, desk: Desk) -> None:
        await desk.register("planner")
        async with aclosing(desk.manager.checks.watch(60.0)) as events:
            first = await anext(events)
            await desk.manager.agents.kill(ADMIN, "planner", "")
            second = await asyncio.wait_for(anext(events), 5)

        assert (first.revision, first.revoked, first.heartbeat) == (1, (), False)
        assert second.revision == 2
        assert second.epoch == first.epoch
        assert [one.agent for one in second.revoked] == ["planner"]

    async def test_a_quiet_watch_beats(self, desk: Desk) -> None:
        async with aclosing(desk.manager.checks.watch(5.0)) as events:
            await anext(events)
            desk.clock.advance(5)
            beat = await asyncio.wait_for(anext(events), 5)

        assert beat.heartbeat

    # Groups and grants

    async def test_a_grant_gives_what_it_names_and_no_more(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        new = NewGrant(grantee="agents/critic", resource=NOTE, actions=frozenset({"memory.read"}))
        grant = await desk.manager.grants.create(PLANNER, new, NEW)
        decision = await desk.decide(CRITIC, "memory.read", NOTE)

        assert decision.allowed
        assert decision.policies == ("policies/grant", grant.name)
        assert not await desk.allows(CRITIC, "memory.write", NOTE)
        assert not await desk.allows(CRITIC, "memory.read", "agents/planner/notes/n2")
        await desk.manager.grants.revoke(PLANNER, grant.name, NEW)
        assert not await desk.allows(CRITIC, "memory.read", NOTE)

    async def test_a_prefix_covers_what_lies_below_and_itself(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        new = NewGrant(
            grantee="agents/critic",
            resource="agents/me/files/reports/",
            prefix=True,
            actions=frozenset({"storage.read"}),
        )
        await desk.manager.grants.create(PLANNER, new, NEW)

        assert await desk.allows(CRITIC, "storage.read", "agents/planner/files/reports/2026/a.txt")
        assert await desk.allows(CRITIC, "storage.read", "agents/planner/files/reports")
        assert not await desk.allows(CRITIC, "storage.read", "agents/planner/files/reports2")
        assert not await desk.allows(CRITIC, "storage.read", "agents/planner/files/%")

    async def test_a_grant_ends_with_its_time(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        end = desk.clock.now() + timedelta(minutes=1)
        new = NewGrant(
            grantee="agents/critic", resource=NOTE, actions=frozenset({"memory.read"}), expire_time=end
        )
        await desk.manager.grants.create(PLANNER, new, NEW)

        assert (await desk.decide(CRITIC, "memory.read", NOTE)).expire_time == end
        desk.clock.advance(60)
        assert not await desk.allows(CRITIC, "memory.read", NOTE)

    async def test_nobody_gives_what_it_may_not_do(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        other = NewGrant(
            grantee="agents/planner", resource="agents/critic", actions=frozenset({"agent.read"})
        )
        privilege = NewGrant(
            grantee="agents/planner", resource="agents/me", actions=frozenset({"agent.privilege"})
        )
        kernel = NewGrant(
            grantee="agents/planner", resource="agents/me", actions=frozenset({"scheduler.configure"})
        )

        with pytest.raises(PermissionDenied):
            await desk.manager.grants.create(PLANNER, other, NEW)
        with pytest.raises(PermissionDenied):
            await desk.manager.grants.create(PLANNER, privilege, NEW)
        with pytest.raises(InvalidRequest):
            await desk.manager.grants.create(ADMIN, kernel, NEW)

    async def test_a_bad_grant_is_refused(self, desk: Desk) -> None:
        await desk.register("planner")
        good = NewGrant(grantee="agents/planner", resource="tools/t", actions=frozenset({"tool.call"}))
        past = dataclasses.replace(good, expire_time=desk.clock.now())

        with pytest.raises(AgentNotFound):
            await desk.manager.grants.create(ADMIN, dataclasses.replace(good, grantee="agents/x"), NEW)
        with pytest.raises(RuleNotFound):
            await desk.manager.grants.create(ADMIN, dataclasses.replace(good, grantee="groups/x"), NEW)
        with pytest.raises(InvalidRequest):
            await desk.manager.grants.create(ADMIN, dataclasses.replace(good, prefix=True), NEW)
        with pytest.raises(InvalidRequest):
            await desk.manager.grants.create(ADMIN, past, NEW)
        with pytest.raises(RuleNotFound):
            await desk.manager.grants.revoke(ADMIN, "grants/never", NEW)

    async def test_an_agent_lists_what_it_gave_and_got(self, desk: Desk) -> None:
        for name in ("planner", "critic", "other"):
            await desk.register(name)
        await desk.manager.groups.create(ADMIN, "groups/g", title="", description="", asked=NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/g", "agents/critic", NEW)
        reads = frozenset({"memory.read"})
        ids = []
        for resource, grantee in (
            (NOTE, "agents/critic"),
            ("agents/other/notes/o", "groups/g"),
            ("agents/other/notes/p", "agents/planner"),
        ):
            desk.clock.advance(1)
            new = NewGrant(grantee=grantee, resource=resource, actions=reads)
            ids.append((await desk.manager.grants.create(ADMIN, new, NEW)).id)

        async def listed(caller: Caller, **narrow: str) -> list[str]:
            found: list[str] = []
            token = ""
            while True:
                page, token = await desk.manager.grants.page(
                    caller,
                    grantee=narrow.get("grantee", ""),
                    resource=narrow.get("resource", ""),
                    size=1,
                    token=token,
                )
                found += [one.id for one in page]
                if not token:
                    return found

        assert await listed(ADMIN) == ids
        assert await listed(CRITIC) == ids[:2]
        assert await listed(PLANNER) == [ids[0], ids[2]]
        assert await listed(ADMIN, grantee="groups/g") == [ids[1]]
        assert await listed(ADMIN, resource=NOTE) == [ids[0]]

    async def test_groups_nest_and_give_what_they_got(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        for name in ("inner", "outer"):
            await desk.manager.groups.create(ADMIN, f"groups/{name}", title="", description="", asked=NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/inner", "agents/critic", NEW)
        outer = await desk.manager.groups.add_member(ADMIN, "groups/outer", "groups/inner", NEW)
        new = NewGrant(grantee="groups/outer", resource=NOTE, actions=frozenset({"memory.read"}))
        await desk.manager.grants.create(PLANNER, new, NEW)

        assert outer.member_count == 1
        assert await desk.allows(CRITIC, "memory.read", NOTE)
        with pytest.raises(GroupCycle):
            await desk.manager.groups.add_member(ADMIN, "groups/inner", "groups/outer", NEW)
        with pytest.raises(GroupCycle):
            await desk.manager.groups.add_member(ADMIN, "groups/inner", "groups/inner", NEW)
        await desk.manager.groups.remove_member(ADMIN, "groups/inner", "agents/critic", NEW)
        assert not await desk.allows(CRITIC, "memory.read", NOTE)

    async def test_a_deleted_group_takes_its_grants_along(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        create = desk.manager.groups.create
        group = await create(ADMIN, "groups/g", title="G", description="d", asked=NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/g", "agents/critic", NEW)
        new = NewGrant(grantee="groups/g", resource=NOTE, actions=frozenset({"memory.read"}))
        await desk.manager.grants.create(PLANNER, new, NEW)

        with pytest.raises(EtagMismatch):
            await desk.manager.groups.delete(ADMIN, "groups/g", group.etag, NEW)
        with pytest.raises(AlreadyExists):
            await create(ADMIN, "groups/g", title="", description="", asked=NEW)
        await desk.manager.groups.delete(ADMIN, "groups/g", "", NEW)
        with pytest.raises(RuleNotFound):
            await desk.manager.groups.get(ADMIN, "groups/g")
        await create(ADMIN, "groups/g", title="", description="", asked=NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/g", "agents/critic", NEW)
        assert not await desk.allows(CRITIC, "memory.read", NOTE)

    async def test_groups_and_members_are_paged(self, desk: Desk) -> None:
        await desk.register("planner")
        for name in ("c", "a", "b"):
            await desk.manager.groups.create(ADMIN, f"groups/{name}", title="", description="", asked=NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/a", "agents/planner", NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/a", "groups/b", NEW)
        await desk.manager.groups.add_member(ADMIN, "groups/a", "groups/b", NEW)
        groups, token = await desk.manager.groups.page(ADMIN, "", 2, "")
        rest, end = await desk.manager.groups.page(ADMIN, "", 2, token)
        of_planner, _ = await desk.manager.groups.page(ADMIN, "agents/planner", 0, "")
        members, more = await desk.manager.groups.members(ADMIN, "groups/a", 1, "")
        others, _ = await desk.manager.groups.members(ADMIN, "groups/a", 1, more)

        assert [one.id for one in (*groups, *rest)] == ["a", "b", "c"]
        assert end == ""
        assert groups[0].member_count == 2
        assert [one.id for one in of_planner] == ["a"]
        assert [one.name for one in (*members, *others)] == ["agents/planner", "groups/b"]

    async def test_a_repeated_request_has_one_effect(self, desk: Desk) -> None:
        create = desk.manager.groups.create
        first = await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))
        entries = len(await self.audit(desk))
        again = await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))

        assert again == first
        assert len(await self.audit(desk)) == entries
        with pytest.raises(IdempotencyMismatch):
            await create(ADMIN, "groups/h", title="", description="", asked=asked("r", b"e"))

    async def test_answers_are_forgotten_after_a_day(self, desk: Desk) -> None:
        create = desk.manager.groups.create
        await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))
        desk.clock.advance(86_401)
        await desk.manager.forget()

        with pytest.raises(AlreadyExists):
            await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))

    # Policies

    async def test_a_policy_counts_at_once_and_versions_stay(self, desk: Desk) -> None:
        await desk.register("planner")
        text = '@id("stop") forbid(principal is Agent, action == Action::"tool.call", resource);'
        put = desk.manager.policies.put
        first, _ = await put(ADMIN, "policies/p", text, description="one", etag="", asked=NEW)

        assert not await desk.allows(PLANNER, "tool.call", "tools/t")
        second, _ = await put(
            ADMIN, "policies/p", text.replace("tool.call", "tool.read"), description="", etag="v1", asked=NEW
        )
        assert await desk.allows(PLANNER, "tool.call", "tools/t")
        with pytest.raises(EtagMismatch):
            await put(ADMIN, "policies/p", text, description="", etag=first.etag, asked=NEW)
        versions, token = await desk.manager.policies.versions(ADMIN, "policies/p", 1, "")
        older, _ = await desk.manager.policies.versions(ADMIN, "policies/p", 1, token)
        assert [(one.version, one.active) for one in (*versions, *older)] == [(2, True), (1, False)]
        assert (await desk.manager.policies.get(ADMIN, "policies/p", 1)).text == text
        assert (await desk.manager.policies.get(ADMIN, "policies/p", 0)).version == second.version

    async def test_a_policy_is_its_tenants_alone(self, desk: Desk) -> None:
        await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="planner", tenant="globex"), NEW)
        text = '@id("stop") forbid(principal is Agent, action, resource);'
        await desk.manager.policies.put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)

        assert await desk.allows(agent("planner", tenant="globex"), "tool.call", "tools/t")
        with pytest.raises(RuleNotFound):
            await desk.manager.policies.get(KERNEL_ADMIN, "policies/p", 0)

    async def test_a_deleted_policy_no_longer_counts(self, desk: Desk) -> None:
        await desk.register("planner")
        text = '@id("stop") forbid(principal is Agent, action, resource);'
        await desk.manager.policies.put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)
        await desk.manager.policies.delete(ADMIN, "policies/p", "v1", NEW)

        assert await desk.allows(PLANNER, "tool.call", "tools/t")
        with pytest.raises(RuleNotFound):
            await desk.manager.policies.delete(ADMIN, "policies/p", "", NEW)
        put, _ = await desk.manager.policies.put(
            ADMIN, "policies/p", text, description="", etag="", asked=NEW
        )
        assert put.version == 2

    async def test_a_bad_policy_changes_nothing(self, desk: Desk) -> None:
        put = desk.manager.policies.put
        with pytest.raises(PolicyInvalid):
            await put(ADMIN, "policies/p", "permit(", description="", etag="", asked=NEW)
        with pytest.raises(PolicyInvalid, match="author"):
            text = '@id("oops") forbid(principal is Admin, action, resource);'
            await put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)
        with pytest.raises(RuleProtected):
            await put(ADMIN, "policies/owner", ALLOW_ALL, description="", etag="", asked=NEW)
        found = await desk.manager.policies.validate(ADMIN, "permit(")

        assert not desk.manager.policies.is_valid(found)
        assert await desk.revision() == 0

    async def test_the_kernels_policies_are_listed_among_the_tenants(self, desk: Desk) -> None:
        await desk.manager.policies.put(ADMIN, "policies/p", ALLOW_ALL, description="", etag="", asked=NEW)
        page, token = await desk.manager.policies.page(ADMIN, 5, "")
        rest, _ = await desk.manager.policies.page(ADMIN, 100, token)
        listed = [one.id for one in (*page, *rest)]

        assert listed == sorted(listed)
        assert {"p", "owner", "tenant-wall"} <= set(listed)
        assert (await desk.manager.policies.get(ADMIN, "policies/owner", 0)).tenant == ""

    # Tokens

    async def test_keys_and_tokens_are_exchanged_for_fresh_tokens(self, desk: Desk) -> None:
        made = await desk.register("planner")
        by_key = await desk.manager.tokens.by_agent_key(made.key, timedelta(minutes=2))
        renewed = await desk.manager.tokens.by_renewal(by_key.text, timedelta(days=3))
        service = await desk.manager.tokens.by_service_key("memory", SERVICE_KEY, None)

        assert by_key.expire_time == desk.clock.now() + timedelta(minutes=2)
        assert renewed.expire_time == desk.clock.now() + timedelta(minutes=10)
        assert (service.principal.agent, service.principal.tenant, service.principal.kind) == (
            "memory",
            "kernel",
            Kind.SERVICE,
        )

    async def test_an_administrator_may_have_a_longer_life(self, desk: Desk) -> None:
        admin = desk.keys.issue(
            dataclasses.replace(service_principal(), agent="admin", kind=Kind.ADMIN, tenant=TENANT),
            now=desk.clock.now(),
            after=None,
            lifetime=timedelta(days=1),
        )
        renewed = await desk.manager.tokens.by_renewal(admin.text, timedelta(days=30))

        assert renewed.expire_time == desk.clock.now() + timedelta(days=30)
        assert renewed.principal.kind is Kind.ADMIN

    async def test_wrong_keys_are_refused_and_then_slowed_down(self, desk: Desk) -> None:
        for wrong in ("", "x", SERVICE_KEY + "x"):
            with pytest.raises(CredentialInvalid):
                await desk.manager.tokens.by_service_key("memory", wrong, None)
        with pytest.raises(TooManyCalls) as slow:
            await desk.manager.tokens.by_agent_key("nope", None)

        assert slow.value.retry_after is not None
        assert await desk.manager.tokens.by_service_key("memory", SERVICE_KEY, None)

    async def test_a_suspended_agent_gets_no_token(self, desk: Desk) -> None:
        made = await desk.register("planner")
        await desk.manager.agents.suspend(ADMIN, "planner", "")
        with pytest.raises(AgentInactive):
            await desk.manager.tokens.by_agent_key(made.key, None)
        await desk.manager.agents.resume(ADMIN, "planner")

        assert await desk.manager.tokens.by_agent_key(made.key, None)

    async def test_one_token_is_revoked_and_the_others_live(self, desk: Desk) -> None:
        made = await desk.register("planner")
        other = await desk.manager.tokens.by_agent_key(made.key, None)
        revoke = desk.manager.tokens.revoke
        revision = await revoke(PLANNER, "", Target(token=made.token.text), NEW)

        assert revision == await desk.revision()
        with pytest.raises(CredentialRevoked):
            await desk.manager.tokens.by_renewal(made.token.text, None)
        assert await desk.manager.tokens.by_renewal(other.text, None)

    async def test_all_tokens_are_revoked_and_a_new_one_counts_at_once(self, desk: Desk) -> None:
        made = await desk.register("planner")
        await desk.manager.tokens.revoke(ADMIN, "agents/planner", Target(everything=True), NEW)
        with pytest.raises(CredentialRevoked):
            await desk.manager.tokens.by_renewal(made.token.text, None)
        fresh = await desk.manager.tokens.by_agent_key(made.key, None)

        assert await desk.manager.tokens.by_renewal(fresh.text, None)
        target = Target(everything=True, key_too=True)
        await desk.manager.tokens.revoke(ADMIN, "agents/planner", target, NEW)
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_agent_key(made.key, None)

    async def test_revocations_are_forgotten_once_the_tokens_have_expired(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.manager.tokens.revoke(PLANNER, "", Target(token_id="x"), NEW)
        now = desk.clock.now()
        kept = await desk.store.read(lambda tx: tx.tokens.revoked(0, now))
        desk.clock.advance(86_400)
        await desk.manager.forget()
        then = desk.clock.now()

        assert [one.token_id for one in kept] == ["x"]
        assert await desk.store.read(lambda tx: tx.tokens.revoked(0, then - timedelta(days=9))) == []

    async def test_only_tokens_of_this_issuer_and_agent_are_revoked(self, desk: Desk) -> None:
        await desk.register("planner")
        made = await desk.register("critic")
        revoke = desk.manager.tokens.revoke

        with pytest.raises(CredentialInvalid):
            await revoke(PLANNER, "", Target(token="garbage"), NEW)
        with pytest.raises(InvalidRequest):
            await revoke(PLANNER, "", Target(token=made.token.text), NEW)
        with pytest.raises(AgentNotFound):
            await revoke(ADMIN, "agents/ghost", Target(everything=True), NEW)

    # Approvals

    async def test_an_approval_is_used_once_for_its_arguments(self, desk: Desk) -> None:
        await desk.register("planner")
        desk_ = desk.manager.approvals
        approval = await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)
        name = f"approvals/{approval.id}"

        async def use(sha: str = SHA, by: str = "planner") -> Approval:
            return await desk_.use(SERVICE, TENANT, name, agent=by, arguments_sha256=sha, asked=NEW)

        assert await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW) == approval
        with pytest.raises(ApprovalRequired):
            await use()
        with pytest.raises(EtagMismatch):
            await desk_.decide(ADMIN, name, approve=True, comment="", arguments_sha256="cd" * 32, asked=NEW)
        with pytest.raises(PermissionDenied):
            await desk_.decide(PLANNER, name, approve=True, comment="", arguments_sha256="", asked=NEW)
        decided = await desk_.decide(
            ADMIN, name, approve=True, comment="fine", arguments_sha256=SHA, asked=NEW
        )
        assert (decided.state, decided.decider, decided.comment) == (ApprovalState.APPROVED, "admin", "fine")
        with pytest.raises(ApprovalDecided):
            await desk_.decide(ADMIN, name, approve=False, comment="", arguments_sha256="", asked=NEW)
        with pytest.raises(ApprovalRequired):
            await use("cd" * 32)
        with pytest.raises(ApprovalNotFound):
            await use(by="critic")
        assert (await use()).state is ApprovalState.USED
        with pytest.raises(ApprovalDecided):
            await use()

    async def test_approvals_expire_and_are_limited(self, desk: Desk) -> None:
        await desk.register("planner")
        desk_ = desk.manager.approvals
        approval = await desk_.request(SERVICE, wanted(), timedelta(minutes=1), NEW)
        await desk_.request(SERVICE, wanted(sha="cd" * 32), timedelta(hours=1), NEW)
        with pytest.raises(QuotaExceeded):
            await desk_.request(SERVICE, wanted(sha="ef" * 32), timedelta(hours=1), NEW)
        with pytest.raises(AgentNotFound):
            await desk_.request(SERVICE, wanted("ghost"), timedelta(hours=1), NEW)
        desk.clock.advance(60)
        name = f"approvals/{approval.id}"

        assert (await desk_.get(PLANNER, name)).state is ApprovalState.EXPIRED
        with pytest.raises(ApprovalExpired):
            await desk_.decide(ADMIN, name, approve=True, comment="", arguments_sha256="", asked=NEW)
        assert await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW) != approval

    async def test_approvals_are_listed_newest_first_by_state(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.register("critic")
        desk_ = desk.manager.approvals
        ids = []
        for number, who in enumerate(("planner", "critic", "planner")):
            desk.clock.advance(1)
            life = timedelta(minutes=1 if number == 0 else 60)
            ids.append((await desk_.request(SERVICE, wanted(who, sha=f"{number:064x}"), life, NEW)).id)
        desk.clock.advance(60)

        async def listed(caller: Caller, *states: ApprovalState, agent_name: str = "") -> list[str]:
            found: list[str] = []
            token = ""
            while True:
                page, token = await desk_.page(
                    caller,
                    agent=agent_name,
                    states=frozenset(states),
                    size=1,
                    token=token,
                )
                found += [one.id for one in page]
                if not token:
                    return found

        assert await listed(ADMIN) == ids[::-1]
        assert await listed(ADMIN, ApprovalState.PENDING) == [ids[2], ids[1]]
        assert await listed(ADMIN, ApprovalState.EXPIRED) == [ids[0]]
        assert await listed(ADMIN, ApprovalState.EXPIRED, ApprovalState.PENDING) == ids[::-1]
        assert await listed(CRITIC) == [ids[1]]
        assert await listed(ADMIN, agent_name="agents/planner") == [ids[2], ids[0]]
        with pytest.raises(PermissionDenied):
            await listed(CRITIC, agent_name="agents/planner")

    async def test_a_watch_of_approvals_shows_the_pending_ones_then_changes(self, desk: Desk) -> None:
        await desk.register("planner")
        desk_ = desk.manager.approvals
        first = await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)
        async with aclosing(desk_.watch(ADMIN, "")) as events:
            seen = [await anext(events), await anext(events)]
            await desk_.decide(
                ADMIN, f"approvals/{first.id}", approve=False, comment="", arguments_sha256="", asked=NEW
            )
            change = await asyncio.wait_for(anext(events), 5)

        assert seen == [first, None]
        assert change is not None
        assert change.state is ApprovalState.REJECTED

    # Audit

    async def test_every_change_is_in_the_log_and_the_log_is_whole(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.manager.groups.create(ADMIN, "groups/g", title="", description="", asked=NEW)
        await desk.manager.agents.suspend(ADMIN, "planner", "misbehaved")
        log = await self.audit(desk)
        verified = await desk.manager.audit.verify(ADMIN, 0, 0, "")

        assert [entry.event.action for entry in log] == ["agent.register", "access.manage", "agent.control"]
        assert [entry.sequence for entry in log] == [1, 2, 3]
        assert verified.result.intact
        assert verified.result.head.hash == log[-1].hash
        assert len(verified.signature) == 64
        assert (await desk.manager.audit.verify(ADMIN, 2, 2, log[0].hash)).result.verified_count == 1

    async def test_a_failed_change_leaves_no_trace(self, desk: Desk) -> None:
        await desk.register("planner")
        before = await desk.revision()
        with pytest.raises(AgentExists):
            await desk.register("planner")

        assert await desk.revision() == before
        assert len(await self.audit(desk)) == 1

    async def test_a_cut_or_unknown_head_shows(self, desk: Desk) -> None:
        await desk.register("planner")
        verified = await desk.manager.audit.verify(ADMIN, 0, 0, "f" * 64)

        assert not verified.result.intact
        assert "expected head" in verified.result.problem
        with pytest.raises(PermissionDenied):
            await desk.manager.audit.verify(PLANNER, 0, 0, "")

    async def test_an_empty_log_is_intact(self, desk: Desk) -> None:
        verified = await desk.manager.audit.verify(ADMIN, 0, 0, "")

        assert verified.result.intact
        assert verified.result.head.sequence == 0

    async def test_appended_entries_are_found_by_every_filter(self, desk: Desk) -> None:
        start = desk.clock.now()
        base = dataclasses.replace(
            kit.event(PLANNER, "X", "storage.delete", "agents/planner/files/a%b"),
            policies=("policies/owner",),
            event_time=start,
            syscall_id="s1",
        )
        denied = dataclasses.replace(base, outcome=Outcome.DENIED, agent="critic", resource="tools/t")
        last = await desk.manager.audit.append(SERVICE, TENANT, [base, denied], asked("r"))
        desk.clock.advance(10)
        again = await desk.manager.audit.append(SERVICE, TENANT, [base, denied], asked("r"))
        await desk.manager.audit.append(SERVICE, TENANT, [base], NEW)

        async def found(**narrow: object) -> list[int]:
            query = AuditQuery(tenant=TENANT, **narrow)  # type: ignore[arg-type]
            page, token = await desk.manager.audit.query(ADMIN, query, 1, "")
            while token:
                more, token = await desk.manager.audit.query(ADMIN, query, 1, token)
                page += more
            return [entry.sequence for entry in page]

        assert (last, again) == (2, 2)
        assert await found() == [3, 2, 1]
        assert await found(oldest_first=True) == [1, 2, 3]
        assert await found(agent="critic") == [2]
        assert await found(action="storage.read") == []
        assert await found(resource_prefix="agents/planner/files/a%") == [3, 1]
        assert await found(resource_prefix="agents/planner/files/%") == []
        assert await found(outcome=Outcome.DENIED) == [2]
        assert await found(start_time=desk.clock.now()) == [3]
        assert await found(end_time=desk.clock.now()) == [2, 1]
        assert await found(syscall_id="s2") == []
        page, _ = await desk.manager.audit.query(CRITIC, AuditQuery(tenant=TENANT), 0, "")
        assert [entry.event for entry in page] == [denied]
        with pytest.raises(PermissionDenied):
            await desk.manager.audit.query(CRITIC, AuditQuery(tenant=TENANT, agent="planner"), 0, "")

    async def test_logs_of_two_tenants_are_two_chains(self, desk: Desk) -> None:
        await desk.register("planner")
        await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="x", tenant="globex"), NEW)

        def heads(tx: Transaction) -> list[int]:
            return [tx.audit.head(tenant).sequence for tenant in (TENANT, "globex", "nobody")]

        assert await desk.store.read(heads) == [1, 1, 0]

    async def test_writers_at_once_lose_nothing(self, desk: Desk) -> None:
        await asyncio.gather(*(desk.register(f"a{number}") for number in range(12)))
        page, _ = await desk.manager.agents.page(ADMIN, "", 100, "")

        assert len(page) == 12
        assert sorted(one.revision for one in page) == list(range(1, 13))
        assert (await desk.manager.audit.verify(ADMIN, 0, 0, "")).result.verified_count == 12


def service_principal() -> Principal:
    """Return a principal to start from."""
    return Principal(agent="x", tenant="kernel", kind=Kind.SERVICE)


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class SqlContract(StoreContract):
    """What SQL stores show beside the rest; subclasses supply `url`."""

    @pytest.fixture
    async def database(self, url: str) -> AsyncIterator[Database]:
        database = Database.open(url, schema="access", migrations=MIGRATIONS)
        await database.migrate()
        yield database
        await database.close()

    @pytest.fixture
    def store(self, database: Database) -> Store:
        return SqlStore(database)

    async def test_a_changed_row_of_the_log_is_named(self, desk: Desk, database: Database) -> None:
        for name in ("a", "b", "c"):
            await desk.register(name)
        await database.write(
            lambda conn: conn.exec_driver_sql("UPDATE audit SET agent = 'mallory' WHERE sequence = 2")
        )
        result = (await desk.manager.audit.verify(ADMIN, 0, 0, "")).result

        assert not result.intact
        assert (result.broken_sequence, result.verified_count) == (2, 1)

    @pytest.mark.parametrize(("gone", "first_broken"), [(2, 2), (3, 3)])
    async def test_a_deleted_row_of_the_log_is_named(
        self, desk: Desk, database: Database, gone: int, first_broken: int
    ) -> None:
        for name in ("a", "b", "c"):
            await desk.register(name)
        await database.write(lambda conn: conn.exec_driver_sql(f"DELETE FROM audit WHERE sequence = {gone}"))
        result = (await desk.manager.audit.verify(ADMIN, 0, 0, "")).result

        assert not result.intact
        assert result.broken_sequence == first_broken

    async def test_everything_is_there_after_a_restart(self, desk: Desk, url: str) -> None:
        made = await desk.register("planner")
        other = Database.open(url, schema="access", migrations=MIGRATIONS)
        await other.migrate()
        found = await SqlStore(other).read(lambda tx: tx.agents.get(TENANT, "planner"))
        await other.close()

        assert found == made.agent


class TestSqlite(SqlContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/access.db"


@pytest.mark.postgres
class TestPostgres(SqlContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
