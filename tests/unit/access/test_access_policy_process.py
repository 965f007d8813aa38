"""Policy texts are judged in another process: a text costs its own call at most."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.access.adapters.policy_process import SPEC, TEXTS, PolicyProcess
from services.access.errors import PolicyInvalid
from services.access.model.rules import Finding
from services.chassis.auth.identity import Caller, set_caller
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import RequestPoisoned, ServiceUnavailable
from services.chassis.runtime.worker_process import WorkerSpec
from tests.fakes.waiting import until

GOOD = '@id("fine") permit(principal, action, resource is Note);'
DEEP = "permit(principal, action, resource) when { " + "(" * 50_000 + "true" + ")" * 50_000 + " };"
STUB = replace(SPEC, target="tests.fakes.worker_handlers:policy_stub", wall=60.0, cpu=60.0)


@asynccontextmanager
async def judging(spec: WorkerSpec = STUB) -> AsyncIterator[PolicyProcess]:
    """Judge with a handler of the test's own, which hands policies to the native parser unmeasured."""
    judge = PolicyProcess(spec=spec, gate=replace(TEXTS, waiting_per_agent=1))
    try:
        yield judge
    finally:
        await judge.close()


async def test_the_real_handler_judges_and_stays_warm() -> None:
    async with judging(replace(SPEC, wall=60.0)) as judge:
        await judge.warm()
        assert await judge.findings(GOOD) == []
        (found,) = await judge.findings("permit(")
        (deep,) = await judge.findings(DEEP)
        assert judge._pool.started == 1

    assert found.message == "unexpected end of input"
    assert "nest" in deep.message or "longer" in deep.message


@pytest.mark.parametrize("text", ["die", "babble", DEEP])
async def test_a_text_that_ends_the_process_costs_its_own_call(text: str) -> None:
    async with judging() as judge:
        (before,) = await judge.findings("who")
        with pytest.raises(PolicyInvalid) as refused:
            await judge.findings(text)
        (after,) = await judge.findings("who")

    assert refused.value.metadata == {"bound": "parser"}
    assert (before.message != after.message) is (text != "babble")


async def test_a_text_that_ended_the_process_twice_is_not_read_any_more() -> None:
    async with judging() as judge:
        for _ in range(2):
            with pytest.raises(PolicyInvalid):
                await judge.findings(DEEP)
        started = judge._pool.started
        with pytest.raises(RequestPoisoned):
            await judge.findings(DEEP)
        assert len(await judge.findings("who")) == 1

        assert judge._pool.started <= started + 1


@pytest.mark.torture
async def test_a_text_that_does_not_end_is_cut_off_with_its_process() -> None:
    async with judging(replace(STUB, wall=0.5)) as judge:
        await judge.warm()
        with pytest.raises(PolicyInvalid) as refused:
            await judge.findings("hang")
        assert len(await judge.findings("who")) == 1

    assert refused.value.metadata == {"bound": "time"}


async def test_a_caller_that_leaves_ends_the_work_that_nobody_waits_for() -> None:
    async with judging() as judge:
        (before,) = await judge.findings("who")
        call = asyncio.create_task(judge.findings("hang"))
        await until(lambda: not judge._pool._idle)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        (after,) = await judge.findings("who")

    assert before.message != after.message


async def test_only_so_many_texts_wait() -> None:
    async with judging() as judge:
        await judge.warm()
        calls = [asyncio.create_task(judge.findings("hang")) for _ in range(2)]
        await until(lambda: judge._gate.waiting == 1)
        with pytest.raises(TooManyCalls) as refused:
            await judge.findings("who")
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert len(await judge.findings("who")) == 1

    assert refused.value.retry_after


async def test_a_tenants_texts_wait_in_turn_and_keep_no_other_tenant_out() -> None:
    async with judging() as judge:
        await judge.warm()
        flood = [asyncio.create_task(judged_for(f"a{n}", "crowd", judge, "hang")) for n in range(9)]
        await until(lambda: judge._gate.waiting == 8)
        with pytest.raises(TooManyCalls) as refused:
            await judged_for("a9", "crowd", judge, "who")
        other = asyncio.create_task(judged_for("b", "quiet", judge, "who"))
        await until(lambda: judge._gate.waiting == 9)
        flood[0].cancel()  # the first of the crowd leaves, the next one hangs; then it is the other's turn
        flood[1].cancel()
        found = await other
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    assert len(found) == 1
    assert refused.value.metadata["level"] == "tenant"


async def judged_for(agent: str, tenant: str, judge: PolicyProcess, text: str) -> list[Finding]:
    """Judge a text in a call of an agent, a tree of its own."""
    set_caller(Caller(agent=agent, tenant=tenant))
    return await judge.findings(text)


async def test_a_process_that_does_not_start_is_told_as_unavailable() -> None:
    async with judging(replace(STUB, target="tests.fakes.worker_handlers:broken")) as judge:
        asked: list[Callable[[], object]] = [judge.warm, lambda: judge.findings(GOOD)]
        for ask in asked:
            with pytest.raises(ServiceUnavailable):
                await ask()  # type: ignore[misc]
