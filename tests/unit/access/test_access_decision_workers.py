"""Decisions under a tenant's own policies are made elsewhere: what ends that process costs one check."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.access.adapters.cedar import CedarEngine
from services.access.adapters.cedar_workers import WorkerEngine, spec_of
from services.access.core.decision_input import DecisionInput, Target, target_of
from services.access.model.rules import Check, Policy, Reason
from services.access.ports.outside import Case
from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc import names
from services.chassis.runtime.clock import SystemClock
from tests.unit.access.test_access_cedar import SLICE, WHO, policy

FORBID = policy('@id("never") forbid(principal, action, resource) when { context.untrusted };')
HERE = CedarEngine(kernel_tenant="default")
HOSTILE = replace(spec_of("default", ()), target="tests.fakes.worker_handlers:hostile_decisions")


def case_of(tool: str, *rules: Policy, who: Principal = WHO, action: str = "tool.call") -> Case:
    target: Target = target_of(names.parse(tool), who, "")
    given: DecisionInput = SLICE
    return Check(who, action, tool), target, given, rules


@pytest.fixture
async def engine() -> AsyncIterator[WorkerEngine]:
    def make() -> WorkerEngine:
        return WorkerEngine(kernel_tenant="default", clock=SystemClock(), spec=HOSTILE, size=1, set_ends=3)

    made = await asyncio.to_thread(make)
    yield made
    await made.close()


@pytest.mark.torture
async def test_a_worker_decides_as_this_process_would_with_and_without_waiting(engine: WorkerEngine) -> None:
    untrusted = case_of("tools/t", FORBID)
    untrusted = (replace(untrusted[0], untrusted=True), *untrusted[1:])
    cases = [case_of("tools/t"), case_of("tools/t", FORBID), untrusted, case_of("tools/u", FORBID)]

    told = await engine.decide_all(cases)
    blocking = [await asyncio.to_thread(engine.decide, *case) for case in cases]

    assert told == blocking == [HERE.decide(*case) for case in cases]
    assert told[2].reason is Reason.FORBIDDEN


async def test_the_kernel_s_own_rules_need_no_worker(engine: WorkerEngine) -> None:
    await engine.decide_all([case_of("tools/t")] * 40)

    assert engine._pool.started == 0


async def test_a_check_that_ends_its_worker_is_refused_and_the_others_of_its_batch_are_decided(
    engine: WorkerEngine,
) -> None:
    tools = ["tools/a", "tools/segfault", "tools/b"]
    decisions = await engine.decide_all([case_of(tool, FORBID) for tool in tools])

    assert [each.reason for each in decisions] == [Reason.PERMITTED, Reason.POLICY_ERROR, Reason.PERMITTED]
    assert decisions[1].expire_time is not None  # nobody remembers it
    assert (await engine.decide_all([case_of("tools/a", FORBID)]))[0].allowed


@pytest.mark.torture
async def test_a_check_that_ended_two_workers_ends_no_third(engine: WorkerEngine) -> None:
    for _ in range(2):
        await engine.decide_all([case_of("tools/segfault", FORBID)])
    await engine.decide_all([case_of("tools/a", FORBID)])
    started = engine._pool.started
    for _ in range(3):
        [decision] = await engine.decide_all([case_of("tools/segfault", FORBID)])
        assert decision.reason is Reason.POLICY_ERROR

    assert engine._pool.started == started


@pytest.mark.parametrize("tool", ["tools/babble", "tools/odd"])
async def test_an_answer_that_is_none_is_a_refusal(engine: WorkerEngine, tool: str) -> None:
    [decision] = await engine.decide_all([case_of(tool, FORBID)])

    assert decision.reason is Reason.POLICY_ERROR


@pytest.mark.torture
async def test_policies_that_go_on_ending_workers_are_not_followed_but_can_be_mended(
    engine: WorkerEngine,
) -> None:
    for number in range(3):
        who = replace(WHO, agent=f"a{number}")
        await engine.decide_all([case_of(f"tools/segfault{number}", FORBID, who=who)])
    admin = replace(WHO, agent="root", kind=Kind.ADMIN)
    mend = case_of("policies/never", FORBID, who=admin, action="access.manage")
    [given_up, mended] = await engine.decide_all([case_of("tools/a", FORBID), mend])
    [another] = await engine.decide_all([case_of("tools/a", replace(FORBID, id="x"))])

    assert given_up.reason is Reason.POLICY_ERROR
    assert mended == HERE.decide(*mend[:3], ())
    assert another.allowed


async def test_a_transaction_s_check_that_ends_its_worker_is_refused_too(engine: WorkerEngine) -> None:
    decision = await asyncio.to_thread(engine.decide, *case_of("tools/segfault", FORBID))

    assert decision.reason is Reason.POLICY_ERROR
    assert (await asyncio.to_thread(engine.decide, *case_of("tools/a", FORBID))).allowed
