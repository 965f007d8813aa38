"""The policy engine: trouble is a refusal, tenants cannot reach the kernel, texts are judged before use."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.access.adapters import cedar as cedar_module
from services.access.adapters.cedar import OPTIONS, CedarEngine, PolicyJudge, base_policies
from services.access.config import POLICY_OPTIONS
from services.access.core.decision import DecisionCache
from services.access.core.decision_input import DecisionInput, Target, prefixes, target_of
from services.access.core.policy_text import MAX_IN_FORCE, outline
from services.access.model.agents import Agent, AgentState
from services.access.model.rules import Check, Decision, Policy, Reason, Severity
from services.chassis.auth.identity import Kind, Principal
from services.chassis.dispatch.scheduling import Hints
from services.chassis.rpc import names
from tests.fakes.examples import examples

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLANNER = Agent(
    tenant="acme",
    id="planner",
    parent="",
    ancestors=(),
    display_name="",
    kind="",
    hints=Hints(),
    labels={},
    suspended=False,
    state=AgentState.ACTIVE,
    revision=1,
    create_time=NOW,
    update_time=NOW,
)
SLICE = DecisionInput(revision=7, principal=PLANNER, owner=PLANNER, groups=frozenset(), grants=())
WHO = Principal(agent="planner", tenant="acme", kind=Kind.AGENT)
TENANT_ADMIN = Principal(agent="admin", tenant="acme", kind=Kind.ADMIN)
ENGINE = CedarEngine(kernel_tenant="default")
JUDGE = PolicyJudge()


KERNEL_ADMIN = Principal(agent="admin", tenant="default", kind=Kind.ADMIN)
_THEIRS = dataclasses.replace(PLANNER, tenant="default")
ADMINS = [(TENANT_ADMIN, SLICE), (KERNEL_ADMIN, dataclasses.replace(SLICE, principal=_THEIRS, owner=_THEIRS))]
KEPT = [
    ("access.read", "policies/p"),
    ("access.read", "groups/g"),
    ("access.read", ""),
    ("access.audit", "agents/planner"),
    ("access.audit", ""),
    ("access.revoke", "agents/planner"),
    ("access.manage", "policies/p0"),
    ("access.manage", "policies/other"),
    ("access.manage", ""),
    ("access.grant", "grants/1"),
    ("agent.read", "agents/planner"),
    ("agent.list", "agents/planner"),
    ("agent.control", "agents/planner"),
]
"""What an administrator always may: see, stop, revoke, mend the rules."""
LOCK = '@id("lock") forbid(principal, action, resource);'
CONDITIONS = [
    "",
    "when { true }",
    "unless { context.approved }",
    "when { context.untrusted }",
    "unless { context.untrusted }",
    'when { principal.tenant like "*" }',
    'when { resource.tenant == "acme" }',
    'unless { principal.tenant == "nobody" }',
    "when { principal.nothing.like_it }",
    "when { 1 + 9223372036854775807 > 0 }",
]


@st.composite
def forbids(draw: st.DrawFn) -> str:
    """Write a policy that forbids something under some condition, which may not even be sound."""
    principal = draw(st.sampled_from(["principal", "principal is Admin", 'principal == Admin::"admin"']))
    actions = ["action", *(f'action == Action::"{name}"' for name, _ in KEPT), 'action in Action::"admin"']
    resource = draw(st.sampled_from(["resource", "resource is Agent", "resource is Policy"]))
    condition = draw(st.sampled_from(CONDITIONS))
    rule = draw(st.integers(0, 10**9))
    return f'@id("f{rule}") forbid({principal}, {draw(st.sampled_from(actions))}, {resource}) {condition};'


def policy(text: str, *, name: str = "mine", version: int = 1) -> Policy:
    """Make a tenant's policy in force."""
    return Policy("acme", name, text, "", version, active=True, author="admin", create_time=NOW)


def ask(
    action: str,
    resource: str = "",
    *texts: str,
    who: Principal = WHO,
    untrusted: bool = False,
    effect: str = "",
    engine: CedarEngine = ENGINE,
    world: DecisionInput = SLICE,
) -> Decision:
    """Decide with the tenant's policies `texts`."""
    name = names.parse(resource or f"agents/{who.agent}")
    policies = tuple(policy(text, name=f"p{number}") for number, text in enumerate(texts))
    check = Check(who, action, resource, untrusted, effect)
    return engine.decide(check, target_of(name, who, ""), world, policies)


def test_a_decision_names_the_rules_and_the_revision() -> None:
    decision = ask("memory.read", "agents/planner/notes/n")

    assert decision.allowed
    assert decision.policies == ("policies/owner",)
    assert decision.revision == 7


def test_an_unknown_action_is_refused_as_an_error() -> None:
    assert ask("memory.explode").reason is Reason.POLICY_ERROR


def test_a_policy_that_fails_refuses_what_another_one_permits() -> None:
    overflow = '@id("bad") forbid(principal, action, resource) when { 9223372036854775807 + 1 == 0 };'
    decision = ask("memory.read", "agents/planner/notes/n", overflow)

    assert not decision.allowed
    assert decision.reason is Reason.POLICY_ERROR


def test_an_entity_of_another_tenant_hits_the_wall() -> None:
    stranger = Target("Note", "agents/planner/notes/n", "other", "planner", "notes", "agents/planner/notes/n")
    rule = policy('@id("all") permit(principal, action, resource);')
    decision = ENGINE.decide(Check(WHO, "memory.read"), stranger, SLICE, (rule,))

    assert decision.reason is Reason.FORBIDDEN
    assert "policies/tenant-wall" in decision.policies


def test_a_forbid_of_the_tenant_wins_over_ownership() -> None:
    text = '@id("freeze") forbid(principal, action == Action::"memory.write", resource is Note);'
    decision = ask("memory.write", "agents/planner/notes/n", text)

    assert decision.reason is Reason.FORBIDDEN
    assert decision.policies == ("policies/p0",)
    assert ask("memory.read", "agents/planner/notes/n", text).allowed


def test_a_policy_sees_that_content_is_untrusted() -> None:
    text = (
        '@id("taint") forbid(principal, action == Action::"tool.call", resource) when { context.untrusted };'
    )

    assert ask("tool.call", "tools/mail", text).allowed
    assert not ask("tool.call", "tools/mail", text, untrusted=True).allowed


def test_a_policy_sees_what_the_tool_may_change_and_the_decision_tells_that_it_matters() -> None:
    text = OPTIONS["irreversible-after-untrusted"].replace("irreversible-after-untrusted", "mine")

    def decided(**circumstances: Any) -> Decision:
        return ask("tool.call", "tools/mail", text, **circumstances)

    assert decided(untrusted=True, effect="pure").allowed
    assert decided(untrusted=False, effect="irreversible").allowed
    assert decided(untrusted=True).effect_matters
    refused = decided(untrusted=True, effect="irreversible")
    assert (refused.allowed, refused.reason) == (False, Reason.APPROVAL_REQUIRED)
    assert not ask("tool.call", "tools/mail").effect_matters


def test_an_installation_adds_rules_to_the_kernels_own_for_all_tenants() -> None:
    strict = CedarEngine(kernel_tenant="default", options=("irreversible-after-untrusted",))
    refused = ask("tool.call", "tools/mail", untrusted=True, effect="irreversible", engine=strict)

    assert refused.policies == ("policies/irreversible-after-untrusted",)
    assert ask("tool.call", "tools/mail", untrusted=True, effect="irreversible").allowed
    assert "irreversible-after-untrusted" in dict(base_policies(("irreversible-after-untrusted",)))
    assert set(OPTIONS) == POLICY_OPTIONS


def test_an_action_can_wait_for_an_approval() -> None:
    text = (
        '@id("ask") forbid(principal, action == Action::"tool.call", resource == Tool::"tools/mail") '
        "unless { context.approved };"
    )

    assert ask("tool.call", "tools/mail", text).reason is Reason.APPROVAL_REQUIRED
    assert ask("tool.call", "tools/clock", text).allowed
    assert ask("access.manage", "groups/g", text).reason is Reason.NOT_PERMITTED


@pytest.mark.parametrize(
    "action", ["scheduler.configure", "scheduler.dispatch", "access.check", "access.approval"]
)
def test_no_policy_of_a_tenant_hands_out_what_is_the_kernels(action: str) -> None:
    text = '@id("all") permit(principal, action, resource);'

    assert not ask(action, "", text).allowed
    assert not ask(action, "", text, who=TENANT_ADMIN).allowed


@pytest.mark.parametrize("state", [AgentState.SUSPENDED, AgentState.KILLED])
def test_no_policy_lets_an_inactive_agent_act(state: AgentState) -> None:
    world = dataclasses.replace(SLICE, principal=dataclasses.replace(PLANNER, state=state), owner=PLANNER)
    text = '@id("all") permit(principal, action, resource);'

    assert ask("tool.call", "tools/mail", text, world=world).reason is Reason.AGENT_INACTIVE


def test_a_new_version_of_a_policy_replaces_the_old_one() -> None:
    check, name = Check(WHO, "tool.call", "tools/mail"), names.parse("tools/mail")
    forbid = policy('@id("x") forbid(principal, action == Action::"tool.call", resource);')
    permit = policy('@id("x") permit(principal, action == Action::"tool.call", resource);', version=2)

    assert not ENGINE.decide(check, target_of(name, WHO, ""), SLICE, (forbid,)).allowed
    assert ENGINE.decide(check, target_of(name, WHO, ""), SLICE, (permit,)).allowed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("permit(", "unexpected end of input"),
        ('@id("a") permit(principal, action == Action::"no.such", resource);', "applicable action"),
        ('@id("a") permit(principal, action, resource) when { resource.sise > 1 };', "sise"),
    ],
)
def test_a_bad_text_is_found_out(text: str, problem: str) -> None:
    found = JUDGE.findings(text)

    assert found[0].severity is Severity.ERROR
    assert problem in found[0].message


@pytest.mark.parametrize("condition", ["resource.sise > 1", "principal.contains(1)", "[1, principal] == [1]"])
def test_a_finding_says_nothing_of_the_librarys_own_names(condition: str) -> None:
    found = JUDGE.findings(f'@id("a") permit(principal, action, resource) when {{ {condition} }};')

    assert {one.policy_id for one in found} == {"a"}
    assert not any("policy0" in one.message or "__cedar" in one.message for one in found)


def test_many_policies_of_one_text_keep_their_ids() -> None:
    text = "\n".join(f'@id("rule-{number}") permit(principal, action, resource);' for number in range(30))

    assert JUDGE.findings(text) == []
    assert outline(text).ids == tuple(f"rule-{number}" for number in range(30))


def test_a_good_text_has_no_findings() -> None:
    assert JUDGE.findings('@id("fine") permit(principal, action, resource is Note);') == []


@pytest.mark.parametrize(
    "broken",
    [
        "permit(",
        '@id("t") permit(principal == ?principal, action, resource);',
        '@id("deep") permit(principal, action, resource) when { ' + "(" * 5000 + "true" + ")" * 5000 + " };",
        '@id("wide") permit(principal, action, resource) when { ' + " && ".join(["true"] * 5000) + " };",
    ],
)
def test_a_policy_in_force_that_cannot_be_read_refuses_everything_but_its_repair(broken: str) -> None:
    open_door = '@id("all") permit(principal, action, resource);'
    refused = ask("memory.read", "agents/planner/notes/n", open_door, broken)

    assert (refused.allowed, refused.reason, refused.policies) == (
        False,
        Reason.POLICY_ERROR,
        ("policies/p1",),
    )
    assert ask("access.manage", "policies/p1", open_door, broken, who=TENANT_ADMIN).allowed
    assert ask("access.read", "policies/p1", open_door, broken, who=TENANT_ADMIN).allowed
    assert not ask("access.manage", "groups/g", open_door, broken, who=TENANT_ADMIN).allowed
    assert not ask("access.manage", "policies/p1", open_door, broken).allowed
    assert not ask("memory.read", "agents/planner/notes/n", open_door, broken, who=TENANT_ADMIN).allowed


def test_no_policy_locks_an_administrator_out() -> None:
    for who, world in ADMINS:
        for action, resource in KEPT:
            assert ask(action, resource, LOCK, who=who, world=world).allowed
            assert ask(action, resource, LOCK, "permit(", who=who, world=world).allowed


def test_what_is_kept_is_the_administrators_alone_and_within_the_tenant() -> None:
    agent = Principal(agent="planner", tenant="acme", kind=Kind.AGENT)
    for action, resource in KEPT:
        assert not ask(action, resource, LOCK, who=agent).allowed
    for action, resource in (
        ("access.manage", "groups/g"),
        ("access.grant", "agents/planner/notes/n"),
        ("access.approve", "approvals/a"),
        ("memory.read", "agents/planner/notes/n"),
        ("agent.update", "agents/planner"),
        ("tool.call", "tools/t"),
    ):
        assert ask(action, resource, who=TENANT_ADMIN).allowed
        assert not ask(action, resource, LOCK, who=TENANT_ADMIN).allowed


@settings(max_examples=examples(60))
@given(texts=st.lists(forbids(), min_size=1, max_size=3), kept=st.sampled_from(KEPT), untrusted=st.booleans())
def test_no_generated_forbid_takes_anything_of_it(
    texts: list[str], kept: tuple[str, str], *, untrusted: bool
) -> None:
    """Conditions that hold now, later, never or break: each is as if it were not there."""
    for who, world in ADMINS:
        assert ask(*kept, *texts, who=who, untrusted=untrusted, world=world).allowed


def test_more_policies_in_force_than_are_allowed_refuse_everything() -> None:
    texts = [f'@id("r{number}") permit(principal, action, resource);' for number in range(MAX_IN_FORCE + 1)]

    assert ask("tool.call", "tools/t", *texts[:-1]).allowed
    assert ask("tool.call", "tools/t", *texts).reason is Reason.POLICY_ERROR


def test_only_so_many_policy_sets_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cedar_module, "_CACHED_SETS", 2)
    engine = CedarEngine(kernel_tenant="default")
    for version in range(1, 5):
        rule = policy(f'@id("x{version}") permit(principal, action, resource);', version=version)
        target = target_of(names.parse("tools/t"), WHO, "")

        assert engine.decide(Check(WHO, "tool.call"), target, SLICE, (rule,)).allowed
    assert len(engine._sets) == 2


def test_the_prefixes_of_a_name_end_with_a_slash() -> None:
    assert prefixes("agents/a/files/x") == ["agents/", "agents/a/", "agents/a/files/", "agents/a/files/x/"]


def test_what_an_older_revision_saw_is_not_remembered() -> None:
    memo = DecisionCache()
    memo.facts(5)["a"] = 1
    memo.facts(4)["a"] = 2

    assert memo.facts(5) == {"a": 1}
    assert memo.facts(4) == {}
    assert memo.facts(6) == {}
