"""One job's stream to a sandbox that is a process of its own."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import grpc

from aios.api.sandbox.v1 import sandbox_pb2
from services.chassis.rpc.errors import InvalidRequest, KernelError
from services.chassis.rpc.status import failure_of
from services.chassis.runtime.logs import logger
from services.chassis.sandbox.port import Heard
from services.tool.core.sandboxing import EndKind, SandboxEnd, SandboxJob
from services.tool.errors import SandboxLost, SandboxUnavailable, ToolBusy
from services.tool.wire import sandboxing
from services.tool.wire.sandboxing import STREAMS, TALK_BYTES, WINDOW_BYTES, Received

ALIVE_SECONDS: Final = 5.0
"""How often the sandbox hears that somebody is there; it waits four times as long."""

STOP_SECONDS: Final = 5.0
"""How long a job that is told to stop may take to; then its stream is cut, which ends it as well."""

RETRY_SECONDS: Final = 1.0

_REFUSALS: Final = {each.reason: each for each in (SandboxUnavailable, ToolBusy)}

_log = logger(__name__)


class JobStream:
    """What is sent and what comes, and what it means when nothing more comes.

    One task reads and nobody who waits ever touches the call itself: to cancel a read or a write would cut
    the stream, and then nobody could tell when the job has ended.
    """

    def __init__(self, call: Any, job: SandboxJob, heard: Heard | None = None) -> None:
        """`call`: the bidirectional call, just begun."""
        self._call = call
        self._job = job
        self._heard = heard
        self._received = Received(job)
        self._sending = asyncio.Lock()
        self._begun = self._admitted = self._started = False
        self.end: SandboxEnd | None = None
        self.error: KernelError | None = None
        """Why no more is heard of the job, unless it has ended."""
        self.output: deque[bytes] = deque()
        """Output of a program that is talked to, which nobody has read yet."""
        self.told_all = False
        """Whether the program will write no more."""
        self.owed = 0
        """Bytes of input that the program has not taken yet."""
        self._changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._say_alive())]

    async def begin(self, *, talk: bool) -> None:
        """Wait for a place, hand over what the job gets, have it run.

        Raises SandboxUnavailable, ToolBusy, InvalidRequest and SandboxLost.
        """
        await self.send(sandboxing.begin(self._job, talk=talk))
        await self.until(lambda: self._admitted)
        for piece in sandboxing.pieces(self._job):
            await self.send(piece)
        self._begun = True
        await self.send(sandboxing.said("start"))
        if talk:
            await self.until(lambda: self._started)

    async def send(self, request: sandbox_pb2.RunRequest) -> None:
        """Say something. Raises SandboxUnavailable or SandboxLost when it is not heard."""
        await asyncio.shield(asyncio.create_task(self._write(request)))
        if self.error is not None:
            raise self.error

    async def _write(self, request: sandbox_pb2.RunRequest) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            async with self._sending:
                await self._call.write(request)
                return
        if self.end is None:
            await self.until(lambda: self.error is not None)  # the reader finds out why

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until something is so. Raises SandboxUnavailable or SandboxLost when it never will be."""
        while not ready():
            if self.error is not None:
                raise self.error
            self._changed.clear()
            await self._changed.wait()

    async def ended(self) -> SandboxEnd:
        """Wait for the end of the job. Raises SandboxUnavailable, SandboxLost."""
        while self.end is None:
            await self.until(lambda: self.end is not None)
        return self.end

    async def stop(self) -> SandboxEnd:
        """Have the job end, and return when it has; in any case its stream is cut then. Idempotent."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                if self.end is None:
                    await self.send(sandboxing.said("stop"))
                return await self.ended()
        except (KernelError, TimeoutError):
            return SandboxEnd(how=EndKind.STOPPED)
        finally:
            self.close()

    def close(self) -> None:
        """Cut the stream, if it has not ended: what still runs at its other end does no longer."""
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        if self.end is None and self.error is None:
            self.error = self._lost("the stream was closed")
        self._changed.set()

    async def _read(self) -> None:
        try:
            while self.end is None:
                message = await self._call.read()
                if message is grpc.aio.EOF:
                    break
                if not self._take(message):
                    _log.error("the sandbox broke its protocol, or a job broke out of it")
                    self.error = self._lost("the sandbox said what it may not say")
                    self._call.cancel()
                    break
                self._changed.set()
        except grpc.aio.AioRpcError as failure:
            _log.debug("a job's stream failed", code=failure.code().name)
        if self.end is None and self.error is None:
            self.error = await self._failure()
        self._changed.set()

    def _take(self, message: sandbox_pb2.RunResponse) -> bool:
        """Take what is said; False when it is not what may be said now."""
        match message.WhichOneof("message"):
            case "admitted":
                self._admitted = True
            case "started":
                self._started = True
            case "heard" if message.heard.part in STREAMS:
                if self._heard is not None:
                    self._heard(STREAMS[message.heard.part], message.heard.data)
            case "output":
                return self._take_output(message.output.data)
            case "taken":
                self.owed = max(0, self.owed - message.taken.bytes)
            case "piece":
                return self._received.add(message.piece)
            case "end":
                self.end = self._received.end(message.end)
                return self.end is not None
            case _:
                return False
        return True

    def _take_output(self, data: bytes) -> bool:
        self.told_all = self.told_all or not data
        self.output.extend(data[at : at + TALK_BYTES] for at in range(0, len(data), TALK_BYTES))
        return sum(map(len, self.output)) <= 2 * WINDOW_BYTES

    async def _failure(self) -> KernelError:
        """Return what the end of the stream means: what never began may be begun again."""
        code = await self._call.code()
        known = failure_of(code, await self._call.trailing_metadata())
        if known.reason in _REFUSALS:  # it says itself that nothing has run
            return _REFUSALS[known.reason](known.message, retry_after=known.retry_after)
        _log.warning("a job's stream ended", code=code.name, why=known.message, begun=self._begun)
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return SandboxUnavailable("the sandbox does not know this tool manager")
        if known.reason == InvalidRequest.reason:  # the job is checked before it is run
            return InvalidRequest(known.message, violations=known.violations)
        return self._lost("the sandbox was lost")

    def _lost(self, why: str) -> KernelError:
        if self._begun:
            return SandboxLost(f"{why} while the program ran; look before you call again")
        return SandboxUnavailable(f"{why} before the program began", retry_after=RETRY_SECONDS)

    async def _say_alive(self) -> None:
        with suppress(KernelError):
            while True:
                await asyncio.sleep(ALIVE_SECONDS)
                await self.send(sandboxing.said("alive"))
