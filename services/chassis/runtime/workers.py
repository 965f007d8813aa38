"""A small pool of worker processes for native code that is given what comes from outside.

What ends a worker, or does not end, costs the call that it worked on: it is replaced at once, later each time
while nothing succeeds. Calls wait in turns by source (a tenant, a tree of agents), bounded. A request that
ended two workers is refused from then on (`poison`), and a source whose requests end one worker after the
other is refused for a while, so that nobody can keep the pool busy with starting processes.
All methods belong to one event loop.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from typing import Any, Final

from services.chassis.runtime.logs import logger
from services.chassis.runtime.poison import PoisonList, digest_of
from services.chassis.runtime.worker_process import (
    Blame,
    WorkerDied,
    WorkerError,
    WorkerFailed,
    WorkerOverran,
    WorkerProcess,
    WorkerSpec,
    WorkersUnavailable,
)

__all__ = [
    "Poisoned",
    "WorkerDied",
    "WorkerError",
    "WorkerFailed",
    "WorkerOverran",
    "WorkerPool",
    "WorkerSpec",
    "WorkersBusy",
    "WorkersUnavailable",
]

_log = logger(__name__)

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 1.0
"""Between the ends of workers and their replacement, while no call succeeds. Unit: seconds."""
ENDS_OF_ONE: Final = 4
ENDS_SECONDS: Final = 30.0
"""A source that ended so many workers within so long waits until that is long ago."""
MOST_SOURCES: Final = 4_096


class WorkersBusy(WorkerError):
    """Too many calls wait, or too many of this source have ended their workers lately."""


class Poisoned(WorkerError):
    """The request has ended two workers: it is not worked on any more."""


class WorkerPool:
    """Calls a handler in one of `size` processes. `close` it."""

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        poison: PoisonList,
        size: int = 1,
        most_waiting: int = 64,
        most_of_one: int = 16,
        told: Blame = lambda _name, _cause: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_of_one`: calls of one source that may wait; `told` hears of workers that ended unasked."""
        self.spec = spec
        self._poison = poison
        self._size = size
        self._most_waiting = most_waiting
        self._most_of_one = most_of_one
        self._tell = told
        self._clock = clock
        self._idle: list[WorkerProcess] = []
        self._live: set[WorkerProcess] = set()
        self._dying: set[WorkerProcess] = set()
        """Those whose end is under way."""
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[WorkerProcess]]] = OrderedDict()
        self._ends: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._bad = 0
        """Workers that ended since a call last succeeded."""
        self._closed = False
        self.started = 0
        """Processes started so far."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        return sum(map(len, self._waiting.values()))

    async def warm(self) -> None:
        """Start a worker, so that the first call need not wait for it. Raises WorkersUnavailable."""
        if not self._live:
            self._free(await self._acquire(None))

    async def call(
        self,
        payload: bytes,
        *,
        source: Hashable = None,
        digest: bytes | None = b"",
        cpu: float = 0.0,
        wall: float = 0.0,
    ) -> bytes:
        """Return the handler's answer to a message.

        `source`: whose turn it takes. `digest`: what the request is recognised by if it ends its worker;
        empty: its bytes; None: it is of several, none of which is to blame for all. `cpu` and `wall`: seconds
        in place of the spec's. Raises Poisoned, WorkersBusy and WorkersUnavailable before it is sent,
        WorkerDied, WorkerOverran and WorkerFailed after.
        """
        digest = digest_of(self.spec.name, payload) if digest == b"" else digest
        if digest is not None and self._poison.holds(digest, self._clock()):
            raise Poisoned("the request has ended the process that works on it twice")
        self._check_ends(source)
        worker = await self._acquire(source)
        try:
            answer = await worker.call(payload, cpu=cpu or self.spec.cpu, wall=wall or self.spec.wall)
        except WorkerFailed:
            self._succeeded(worker, digest)
            raise
        except (WorkerDied, WorkerOverran) as error:
            await self._lost(worker, source, digest, died=isinstance(error, WorkerDied))
            raise
        except BaseException:  # the caller left
            self._run(self._settled(worker))
            raise
        self._succeeded(worker, digest)
        return answer

    async def close(self) -> None:
        """End all workers; whoever waits gets WorkersUnavailable."""
        self._closed = True
        self._refuse_waiting(WorkersUnavailable("the process is shutting down"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        live, self._live = self._live | self._dying, set()
        self._idle.clear()
        for worker in live:
            await worker.end()

    def _succeeded(self, worker: WorkerProcess, digest: bytes | None) -> None:
        self._bad = 0
        if digest is not None:
            self._poison.clear(digest)
        if self.spec.once:
            self._live.discard(worker)
            self._run(self._ended(worker))
            self._replace()
            return
        self._free(worker)

    async def _lost(
        self, worker: WorkerProcess, source: Hashable, digest: bytes | None, *, died: bool
    ) -> None:
        """Replace a worker that a call has ended, and note whose call it was."""
        self._live.discard(worker)
        if died:
            with suppress(TimeoutError):  # its pipe closes before it is known how it ended
                async with asyncio.timeout(1.0):
                    await worker.ended()
        cause = worker.cause if died and not worker.alive else "wall"
        self._note_end(source)
        if died and digest is not None and self._poison.blame(digest, self._clock()):
            _log.warning(
                "a request that ended its worker twice is refused from now on", worker=self.spec.name
            )
        self._told_end(cause)
        self._run(self._ended(worker))
        self._replace()

    async def _settled(self, worker: WorkerProcess) -> None:
        """Let a call whose caller left come to its end, within the grace, or end its worker."""
        if self.spec.grace and not self.spec.once and await worker.settle():
            self._free(worker)
            return
        self._live.discard(worker)
        await self._ended(worker)
        self._replace()

    async def _ended(self, worker: WorkerProcess) -> None:
        self._dying.add(worker)
        await worker.end()
        self._dying.discard(worker)

    def _told_end(self, cause: str) -> None:
        self._bad += 1
        self._tell(self.spec.name, cause)
        _log.warning("a worker ended", worker=self.spec.name, cause=cause)

    async def _acquire(self, source: Hashable) -> WorkerProcess:
        if self._closed:
            raise WorkersUnavailable("the process is shutting down")
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._gone(worker)
        line = self._waiting.setdefault(source, deque())
        if self.waiting >= self._most_waiting or len(line) >= self._most_of_one:
            self._drop_empty(source)
            raise WorkersBusy("too many calls wait")
        place: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        line.append(place)
        if len(self._live) + self._starting < self._size:
            self._replace()
        got = None
        try:
            async with asyncio.timeout(self.spec.start + self.spec.wall):
                got = await place
        except TimeoutError as error:
            raise WorkersBusy("no worker became free in time") from error
        finally:
            if got is None:
                self._give_up(source, line, place)
        return got

    def _give_up(
        self,
        source: Hashable,
        line: deque[asyncio.Future[WorkerProcess]],
        place: asyncio.Future[WorkerProcess],
    ) -> None:
        """Leave the line; a worker that was given meanwhile goes to the next."""
        if place.done() and not place.cancelled() and place.exception() is None:
            self._free(place.result())
            return
        with suppress(ValueError):
            line.remove(place)
        self._drop_empty(source)

    def _drop_empty(self, source: Hashable) -> None:
        if source in self._waiting and not self._waiting[source]:
            del self._waiting[source]

    def _free(self, worker: WorkerProcess) -> None:
        """Give a worker to the source whose turn it is, or keep it."""
        if self._closed:
            return
        if not worker.alive:
            self._gone(worker)
            return
        while self._waiting:
            source, line = self._waiting.popitem(last=False)
            place = line.popleft()
            if line:
                self._waiting[source] = line  # behind the others
            if not place.done():
                place.set_result(worker)
                return
        if worker not in self._idle:
            self._idle.append(worker)

    def _refuse_waiting(self, error: WorkerError) -> None:
        lines, self._waiting = self._waiting, OrderedDict()
        for place in (place for line in lines.values() for place in line):
            if not place.done():
                place.set_exception(error)

    def _replace(self) -> None:
        if not self._closed and len(self._live) + self._starting < self._size:
            self._starting += 1
            self._run(self._start())

    async def _start(self) -> None:
        try:
            if self._bad > 1:
                await asyncio.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._bad, 16)))
            self.started += 1
            worker = await WorkerProcess.start(self.spec)
        except WorkersUnavailable as error:
            self._bad += 1
            _log.error("a worker does not start", worker=self.spec.name, problem=str(error))
            self._refuse_waiting(error)
            return
        finally:
            self._starting -= 1
        self._live.add(worker)
        self._run(self._watched(worker))
        self._free(worker)

    async def _watched(self, worker: WorkerProcess) -> None:
        """Replace a worker that ends while it works on nothing: killed for memory, or by a person."""
        await worker.ended()
        if worker in self._idle:
            self._idle.remove(worker)
            self._gone(worker)

    def _gone(self, worker: WorkerProcess) -> None:
        """Replace a worker that ended on nobody's account."""
        self._live.discard(worker)
        self._told_end(worker.cause)
        self._run(self._ended(worker))
        self._replace()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_ends(self, source: Hashable) -> None:
        ends = self._ends.get(source)
        if source is not None and ends is not None and len(ends) >= ENDS_OF_ONE:
            if self._clock() - ends[0] < ENDS_SECONDS:
                raise WorkersBusy("too many calls have ended their workers")
            ends.popleft()

    def _note_end(self, source: Hashable) -> None:
        if source is None:
            return
        self._ends.setdefault(source, deque(maxlen=ENDS_OF_ONE)).append(self._clock())
        self._ends.move_to_end(source)
        while len(self._ends) > MOST_SOURCES:
            self._ends.popitem(last=False)
