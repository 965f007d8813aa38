"""Runs that requests share: who joins, who leaves, and what a request finds while a stopped run settles."""

import asyncio

import pytest

from services.chassis.dispatch.scheduling import CallKey
from services.chassis.joinable import EventLog, JoinableRun, RunRegistry, RunState
from services.chassis.rpc.errors import ServiceUnavailable

KEY = CallKey("acme", "planner", "r1")


class Work:
    """Work that a test lets finish, and that takes its time to settle when it is stopped."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()
        self.settle = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self) -> None:
        """Run to the end."""
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            await self.settle.wait()
            raise


def begun(registry: RunRegistry[JoinableRun[str]], work: Work, *, detached: bool = False) -> JoinableRun[str]:
    run: JoinableRun[str] = JoinableRun(KEY, when_left="left", detached=detached)
    registry.begin(run, work(), "work")
    return run


async def test_the_last_listener_who_leaves_stops_the_run() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    work = Work()
    run = begun(registry, work)
    with run.attach():
        with run.attach():
            await asyncio.sleep(0)
        still = run.state
    await work.stopped.wait()

    assert still is RunState.RUNNING
    assert (run.state, run.stop_reason, run.joinable) == (RunState.SETTLING, "left", False)
    work.settle.set()
    await run.wait_ended()
    assert registry.get(KEY) is None


async def test_a_detached_run_goes_on_without_listeners() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    work = Work()
    run = begun(registry, work, detached=True)
    with run.attach():
        await asyncio.sleep(0)

    assert run.joinable
    assert run.stop_reason is None
    work.finish.set()
    await run.wait_ended()


async def test_who_comes_while_a_stopped_run_settles_waits_for_that() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    work = Work()
    run = begun(registry, work)
    await asyncio.sleep(0)
    run.stop("cancelled")
    coming = asyncio.create_task(registry.settled(KEY))
    await work.stopped.wait()
    early = coming.done()
    work.settle.set()
    await coming

    assert not early
    assert run.state is RunState.ENDED
    assert registry.get(KEY) is None


async def test_a_run_that_does_not_settle_is_waited_for_only_so_long() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry(patience=0.01)
    work = Work()
    run = begun(registry, work)
    await asyncio.sleep(0)
    run.stop("cancelled")
    with pytest.raises(ServiceUnavailable):
        await registry.settled(KEY)
    work.settle.set()
    await run.wait_ended()


async def test_an_end_that_is_decided_is_not_stopped_any_more() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    work = Work()
    run = begun(registry, work)
    run.settle()
    run.stop("cancelled")

    assert (run.stop_reason, run.joinable) == (None, True)
    work.finish.set()
    await run.wait_ended()
    assert not work.stopped.is_set()


async def test_work_that_is_stopped_before_it_begins_has_ended_all_the_same() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    run = begun(registry, Work())
    run.stop("cancelled")
    await run.wait_ended()

    assert len(registry) == 0


async def test_work_that_breaks_has_ended_too(caplog: pytest.LogCaptureFixture) -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()

    async def broken() -> None:
        raise ValueError("a defect")

    run: JoinableRun[str] = JoinableRun(KEY, when_left="left")
    registry.begin(run, broken(), "work")
    await run.wait_ended()

    assert run.state is RunState.ENDED
    assert registry.count("acme", "planner") == 0
    assert "a run broke" in caplog.text


async def test_two_runs_never_have_one_identity() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    work = Work()
    run = begun(registry, work)
    with pytest.raises(ValueError, match="has not ended"):
        begun(registry, Work())
    work.finish.set()
    await run.wait_ended()


async def test_runs_are_counted_by_agent() -> None:
    registry: RunRegistry[JoinableRun[str]] = RunRegistry()
    work = Work()
    run = begun(registry, work)

    assert registry.count("acme", "planner") == 1
    assert registry.of_agent("acme", "planner") == [run]
    assert registry.of_agent("acme", "critic") == []
    work.finish.set()
    await registry.drained()
    assert registry.count("acme", "planner") == 0


def test_a_slow_listener_misses_the_oldest_events() -> None:
    log: EventLog[int] = EventLog(2)
    for number in range(5):
        log.publish(number)

    assert log.after(4) == [4]
    assert log.after(0) == [3, 4]
    assert log.after(log.position) == []
