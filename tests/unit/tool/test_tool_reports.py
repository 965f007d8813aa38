"""What is remembered of how providers said that calls ended: that they did, and not what they held."""

import gc
import weakref
from dataclasses import replace

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import IdempotencyMismatch, ServiceUnavailable
from services.chassis.runtime.clock import SystemClock
from services.tool.model import CallState, Driver, DriverKind, Effect, Tool, ToolCall, ToolOutcome
from services.tool.service.call_run import CallRun
from services.tool.service.reports import KEPT_OF_ONE, Reports

MAIL = Tool(id="mail", owner="worker", driver=Driver(DriverKind.PROVIDER, lease_seconds=30))
PLANNER, WORKER, OTHER = Scope("acme", "planner"), Scope("acme", "worker"), Scope("acme", "other")
LARGE = ToolOutcome(value=["x" * 1000] * 100)


def _run(number: int = 1) -> CallRun:
    created = SystemClock().now()
    call = ToolCall(
        id=f"c{number}", tool="mail", arguments_sha256="", effect=Effect.REVERSIBLE, created_at=created
    )
    return CallRun(PLANNER, MAIL, call, "{}")


async def test_of_a_call_that_ended_nothing_is_held_but_how() -> None:
    reports, run = Reports(), _run()
    report = reports.keep(WORKER, "lease", run, LARGE)
    gone = weakref.ref(run)
    run.finish(replace(run.call, state=CallState.SUCCEEDED, result_json="x" * 1000))
    del run
    gc.collect()

    assert gone() is None
    assert reports.get(WORKER, "lease") is report
    report.check(ToolOutcome(value=["x" * 1000] * 100))
    with pytest.raises(IdempotencyMismatch):
        report.check(ToolOutcome(value="another"))
    assert await report.ended() is CallState.SUCCEEDED


async def test_a_report_of_a_call_that_was_refused_is_told_so_each_time_and_holds_nothing() -> None:
    run = _run()
    report = Reports().keep(WORKER, "lease", run, LARGE)
    gone = weakref.ref(run)
    run.refuse(ServiceUnavailable("no disk"))
    with pytest.raises(ServiceUnavailable):
        await run.ended()
    del run
    gc.collect()

    assert gone() is None
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="no disk"):
            await report.ended()


async def test_one_provider_pushes_out_nobody_elses_reports() -> None:
    reports = Reports()
    reports.keep(OTHER, "other", _run(), LARGE)
    for n in range(2 * KEPT_OF_ONE):
        reports.keep(WORKER, f"lease{n}", _run(n), ToolOutcome(value=n))

    assert reports.get(OTHER, "other") is not None
    assert reports.get(WORKER, "lease0") is None
    assert reports.get(WORKER, f"lease{2 * KEPT_OF_ONE - 1}") is not None
    assert reports.get(OTHER, f"lease{2 * KEPT_OF_ONE - 1}") is None
