"""One stream of the tool manager: one job, from its head to its end.

Two tasks: the reader hears what the caller says for as long as the stream lives, so that a stop is never
stuck behind input; the worker takes the job through its life. Whichever fails ends both, and the program.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from services.chassis.rpc.errors import Cancelled, DeadlineExceeded, InvalidRequest, KernelError
from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.port import SandboxProcess
from services.chassis.sandbox.terms import EndKind, SandboxEnd, SandboxJob
from services.sandbox.core import intake
from services.sandbox.core.intake import Intake
from services.sandbox.core.pieces import pieces
from services.sandbox.model import (
    TALK_BYTES,
    WINDOW_BYTES,
    Admitted,
    Alive,
    Answer,
    Begin,
    Ended,
    Event,
    Heard,
    Output,
    Part,
    Piece,
    Start,
    Started,
    Stop,
    Taken,
    Write,
)
from services.sandbox.ports import Meter, Sandbox
from services.sandbox.service.admission import Admission
from services.sandbox.service.outbox import Outbox

T = TypeVar("T")

REST_SECONDS: Final = 2.0
"""How long the rest of a program's output is looked for after its end."""

_STREAMS: Final = {"stdout": Part.STDOUT, "stderr": Part.STDERR}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deps:
    """What sessions share."""

    sandbox: Sandbox
    jobs: Admission
    """Places of programs that end by themselves."""
    talks: Admission
    """Places of programs that are talked to."""
    meter: Meter
    draining: asyncio.Event
    silent_seconds: float
    offered: tuple[str, ...] = ()
    network: bool = False


class Session:
    """Serves one stream."""

    def __init__(self, deps: Deps, events: AsyncIterator[Event]) -> None:
        self._deps = deps
        self._events = events
        self._outbox = Outbox()
        self._head: asyncio.Future[Begin] = asyncio.get_running_loop().create_future()
        self._intake: Intake | None = None
        self._job: asyncio.Future[SandboxJob] = asyncio.get_running_loop().create_future()
        self._stopped = asyncio.Event()
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._owed = 0
        """Bytes of input that were not taken yet."""
        self._credit = WINDOW_BYTES
        self._credited = asyncio.Event()
        self._talking = False
        self._running = False
        self._finishing = False
        """Whether it ends by itself, so that a stop has nothing left to do."""

    async def answers(self) -> AsyncGenerator[Answer, None]:
        """Yield all that is to be said. Raises what the job is refused with, or what the caller did wrong.

        Nothing of the program is left when this ends, however it does.
        """
        worker = asyncio.create_task(self._work())
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda _: worker.cancel())
        worker.add_done_callback(lambda _: self._outbox.close())
        try:
            while (answer := await self._outbox.get()) is not None:
                yield answer
            if worker.cancelled() and reader.done():
                await reader
            await worker
        finally:
            reader.cancel()
            worker.cancel()
            await asyncio.wait({reader, worker})
            if self._running:
                self._deps.meter.cut()

    async def _read(self) -> None:
        """Hear what the caller says, until it says no more. Always raises."""
        while True:
            try:
                async with asyncio.timeout(self._deps.silent_seconds):
                    event = await anext(self._events, None)
            except TimeoutError:
                seconds = self._deps.silent_seconds
                raise DeadlineExceeded(f"nothing was heard of the caller for {seconds:g} s") from None
            if event is None:
                raise Cancelled("the caller said no more before the program had ended")
            self._hear(event)

    def _hear(self, event: Event) -> None:
        """Take what the caller said to where it belongs. Raises InvalidRequest when it is out of turn."""
        match event:
            case Begin() if not self._head.done():
                self._head.set_result(event)
            case Piece() if self._intake is not None and not self._job.done():
                self._intake.add(event)
            case Start() if self._intake is not None and not self._job.done():
                self._job.set_result(self._intake.job())
            case Write() if self._talking:
                self._owed += len(event.data)
                if self._owed > WINDOW_BYTES:
                    raise InvalidRequest.field("write", f"more than {WINDOW_BYTES} bytes were not taken yet")
                self._input.put_nowait(event.data)
            case Taken() if self._talking:
                self._credit = min(WINDOW_BYTES, self._credit + event.count)
                self._credited.set()
            case Stop():
                self._stopped.set()
            case Alive():
                pass
            case _:
                raise InvalidRequest.field("message", f"{type(event).__name__.lower()} is out of turn")

    async def _work(self) -> None:
        """Take the job from its head to its end, and say how it ended."""
        head = await self._head
        intake.admit(head.job, offered=self._deps.offered, network=self._deps.network)
        self._available()
        admission = self._deps.talks if head.talk else self._deps.jobs
        end = await self._until_stopped(self._placed(head, admission))
        if end is None:
            await self._outbox.put(Ended(SandboxEnd(how=EndKind.STOPPED)))

    def _available(self) -> None:
        if self._deps.sandbox.problem:
            raise SandboxUnavailable(f"no program can be run here: {self._deps.sandbox.problem}")

    async def _placed(self, head: Begin, admission: Admission) -> SandboxEnd:
        async with admission.place(intake.weight(head.job)):
            self._intake = Intake(head.job)
            await self._outbox.put(Admitted())
            job = await self._job
            self._running = True
            try:
                end = await (self._talk(job) if head.talk else self._run(job))
            except Exception:
                self._running = False
                raise
            except asyncio.CancelledError:
                self._running = not self._stopped.is_set()
                raise
            self._running, self._finishing = False, True
            self._deps.meter.ended(end)
            # The place is held until all is said: what a job left is memory, too.
            for piece in pieces(end):
                await self._outbox.put(piece)
            bare = replace(end, stdout=b"", stderr=b"", answer=b"", files={})
            await self._outbox.put(Ended(bare))
            return end

    async def _run(self, job: SandboxJob) -> SandboxEnd:
        return await self._deps.sandbox.run(job, self._heard)

    def _heard(self, stream: str, data: bytes) -> None:
        part = _STREAMS[stream]
        for begin in range(0, len(data), TALK_BYTES):
            self._outbox.offer(Heard(part, data[begin : begin + TALK_BYTES]))

    async def _talk(self, job: SandboxJob) -> SandboxEnd:
        """Pass on what is said to a program and what it says, until it ends."""
        process = await self._deps.sandbox.open(job)
        self._talking = self._finishing = True
        try:
            await self._outbox.put(Started())
            return await self._conversation(process)
        finally:
            self._talking = False
            await process.stop()

    async def _conversation(self, process: SandboxProcess) -> SandboxEnd:
        feeding = asyncio.create_task(self._feed(process))
        telling = asyncio.create_task(self._tell(process))
        drained = asyncio.create_task(self._deps.draining.wait())
        stopped = asyncio.create_task(self._stopped.wait())
        ending = asyncio.create_task(process.end())
        tasks: set[asyncio.Task[Any]] = {feeding, telling, drained, stopped, ending}
        try:
            await asyncio.wait({ending, drained, stopped}, return_when=asyncio.FIRST_COMPLETED)
            end = ending.result() if ending.done() else await process.stop()
            self._credit = WINDOW_BYTES  # what is left of its output is little, and waits for nobody
            self._credited.set()
            await asyncio.wait({telling}, timeout=REST_SECONDS)
            return end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _feed(self, process: SandboxProcess) -> None:
        """Give the program its input; one that has ended takes no more."""
        with suppress(KernelError):
            while True:
                data = await self._input.get()
                await process.write(data)
                self._owed -= len(data)
                await self._outbox.put(Taken(len(data)))

    async def _tell(self, process: SandboxProcess) -> None:
        """Pass on the program's output, no faster than it is taken."""
        while data := await process.read():
            while self._credit <= 0:
                self._credited.clear()
                await self._credited.wait()
            self._credit -= len(data)
            await self._outbox.put(Output(data))
        await self._outbox.put(Output(b""))

    async def _until_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run something unless the caller wants it stopped; then return None once nothing of it is left.

        What ends by itself, told to stop, is let be: what it left is still to be said.
        """
        task, stopped = asyncio.create_task(work), asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if self._finishing:
                await asyncio.wait({task})
            return await task if task.done() else None
        finally:
            task.cancel()
            stopped.cancel()
            await asyncio.wait({task, stopped})
