"""Policies, on every store: versions, tenants, refusals."""

import pytest

from services.access.errors import (
    EtagMismatch,
    PolicyInvalid,
    RuleNotFound,
    RuleProtected,
)
from services.access.service.agents import NewAgent
from tests.fakes.access_manager import (
    ADMIN,
    KERNEL_ADMIN,
    NEW,
    Desk,
    agent,
)

PLANNER = agent("planner")
ALLOW_ALL = '@id("all") permit(principal, action, resource);'


async def test_a_policy_counts_at_once_and_versions_stay(desk: Desk) -> None:
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


async def test_a_policy_is_its_tenants_alone(desk: Desk) -> None:
    await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="planner", tenant="globex"), NEW)
    text = '@id("stop") forbid(principal is Agent, action, resource);'
    await desk.manager.policies.put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)

    assert await desk.allows(agent("planner", tenant="globex"), "tool.call", "tools/t")
    with pytest.raises(RuleNotFound):
        await desk.manager.policies.get(KERNEL_ADMIN, "policies/p", 0)


async def test_a_deleted_policy_no_longer_counts(desk: Desk) -> None:
    await desk.register("planner")
    text = '@id("stop") forbid(principal is Agent, action, resource);'
    await desk.manager.policies.put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)
    await desk.manager.policies.delete(ADMIN, "policies/p", "v1", NEW)

    assert await desk.allows(PLANNER, "tool.call", "tools/t")
    with pytest.raises(RuleNotFound):
        await desk.manager.policies.delete(ADMIN, "policies/p", "", NEW)
    put, _ = await desk.manager.policies.put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)
    assert put.version == 2


async def test_a_bad_policy_changes_nothing(desk: Desk) -> None:
    put = desk.manager.policies.put
    with pytest.raises(PolicyInvalid):
        await put(ADMIN, "policies/p", "permit(", description="", etag="", asked=NEW)
    lockout = '@id("oops") forbid(principal is Admin, action, resource);'
    with pytest.raises(PolicyInvalid, match="author"):
        await put(ADMIN, "policies/p", lockout, description="", etag="", asked=NEW)
    with pytest.raises(RuleProtected):
        await put(ADMIN, "policies/owner", ALLOW_ALL, description="", etag="", asked=NEW)
    found = await desk.manager.policies.validate(ADMIN, "permit(")

    assert not desk.manager.policies.is_valid(found)
    assert await desk.revision() == 0


async def test_the_kernels_policies_are_listed_among_the_tenants(desk: Desk) -> None:
    await desk.manager.policies.put(ADMIN, "policies/p", ALLOW_ALL, description="", etag="", asked=NEW)
    page, token = await desk.manager.policies.page(ADMIN, 5, "")
    rest, _ = await desk.manager.policies.page(ADMIN, 100, token)
    listed = [one.id for one in (*page, *rest)]

    assert listed == sorted(listed)
    assert {"p", "owner", "tenant-wall"} <= set(listed)
    assert (await desk.manager.policies.get(ADMIN, "policies/owner", 0)).tenant == ""
