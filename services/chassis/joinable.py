"""Work that requests with the same identity share, such as a generation or the call of a tool.

A run is joined by its state. Whoever asks for one that is RUNNING, or whose end is decided and being kept,
attaches to it. Whoever asks for one that was stopped waits until it has settled and then starts anew: it is
never told why somebody else's run ended. All of this lives on one event loop; nothing here is durable.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from services.chassis.dispatch.scheduling import CallKey
from services.chassis.notifier import ChangeNotifier, Subscription
from services.chassis.rpc.errors import ServiceUnavailable
from services.chassis.runtime.logs import logger

SETTLE_SECONDS: Final = 5.0
"""How long a request waits for a stopped run of the same identity to settle."""

E = TypeVar("E")
R = TypeVar("R")

_log = logger(__name__)


class RunState(Enum):
    """Where a run stands."""

    RUNNING = "running"
    SETTLING = "settling"
    """Its end is decided, or it was stopped; what is left is to keep the end and to give things back."""
    ENDED = "ended"
    """Nothing of it is left."""


class JoinableRun(Generic[R]):
    """One run; `R` is why it may be stopped. `when_left` is the reason when its last listener leaves it."""

    def __init__(self, key: CallKey, *, when_left: R, detached: bool = False) -> None:
        self.key = key
        self.detached = detached
        """Whether it goes on without listeners."""
        self.stop_reason: R | None = None
        self.listeners = 0
        self._when_left = when_left
        self._state = RunState.RUNNING
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    @property
    def state(self) -> RunState:
        """Where it stands."""
        return self._state

    @property
    def joinable(self) -> bool:
        """Whether a request with its identity gets its answer."""
        return self._state is not RunState.ENDED and self.stop_reason is None

    @contextmanager
    def attach(self) -> Iterator[None]:
        """Listen for the length of the block. The last listener who leaves an undetached run stops it."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1
            if not self.listeners and not self.detached:
                self.stop(self._when_left)

    def stop(self, reason: R) -> None:
        """Stop the work, unless it was stopped before or its end is decided."""
        if self._state is RunState.RUNNING and self._task is not None:
            self._state, self.stop_reason = RunState.SETTLING, reason
            self._task.cancel()

    def settle(self) -> None:
        """Note that the end is decided and about to be kept: from now on nothing stops it."""
        if self._state is RunState.RUNNING:
            self._state = RunState.SETTLING

    def absorb_stop(self) -> None:
        """Take back the cancellation that `stop` sent, from within the work, to settle undisturbed."""
        if self._task is not None and self.stop_reason is not None:
            self._task.uncancel()

    async def wait_ended(self) -> None:
        """Wait until nothing of it is left."""
        await self._over.wait()

    def on_end(self) -> None:
        """Answer whoever still listens. Called once, when the work is over, be it by a defect."""

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Start the work; see RunRegistry.begin."""
        self._task = asyncio.create_task(work, name=name)
        self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._state = RunState.ENDED
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("a run broke", exc=failure, run=self.key.call)
        self.on_end()
        self._over.set()


J = TypeVar("J", bound=JoinableRun[Any])


class RunRegistry(Generic[J]):
    """The runs of this process that have not ended, at most one of each identity."""

    def __init__(self, *, patience: float = SETTLE_SECONDS) -> None:
        self._patience = patience
        self._runs: dict[CallKey, J] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, key: CallKey) -> J | None:
        """Return the run of an identity, in whatever state."""
        return self._runs.get(key)

    def every(self) -> list[J]:
        """Return all runs."""
        return list(self._runs.values())

    def of_agent(self, tenant: str, agent: str) -> list[J]:
        """Return the runs of an agent."""
        if not self.count(tenant, agent):
            return []
        return [run for run in self._runs.values() if (run.key.tenant, run.key.agent) == (tenant, agent)]

    def count(self, tenant: str, agent: str) -> int:
        """Count the runs of an agent."""
        return self._counts[tenant, agent]

    def unsettled(self, key: CallKey) -> bool:
        """Whether a run of this identity must settle before another may begin."""
        run = self._runs.get(key)
        return run is not None and not run.joinable

    async def settled(self, key: CallKey) -> None:
        """Wait until a run of this identity can be joined or begun. Raises ServiceUnavailable.

        What holds when this returns holds until the next `await`: join or begin before that.
        """
        try:
            async with asyncio.timeout(self._patience):
                while (run := self._runs.get(key)) is not None and not run.joinable:
                    await run.wait_ended()
        except TimeoutError:
            raise ServiceUnavailable(
                "an earlier request with this request_id is still being stopped; send it again",
                metadata={"request_id": key.call},
                retry_after=1.0,
            ) from None

    def begin(
        self, run: J, work: Coroutine[Any, Any, None], name: str, *, then: Callable[[], None] | None = None
    ) -> None:
        """Start a run; it is known until its work is over, then `then` is called.

        Its identity must be free, see `settled`.
        """
        if run.key in self._runs:
            work.close()
            raise ValueError(f"a run of {run.key} has not ended yet")
        owner = run.key.tenant, run.key.agent
        self._runs[run.key] = run
        self._counts[owner] += 1

        def forget(_task: object) -> None:
            del self._runs[run.key]
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]
            if then is not None:
                then()

        run.begin(work, name).add_done_callback(forget)

    async def drained(self, *, timeout: float | None = None) -> None:
        """Wait until all runs of now have ended, at most `timeout` seconds."""
        waits = [asyncio.ensure_future(run.wait_ended()) for run in self.every()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=timeout)
            for wait in late:
                wait.cancel()


class EventLog(Generic[E]):
    """What happened in a run, for any number of listeners at their own pace.

    Only the last `keep` events are kept: who is further behind misses the oldest.
    """

    def __init__(self, keep: int) -> None:
        self._events: deque[E] = deque(maxlen=keep)
        self._changes = ChangeNotifier()
        self.position = 0
        """How many events there were."""

    def publish(self, event: E) -> None:
        """Tell one thing."""
        self._events.append(event)
        self.position += 1
        self.wake()

    def wake(self) -> None:
        """Let every listener look again."""
        self._changes.notify()

    def after(self, position: int) -> list[E]:
        """Return what was told after a position, as far as it is kept."""
        missing = min(self.position - position, len(self._events))
        return list(self._events)[len(self._events) - missing :]

    def subscribe(self) -> AbstractContextManager[Subscription]:
        """Hear of every change from now on. Subscribe before looking, or a change is missed."""
        return self._changes.subscribe()
