"""Who has read what nobody vouches for, on every store: marks rise, run down the tree, and count."""

import pytest

from services.access.errors import AgentNotFound
from services.access.model.rules import Reason
from services.access.service.agents import NewAgent
from services.access.service.grants import NewGrant
from services.chassis.rpc.errors import PermissionDenied
from tests.fakes.access_manager import ADMIN, NEW, SERVICE, TENANT, Desk, agent, whole_log

PLANNER = agent("planner")
CHILD = agent("child")
CLEAN = '@id("clean") forbid(principal, action == Action::"tool.call", resource) when { context.untrusted };'


async def mark(desk: Desk, who: str, source: str = "tools/browse") -> int:
    """Mark an agent as a process of the kernel does."""
    return await desk.manager.marks.mark(SERVICE, TENANT, who, source)


async def forbid(desk: Desk, text: str = CLEAN) -> None:
    """Put a policy of the tenant into force."""
    await desk.manager.policies.put(ADMIN, "policies/clean", text, description="", etag="", asked=NEW)


async def test_a_mark_is_kept_and_decides(desk: Desk) -> None:
    await desk.register("planner")
    await forbid(desk)
    before = await desk.decide(PLANNER, "tool.call", "tools/mail")
    revision = await mark(desk, "planner")
    after = await desk.decide(PLANNER, "tool.call", "tools/mail")
    found = await desk.manager.agents.get(ADMIN, "planner")

    assert (before.allowed, before.untrusted) == (True, False)
    assert (after.allowed, after.untrusted, after.reason) == (False, True, Reason.FORBIDDEN)
    assert after.revision == revision
    assert (found.untrusted_since, found.untrusted_source) == (desk.clock.now(), "tools/browse")


async def test_the_first_mark_stays_and_a_second_one_changes_nothing(desk: Desk) -> None:
    await desk.register("planner")
    first = await mark(desk, "planner", "tools/browse")
    again = await mark(desk, "planner", "agents/critic/files/a")

    assert again == first
    assert (await desk.manager.agents.get(ADMIN, "planner")).untrusted_source == "tools/browse"


async def test_no_mark_is_cleared_below_a_marked_agent_which_would_not_pass_it_on_again(desk: Desk) -> None:
    await desk.register("root")
    await desk.register("planner", parent="root")
    await mark(desk, "root")
    with pytest.raises(PermissionDenied):
        await desk.manager.marks.clear(ADMIN, "planner", descendants=True)

    await desk.manager.marks.clear(ADMIN, "root", descendants=False)
    await desk.manager.marks.clear(ADMIN, "planner", descendants=False)
    await mark(desk, "root")
    assert (await desk.manager.agents.get(ADMIN, "planner")).untrusted


async def test_what_an_agent_has_read_reaches_all_below_it_and_nobody_above(desk: Desk) -> None:
    await desk.register("root")
    await desk.register("planner", parent="root")
    await desk.register("child", parent="planner")
    await mark(desk, "planner")
    names = ("root", "planner", "child")
    marks = {name: (await desk.manager.agents.get(ADMIN, name)).untrusted for name in names}

    assert marks == {"root": False, "planner": True, "child": True}
    assert (await desk.manager.agents.get(ADMIN, "child")).untrusted_source == "agents/planner"


async def test_whom_a_marked_agent_registers_is_born_marked(desk: Desk) -> None:
    await desk.register("planner")
    await mark(desk, "planner")
    made = await desk.manager.agents.register(PLANNER, NewAgent(id="child"), NEW)

    assert made.agent.untrusted
    assert (await desk.decide(CHILD, "tool.call", "tools/mail")).untrusted


async def test_what_the_question_says_adds_to_the_mark_and_takes_nothing_from_it(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    await forbid(desk)
    await mark(desk, "planner")

    assert not (await desk.decide(PLANNER, "tool.call", "tools/mail", untrusted=False)).allowed
    asked = await desk.decide(agent("critic"), "tool.call", "tools/mail", untrusted=True)
    assert (asked.allowed, asked.untrusted) == (False, False)


async def test_an_administrator_clears_a_mark(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("child", parent="planner")
    await mark(desk, "planner")
    cleared, count = await desk.manager.marks.clear(ADMIN, "planner", descendants=False, reason="looked")

    assert (cleared.untrusted, count) == (False, 1)
    assert not (await desk.decide(PLANNER, "tool.call", "tools/mail")).untrusted
    assert (await desk.manager.agents.get(ADMIN, "child")).untrusted
    assert (await desk.manager.marks.clear(ADMIN, "planner", descendants=True))[1] == 1


async def test_a_cleared_agent_is_marked_again_when_it_reads_again(desk: Desk) -> None:
    await desk.register("planner")
    first = await mark(desk, "planner")
    await desk.manager.marks.clear(ADMIN, "planner", descendants=True)

    assert await mark(desk, "planner", "tools/search") > first
    assert (await desk.manager.agents.get(ADMIN, "planner")).untrusted_source == "tools/search"


async def test_no_agent_clears_a_mark_of_its_own_tree_whatever_it_is_granted(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("child", parent="planner")
    await mark(desk, "child")
    for who in (PLANNER, CHILD):
        assert not await desk.allows(who, "agent.clear_untrusted", "agents/child")
        with pytest.raises(PermissionDenied):
            await desk.manager.marks.clear(who, "child", descendants=True)


async def test_another_trees_agent_clears_by_a_grant_and_while_it_bears_no_mark(desk: Desk) -> None:
    for name in ("planner", "warden"):
        await desk.register(name)
    grant = NewGrant(
        grantee="agents/warden", resource="agents/planner", actions=frozenset({"agent.clear_untrusted"})
    )
    await desk.manager.grants.create(ADMIN, grant, NEW)
    await mark(desk, "planner")
    assert await desk.allows(agent("warden"), "agent.clear_untrusted", "agents/planner")
    cleared, _ = await desk.manager.marks.clear(agent("warden"), "planner", descendants=True)
    assert not cleared.untrusted

    await mark(desk, "warden")
    with pytest.raises(PermissionDenied):
        await desk.manager.marks.clear(agent("warden"), "planner", descendants=True)


async def test_marks_and_their_end_are_audited(desk: Desk) -> None:
    await desk.register("planner")
    await mark(desk, "planner")
    await desk.manager.marks.clear(ADMIN, "planner", descendants=False, reason="a person looked")
    told = [(one.event.method.rpartition("/")[2], one.event.reason) for one in await whole_log(desk)][-2:]

    assert told == [("MarkUntrusted", "tools/browse"), ("ClearUntrusted", "a person looked")]


async def test_nobody_is_marked_who_is_not_there(desk: Desk) -> None:
    with pytest.raises(AgentNotFound):
        await mark(desk, "nobody")
