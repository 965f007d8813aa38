"""One process in its lock, from the start of its launcher until nothing of it is left."""

import asyncio
import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Final

from services.chassis.isolation.descriptors import Pipes, finished, read_piece, readable, write_all
from services.chassis.isolation.inside.plan import Plan
from services.chassis.sandbox.terms import EndKind, SandboxLevel

LAUNCHER: Final = Path(__file__).parent / "inside" / "launcher.py"
ROOT: Final = Path(__file__).resolve().parents[3]
"""Where the packages of the kernel are."""
START_SECONDS: Final = 20.0
END_SECONDS: Final = 5.0
READY: Final = b"\x01"
_MOST_ORDERS: Final = 1 << 20
_MOST_TOLD: Final = 16_384


class NotConfinedError(Exception):
    """A layer is missing, or the process did not start in its lock; nothing ran."""


class StuckError(Exception):
    """Something of a job does not end, though everything was done to end it."""


class Confined:
    """A process that is locked in. Whoever starts one has to `finish` it."""

    def __init__(self, plan: Plan, process: "subprocess.Popen[bytes]", pipes: Pipes) -> None:
        self._level = SandboxLevel(plan.level)
        self._process = process
        self._pipes = pipes
        self.stdin, self._orders, self.stdout, self.stderr, self.answers, self._tells = pipes.outside
        self._ended: int | None = os.pidfd_open(process.pid)
        """Of the launcher, which is bubblewrap, keeper or job by now."""
        self._first: int | None = None
        """Of the first process of its namespace: whose end is the end of all in there."""
        self.watched = process.pid
        """Whose descendants are the job's."""
        self._status: int | None = None
        self._last_told = b""

    @classmethod
    async def start(cls, plan: Plan, spawner: Executor, launcher: Path = LAUNCHER) -> "Confined":
        """Start one and wait until its program says that it runs. Raises NotConfinedError.

        `spawner` has one thread that lives as long as anything that it starts: with it the kernel ends that.
        """
        spawning = asyncio.get_running_loop().run_in_executor(spawner, cls._spawn, plan, launcher)
        try:
            started = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await finished(cls._unwanted(spawning))
            raise
        try:
            async with asyncio.timeout(START_SECONDS):
                await started.lock(plan)
        except (NotConfinedError, TimeoutError, OSError) as error:
            said = started.complaint()
            await finished(started.finish())
            why = str(error) or "it does not start in time"
            raise NotConfinedError(f"{why}{said and f': {said}'}") from error
        except BaseException:
            await finished(started.finish())
            raise
        return started

    @staticmethod
    async def _unwanted(spawning: "asyncio.Future[Confined]") -> None:
        """End what nobody waits for any more."""
        with contextlib.suppress(NotConfinedError):
            await (await spawning).finish()

    @classmethod
    def _spawn(cls, plan: Plan, launcher: Path) -> "Confined":
        try:
            pipes = Pipes(given=2, taken=4)
        except OSError as error:
            raise NotConfinedError(f"no pipes can be made: {error.strerror}") from error
        reads, orders, writes, complains, answers, tells = pipes.inside
        try:
            process = subprocess.Popen(  # noqa: S603 - a list, of the kernel's own
                [sys.executable, "-I", "-S", launcher, str(ROOT), str(answers), str(tells), str(orders)],
                stdin=reads,
                stdout=writes,
                stderr=complains,
                pass_fds=(answers, tells, orders),
                env={},  # no key, no address, no path
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            pipes.close()
            raise NotConfinedError(f"no process can be started: {error.strerror}") from error
        pipes.close_inside()
        return cls(plan, process, pipes)

    async def lock(self, plan: Plan) -> None:
        """Order what to do and wait until it is done, the lock proven. Raises NotConfinedError."""
        order = json.dumps(asdict(plan)).encode()
        if len(order) > _MOST_ORDERS:
            raise NotConfinedError("its arguments are too large")
        await write_all(self._orders, struct.pack("<I", len(order)) + order)
        told = await self._told(b"}" if self._level is SandboxLevel.NAMESPACES else b"\n")
        if told.startswith(b"failed "):
            raise NotConfinedError(told[len("failed ") :].decode(errors="replace").strip())
        if self._level is SandboxLevel.NAMESPACES:
            self.watched = json.loads(told)["child-pid"]
            self._first = os.pidfd_open(self.watched)
            await write_all(self._orders, b"\n")  # bubblewrap has waited for that
        elif not told.startswith(b"locked\n"):
            raise NotConfinedError("it did not lock itself")
        self._last_told = told
        if await read_piece(self.answers, 1) != READY:
            raise NotConfinedError("its program did not start")

    async def _told(self, until: bytes) -> bytes:
        """Read what the launcher tells; the job cannot write there."""
        told = b""
        while not (until in told or (told.startswith(b"failed ") and b"\n" in told)):
            more = await read_piece(self._tells)
            told += more
            if not more or len(told) > _MOST_TOLD:
                raise NotConfinedError("the launcher ended without a word")
        return told

    def complaint(self) -> str:
        """Return what the launcher and bubblewrap said on the error output when nothing started."""
        with contextlib.suppress(OSError):
            return os.read(self.stderr, 400).decode(errors="replace").strip().replace("\n", " ")
        return ""

    async def ended(self) -> None:
        """Wait until the job's first process has ended by itself."""
        if self._ended is not None:
            await readable(self._ended)

    @property
    def is_kept(self) -> bool:
        """Whether `watched` is its keeper, and not the job."""
        return self._level is SandboxLevel.LANDLOCK

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be said or heard any more."""
        return self._ended is None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def close_stdin(self) -> None:
        """Let the program's input end."""
        self._pipes.close_one(self.stdin)

    async def halt(self) -> tuple[EndKind, int]:
        """End all that is left of it and return how its first process ended; what it said can still be read.

        Idempotent. Raises StuckError.
        """
        if self._status is None:
            self._status = await self._end()
        return _how(self._status)

    async def finish(self) -> None:
        """End all that is left of it and forget what it said. Raises StuckError."""
        try:
            await self.halt()
        finally:
            self.close()

    def close(self) -> None:
        """Close everything to it. Nobody may wait for any of it any more. Idempotent."""
        self._pipes.close()
        for descriptor in (self._ended, self._first):
            if descriptor is not None:
                os.close(descriptor)
        self._ended, self._first = None, None

    async def _end(self) -> int:
        match self._level:
            case SandboxLevel.NAMESPACES:
                return await self._end_namespace()
            case SandboxLevel.LANDLOCK:
                return await self._end_by_keeper()
            case _:
                self._process.kill()
                return await self._reaped()

    async def _end_namespace(self) -> int:
        """End the first process of the namespace, with which the kernel ends all others.

        Bubblewrap itself ends before its namespace is empty, so its end says nothing.
        """
        if self._first is None:
            # It may have a child already, which waits for its word in its group, and would for ever.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            return await self._reaped()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
        await _soon(self._first)
        return await self._reaped()

    async def _end_by_keeper(self) -> int:
        self._pipes.close_one(self._orders)
        try:
            await _soon(self._ended)
        except StuckError:
            self._process.kill()
            raise
        await self._reaped()
        told = self._last_told
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self._tells, 4096):
                told = (told + more)[-_MOST_TOLD:]
        found = re.search(rb"^ended (\d+)$", told, re.MULTILINE)
        return os.waitstatus_to_exitcode(int(found[1])) if found else -signal.SIGKILL

    async def _reaped(self) -> int:
        await _soon(self._ended)
        return self._process.wait()


async def _soon(process: int | None) -> None:
    if process is None:
        return
    try:
        async with asyncio.timeout(END_SECONDS):
            await readable(process)
    except TimeoutError as error:
        raise StuckError("a process of the sandbox does not end") from error


def _how(status: int) -> tuple[EndKind, int]:
    """Tell exit statuses from signals, also as bubblewrap and shells tell them."""
    if status < 0:
        return EndKind.SIGNALLED, -status
    if status > 128:  # noqa: PLR2004 - what shells add to the number of a signal
        return EndKind.SIGNALLED, status - 128
    return EndKind.EXITED, status
