"""A forbid that the member of a group gets round by registering a child, and one that holds."""

import pytest

from services.access.model.rules import Severity
from tests.fakes.access_manager import ADMIN, NEW, Desk, agent

OPEN = '@id("f") forbid (principal in Group::"interns", action == Action::"tool.call", resource);'
SHUT = """@id("f") forbid (principal is Agent, action == Action::"tool.call", resource)
when { principal.tree_groups.contains(Group::"interns") };"""


async def _interns(desk: Desk) -> None:
    await desk.register("mal")
    await desk.register("child", by=agent("mal"))
    await desk.register("grandchild", by=agent("child"))
    await desk.register("other")
    for group in ("groups/interns", "groups/summer"):
        await desk.manager.groups.create(ADMIN, group, title="", description="", asked=NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/interns", "groups/summer", NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/summer", "agents/mal", NEW)


@pytest.mark.parametrize(("text", "reaches_children"), [(OPEN, False), (SHUT, True)])
async def test_a_forbid_by_the_groups_of_the_tree_binds_the_children_of_members(
    desk: Desk, text: str, *, reaches_children: bool
) -> None:
    await _interns(desk)
    _, warnings = await desk.manager.policies.put(
        ADMIN, "policies/f", text, description="", etag="", asked=NEW
    )
    names = ("mal", "child", "grandchild", "other")
    allowed = [await desk.allows(agent(name), "tool.call", "tools/pay") for name in names]

    assert allowed == [False, not reaches_children, not reaches_children, True]
    assert [one.severity for one in warnings] == [] if reaches_children else [Severity.WARNING]


async def test_the_groups_of_an_agent_above_permit_nothing(desk: Desk) -> None:
    """A child has less than its parent unless it is given more."""
    await _interns(desk)
    text = '@id("p") permit (principal in Group::"interns", action == Action::"agent.privilege", resource);'
    await desk.manager.policies.put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)

    assert await desk.allows(agent("mal"), "agent.privilege", "agents/mal")
    assert not await desk.allows(agent("child"), "agent.privilege", "agents/child")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ('forbid (principal == Agent::"mal", action, resource);', True),
        ('forbid (principal in Agent::"mal", action, resource);', False),
        ('forbid (principal is Agent, action, resource) when { principal.kind == "intern" };', True),
        ('permit (principal == Agent::"mal", action == Action::"tool.register", resource);', False),
        ("forbid (principal, action, resource) when { context.untrusted };", False),
    ],
)
async def test_who_writes_a_forbid_that_is_evaded_is_told(desk: Desk, text: str, *, warned: bool) -> None:
    await desk.register("mal")
    found = await desk.manager.policies.validate(ADMIN, f'@id("x") {text}')

    assert [one.severity for one in found] == ([Severity.WARNING] if warned else [])
