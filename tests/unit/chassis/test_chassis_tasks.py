"""Background tasks: a failure is logged and the task runs again; stopping waits for the end."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from services.chassis.runtime.metrics import ProcessMetrics
from services.chassis.runtime.tasks import Supervisor, watch_loop_lag
from tests.fakes.waiting import until


async def test_a_failed_task_is_started_again() -> None:
    registry = CollectorRegistry()
    supervisor = Supervisor(first_delay=0.001, metrics=ProcessMetrics(registry, "test"))
    attempts: list[int] = []
    done = asyncio.Event()

    async def work() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("again")
        done.set()

    supervisor.start("work", work)
    await asyncio.wait_for(done.wait(), 30)
    await supervisor.stop()

    assert len(attempts) == 3
    assert registry.get_sample_value("aios_task_restarts_total", {"task": "work"}) == 2


async def test_stopping_cancels_what_runs() -> None:
    supervisor = Supervisor()
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    supervisor.start("work", work)
    await started.wait()
    await supervisor.stop()

    assert cancelled.is_set()


async def test_two_tasks_cannot_share_a_name() -> None:
    supervisor = Supervisor()
    supervisor.start("work", asyncio.Event().wait)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="running already"):
        supervisor.start("work", asyncio.Event().wait)  # type: ignore[arg-type]
    await supervisor.stop()


async def test_periodic_work_repeats() -> None:
    supervisor = Supervisor()
    ticks: asyncio.Queue[int] = asyncio.Queue()

    async def tick() -> None:
        ticks.put_nowait(1)

    supervisor.every("tick", 0.001, tick)
    await asyncio.wait_for(ticks.get(), 30)
    await asyncio.wait_for(ticks.get(), 30)
    await supervisor.stop()


async def test_the_lag_of_the_loop_is_measured() -> None:
    registry = CollectorRegistry()
    metrics = ProcessMetrics(registry, "test")
    metrics.loop_lag.set(-1)

    watching = asyncio.create_task(watch_loop_lag(metrics, interval=0.001))
    await until(lambda: registry.get_sample_value("aios_event_loop_lag_seconds") != -1)
    watching.cancel()
    await asyncio.wait({watching})
