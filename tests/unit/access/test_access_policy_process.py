"""Policy texts are judged in another process: a text costs its own call at most."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.access.adapters.policy_process import COMMAND, TEXTS, PolicyProcess
from services.access.errors import PolicyInvalid
from services.access.model import Finding
from services.chassis.auth.identity import Caller, set_caller
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import ServiceUnavailable
from tests.fakes.waiting import until

GOOD = '@id("fine") permit(principal, action, resource is Note);'
DEEP = "permit(principal, action, resource) when { " + "(" * 50_000 + "true" + ")" * 50_000 + " };"

STUB = """
import json, os, sys, time
print("[]", flush=True)
for line in sys.stdin:
    text = json.loads(line)["text"]
    if text == "hang":
        time.sleep(3600)
    elif text == "die":
        os.abort()
    elif text == "babble":
        print("what?", flush=True)
    elif text.startswith("permit"):
        import cedarpy
        cedarpy.policies_to_json_str(text)
    else:
        print(json.dumps([{"severity": "error", "message": str(os.getpid()), "policy_id": ""}]), flush=True)
"""
"""Does what its text says; a policy goes to the native parser unmeasured."""


@asynccontextmanager
async def judging(*, time_limit: float = 60.0, program: str = STUB) -> AsyncIterator[PolicyProcess]:
    """Judge with a program of the test's own."""
    command = (sys.executable, "-c", program)
    judge = PolicyProcess(command=command, time_limit=time_limit, gate=replace(TEXTS, waiting_per_agent=1))
    try:
        yield judge
    finally:
        await judge.close()


async def test_the_real_program_judges_and_stays_warm() -> None:
    judge = PolicyProcess(command=COMMAND, time_limit=60)
    try:
        await judge.warm()
        assert await judge.findings(GOOD) == []
        (found,) = await judge.findings("permit(")
        (deep,) = await judge.findings(DEEP)
    finally:
        await judge.close()

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
    assert before.message != after.message


async def test_a_text_that_does_not_end_is_cut_off_with_its_process() -> None:
    async with judging() as judge:
        await judge.warm()
        judge._time_limit = 0.05
        with pytest.raises(PolicyInvalid) as refused:
            await judge.findings("hang")
        judge._time_limit = 60
        assert len(await judge.findings("who")) == 1

    assert refused.value.metadata == {"bound": "time"}


async def test_a_caller_that_leaves_ends_the_work_that_nobody_waits_for() -> None:
    async with judging() as judge:
        (before,) = await judge.findings("who")
        call = asyncio.create_task(judge.findings("hang"))
        await until(judge._turn.locked)
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


async def test_a_process_that_was_killed_between_two_texts_is_replaced() -> None:
    async with judging() as judge:
        (before,) = await judge.findings("who")
        process = judge._process
        assert process is not None
        process.kill()
        await process.wait()
        (after,) = await judge.findings("who")

    assert before.message != after.message


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('half')"])
async def test_a_program_that_does_not_start_is_unavailability(program: str) -> None:
    async with judging(program=program) as judge:
        with pytest.raises(ServiceUnavailable):
            await judge.findings("who")


async def test_the_program_gets_nothing_of_this_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_ACCESS_DATABASE_URL", "a secret")
    program = STUB.replace("str(os.getpid())", "str(dict(os.environ))")
    async with judging(program=program) as judge:
        (found,) = await judge.findings("who")

    assert "AIOS" not in found.message
