"""Policies, on every store: versions, tenants, refusals."""

from datetime import UTC, datetime

import pytest

from services.access.adapters.cedar import base_policies
from services.access.core import policy_text
from services.access.errors import (
    EtagMismatch,
    PolicyInvalid,
    RuleNotFound,
    RuleProtected,
)
from services.access.model.rules import Policy, Reason, Severity
from services.access.ports.store import Transaction
from services.access.service.agents import NewAgent
from services.chassis.rpc.errors import QuotaExceeded
from tests.fakes.access_manager import (
    ADMIN,
    KERNEL_ADMIN,
    NEW,
    Desk,
    agent,
)

PLANNER = agent("planner")
WIDE = '@id("wide") permit(principal, action, resource) when { ' + " && ".join(["true"] * 5000) + " };"
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
    for left in ("", 'unless { action == Action::"access.manage" }'):
        lockout = f'@id("oops") forbid(principal is Admin, action, resource) {left};'
        with pytest.raises(PolicyInvalid, match=r"author.*access\.read.*agent\.control"):
            await put(ADMIN, "policies/p", lockout, description="", etag="", asked=NEW)
    with pytest.raises(RuleProtected):
        await put(ADMIN, "policies/owner", ALLOW_ALL, description="", etag="", asked=NEW)
    found = await desk.manager.policies.validate(ADMIN, "permit(")

    assert not desk.manager.policies.is_valid(found)
    assert await desk.revision() == 0


async def test_a_lock_whose_condition_comes_true_later_locks_nobody_out(desk: Desk) -> None:
    later = '@id("later") forbid(principal is Admin, action, resource) when { context.untrusted };'
    await desk.manager.policies.put(ADMIN, "policies/p", later, description="", etag="", asked=NEW)
    made = (await desk.manager.policies.get(ADMIN, "policies/p", 0)).create_time

    def make_it_true(tx: Transaction) -> None:
        always = later.replace("context.untrusted", "true")
        tx.policies.put(
            Policy(ADMIN.tenant, "p", always, "", 2, active=True, author="admin", create_time=made)
        )
        tx.ledger.bump()

    await desk.store.write(make_it_true)
    for action in ("access.read", "access.manage"):
        assert await desk.allows(ADMIN, action, "policies/p")
    for action in ("agent.control", "access.audit", "access.revoke"):
        assert await desk.allows(ADMIN, action, "agents/planner")
    assert not await desk.allows(ADMIN, "memory.read", "agents/planner/notes/n")
    await desk.manager.policies.delete(ADMIN, "policies/p", "", NEW)
    assert await desk.allows(ADMIN, "memory.read", "agents/planner/notes/n")


async def test_the_kernels_policies_are_listed_among_the_tenants(desk: Desk) -> None:
    await desk.manager.policies.put(ADMIN, "policies/p", ALLOW_ALL, description="", etag="", asked=NEW)
    page, token = await desk.manager.policies.page(ADMIN, 5, "")
    rest, _ = await desk.manager.policies.page(ADMIN, 100, token)
    listed = [one.id for one in (*page, *rest)]

    assert listed == sorted(listed)
    assert {"p", "owner", "tenant-wall"} <= set(listed)
    assert (await desk.manager.policies.get(ADMIN, "policies/owner", 0)).tenant == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("permit(principal, action, resource);", "needs an @id"),
        ('@id("owner") permit(principal, action, resource);', "used by another policy"),
        (ALLOW_ALL + ALLOW_ALL, "used by another policy"),
        ('@id("theirs") permit(principal, action, resource);', "used by another policy"),
        ('@id("a") permit(principal == ?principal, action, resource);', "templates"),
        (WIDE, "more than 256 operations"),
    ],
)
async def test_a_text_is_judged_beside_the_others_in_force(desk: Desk, text: str, problem: str) -> None:
    theirs = ALLOW_ALL.replace("all", "theirs")
    put = desk.manager.policies.put
    await put(ADMIN, "policies/theirs", theirs, description="", etag="", asked=NEW)
    found = await desk.manager.policies.validate(ADMIN, text)

    assert found[0].severity is Severity.ERROR
    assert problem in found[0].message
    with pytest.raises(PolicyInvalid, match=problem):
        await put(ADMIN, "policies/p", text, description="", etag="", asked=NEW)
    assert len((await desk.manager.policies.page(ADMIN, 100, ""))[0]) == len(base_policies()) + 1


async def test_an_empty_text_is_taken_with_a_warning(desk: Desk) -> None:
    (found,) = await desk.manager.policies.validate(ADMIN, "// nothing")
    _, warnings = await desk.manager.policies.put(
        ADMIN, "policies/p", "// nothing", description="", etag="", asked=NEW
    )

    assert [found] == warnings
    assert found.severity is Severity.WARNING


async def test_a_tenant_has_only_so_many_policies_in_force(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_text, "MAX_IN_FORCE", 2)
    put = desk.manager.policies.put
    for name in ("one", "two"):
        text = ALLOW_ALL.replace("all", name)
        await put(ADMIN, f"policies/{name}", text, description="", etag="", asked=NEW)

    with pytest.raises(QuotaExceeded) as refused:
        await put(ADMIN, "policies/three", ALLOW_ALL, description="", etag="", asked=NEW)
    await put(ADMIN, "policies/two", ALLOW_ALL, description="", etag="", asked=NEW)
    await desk.manager.policies.delete(ADMIN, "policies/one", "", NEW)
    await put(ADMIN, "policies/three", ALLOW_ALL.replace("all", "3"), description="", etag="", asked=NEW)

    assert refused.value.metadata == {"quota": "policies", "wanted": "3", "limit": "2"}


async def test_a_stored_policy_that_cannot_be_read_fails_closed_until_it_is_deleted(desk: Desk) -> None:
    await desk.register("planner")

    def break_in(tx: Transaction) -> None:
        made = datetime(2026, 1, 1, tzinfo=UTC)
        tx.policies.put(
            Policy(ADMIN.tenant, "old", WIDE, "", 1, active=True, author="admin", create_time=made)
        )
        tx.ledger.bump()

    await desk.store.write(break_in)
    decision = await desk.decide(PLANNER, "tool.call", "tools/t")

    assert (decision.allowed, decision.reason) == (False, Reason.POLICY_ERROR)
    assert decision.policies == ("policies/old",)
    assert not await desk.allows(ADMIN, "access.manage", "groups/g")
    assert await desk.allows(ADMIN, "access.manage", "policies/old")
    await desk.manager.policies.delete(ADMIN, "policies/old", "", NEW)
    assert await desk.allows(PLANNER, "tool.call", "tools/t")


async def test_a_stored_policy_that_cannot_be_read_can_be_replaced(desk: Desk) -> None:
    await desk.register("planner")

    def break_in(tx: Transaction) -> None:
        made = datetime(2026, 1, 1, tzinfo=UTC)
        tx.policies.put(
            Policy(ADMIN.tenant, "old", "permit(", "", 1, active=True, author="admin", create_time=made)
        )
        tx.ledger.bump()

    await desk.store.write(break_in)
    assert not await desk.allows(PLANNER, "tool.call", "tools/t")
    await desk.manager.policies.put(ADMIN, "policies/old", ALLOW_ALL, description="", etag="", asked=NEW)

    assert await desk.allows(PLANNER, "tool.call", "tools/t")
