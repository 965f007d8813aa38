"""One job on its way: started, watched, ended; and programs that are talked to."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from services.chassis.isolation import scratch
from services.chassis.isolation.confined import Confined, StuckError
from services.chassis.isolation.descriptors import PIECE, left_in, read_piece, write_all
from services.chassis.isolation.outputs import Heard, Outputs
from services.chassis.isolation.places import Place, Places
from services.chassis.isolation.watcher import Watched, Watcher
from services.chassis.sandbox.errors import SandboxUnavailable, ToolFailed
from services.chassis.sandbox.terms import EndKind, SandboxEnd, SandboxJob

T = TypeVar("T")

CPU_SIGNALS: Final = (9, 24)
"""What the kernel ends a process with that has had its time."""


@dataclass(frozen=True, slots=True)
class Started:
    """A locked process with its place."""

    confined: Confined
    place: Place


class Running:
    """A job in its place. Whoever makes one has to `end` it."""

    def __init__(self, started: Started, job: SandboxJob, watcher: Watcher, heard: Heard | None) -> None:
        self.confined, self.place = started.confined, started.place
        self._job, self._watcher = job, watcher
        self._watched = Watched(
            root=self.confined.watched,
            includes_root=not self.confined.is_kept,
            uid=self.place.uid,
            scratch=self.place.scratch,
            limits=job.limits,
        )
        self.outputs = Outputs(self.confined, self._watched, job.limits, heard)
        watcher.add(self._watched)

    def stop(self) -> None:
        """Let it end; the first reason counts."""
        self._watched.end(EndKind.STOPPED)

    async def verdict(self) -> EndKind | None:
        """Wait until it has ended by itself (None), or has passed a limit."""
        by_itself: asyncio.Future[Any] = asyncio.create_task(self.confined.ended())
        passed: asyncio.Future[Any] = self._watched.passed
        wall = None if math.isinf(self._job.limits.wall_seconds) else self._job.limits.wall_seconds
        try:
            await asyncio.wait({by_itself, passed}, timeout=wall, return_when=asyncio.FIRST_COMPLETED)
            if self._watched.passed.done():
                return self._watched.passed.result()
            return None if by_itself.done() else EndKind.TIMEOUT
        finally:
            by_itself.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await by_itself

    async def end(self, why: EndKind | None) -> SandboxEnd:
        """End all of it and say how it went; nothing of it runs any more. Raises StuckError."""
        try:
            how, code = await self.confined.halt()
            await self.outputs.drained()
        finally:
            self._watcher.remove(self._watched)
            await self.outputs.stop()
            self.confined.close()
        limits, watched = self._job.limits, self._watched
        if why is None and how is EndKind.SIGNALLED and code in CPU_SIGNALS and self._had_its_time():
            why = EndKind.TIMEOUT
        files: dict[str, bytes] = {}
        removed: tuple[str, ...] = ()
        if self._job.want_files and why is None:
            try:
                files, removed = await asyncio.to_thread(
                    scratch.collect,
                    self.place.scratch,
                    self._job.files,
                    most_bytes=limits.scratch_bytes,
                    most_entries=limits.scratch_entries,
                )
            except scratch.TooMuchError:
                why = EndKind.DISK
        return SandboxEnd(
            how=why or how,
            code=code,
            stdout=bytes(self.outputs.kept["stdout"]),
            stderr=bytes(self.outputs.kept["stderr"]),
            truncated=self.outputs.truncated,
            answer=bytes(self.outputs.answer),
            files=files,
            removed=removed,
            memory_bytes=watched.memory_bytes,
            cpu_seconds=watched.cpu_seconds,
        )

    def _had_its_time(self) -> bool:
        """Tell whether the kernel may have ended it for its time: it was seen up to the last look."""
        return self._watched.cpu_seconds > self._job.limits.cpu_seconds - 1.0


class Session:
    """A program that is talked to (the port `SandboxProcess`)."""

    def __init__(self, running: Running, places: Places, stuck: Callable[[], None]) -> None:
        self._running, self._places, self._stuck = running, places, stuck
        self._talking: set[asyncio.Task[Any]] = set()
        self._unread = b""
        """What it said last, before it ended."""
        running.outputs.begin_beside()
        self._ending = asyncio.create_task(self._end())

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it does not read. Raises ToolFailed when it has ended."""
        if not await self._talk(write_all(self._running.confined.stdin, data)):
            raise ToolFailed("the program has ended")

    async def read(self) -> bytes:
        """Return the next piece of its standard output, at most 64 KiB; empty: it will write no more."""
        if piece := await self._talk(read_piece(self._running.confined.stdout)):
            return piece
        await asyncio.shield(self._ending)
        piece, self._unread = self._unread[:PIECE], self._unread[PIECE:]
        return piece

    def on_end(self, do: "Callable[[Session], None]") -> None:
        """Call this when nothing of it is left."""
        self._ending.add_done_callback(lambda _: do(self))

    async def _talk(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do something at its pipes; None: it has ended, and they are closed."""
        if self._ending.done() or self._running.confined.is_closed:
            work.close()
            return None
        task = asyncio.create_task(work)
        self._talking.add(task)
        try:
            await asyncio.wait([task])
            return None if task.cancelled() else task.result()
        finally:
            task.cancel()
            self._talking.discard(task)

    async def end(self) -> SandboxEnd:
        """Wait until it has ended by itself, or passed a limit."""
        return await asyncio.shield(self._ending)

    async def stop(self) -> SandboxEnd:
        """End it with all it started, and return when nothing of it is left. Idempotent."""
        self._running.stop()
        return await asyncio.shield(self._ending)

    async def _end(self) -> SandboxEnd:
        """Wait for its end and clean up; nobody cancels this."""
        why = await self._running.verdict()
        await self._running.confined.halt()
        while self._talking:
            for task in self._talking:
                task.cancel()
            await asyncio.wait(self._talking)
            await asyncio.sleep(0)
        self._unread = left_in(self._running.confined.stdout)
        return await closed(self._running, self._places, why, self._stuck)


async def closed(
    running: Running, places: Places, why: EndKind | None, stuck: Callable[[], None]
) -> SandboxEnd:
    """End a job and free its place. Raises SandboxUnavailable when something of it does not end."""
    try:
        end = await running.end(why)
    except StuckError as error:
        places.abandon()
        stuck()
        raise SandboxUnavailable("something of the job could not be ended") from error
    await places.free(running.place)
    return end
