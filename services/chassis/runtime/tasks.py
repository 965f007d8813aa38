"""Background tasks that outlive their failures: logged, counted, started again with back-off."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.logs import logger
from services.chassis.runtime.metrics import ProcessMetrics

_log = logger(__name__)

Work = Callable[[], Awaitable[None]]


class Supervisor:
    """Owns the background tasks of a process.

    A task that raises is logged and started again after a delay that doubles from `first_delay` to
    `longest_delay` seconds; a task that returns is done. Use one per process and `stop` it at the end.
    """

    def __init__(
        self, *, first_delay: float = 0.1, longest_delay: float = 30.0, metrics: ProcessMetrics | None = None
    ) -> None:
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._metrics = metrics
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Work) -> None:
        """Run `work()` in the background. The name must be new and is a metric label: keep it constant."""
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"a background task named {name} is running already")
        self._tasks[name] = asyncio.create_task(self._supervise(name, work), name=name)

    def every(self, name: str, interval: float, work: Work) -> None:
        """Run `work()` every `interval` seconds, after a first wait of the same length."""

        async def loop() -> None:
            while True:
                await asyncio.sleep(interval)
                await work()

        self.start(name, loop)

    async def stop(self, *, timeout: float = 5.0) -> None:
        """Cancel all tasks and wait up to `timeout` seconds for them to end."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=timeout)
            for task in stuck:
                _log.error("background task ignores its cancellation", task=task.get_name())
        self._tasks.clear()

    async def _supervise(self, name: str, work: Work) -> None:
        loop = asyncio.get_running_loop()
        delay = self._first_delay
        while True:
            began = loop.time()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the supervisor is where background failures end
                if loop.time() - began > self._longest_delay:
                    delay = self._first_delay
                if isinstance(error, KernelError):  # a peer is away: nothing to debug here
                    _log.warning(
                        "background task waits", task=name, why=error.message, retry_seconds=round(delay, 3)
                    )
                else:
                    _log.error("background task failed", exc=error, task=name, retry_seconds=round(delay, 3))
                if self._metrics:
                    self._metrics.task_restarts.labels(name).inc()
            else:
                return
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            delay = min(delay * 2, self._longest_delay)


async def watch_loop_lag(metrics: ProcessMetrics, *, interval: float = 0.5) -> None:
    """Measure for ever how late the event loop runs a timer of `interval` seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        metrics.loop_lag.set(max(0.0, loop.time() - due))
