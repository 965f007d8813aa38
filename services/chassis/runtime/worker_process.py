"""One worker process from its start to its end: messages over its pipes, one at a time."""

import asyncio
import contextlib
import json
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.runtime.standing_back import stand_back
from services.chassis.runtime.worker_child import DONE, FAILED, NO_MEMORY

MIB: Final = 1024 * 1024
CHILD: Final = Path(__file__).with_name("worker_child.py")
_ROOT: Final = Path(__file__).resolve().parents[3]
"""Where the packages of the kernel are, however this process found them."""
_HEAD: Final = struct.Struct("<Id")
_TOLD: Final = struct.Struct("<IB")
_END_SECONDS: Final = 5.0


class WorkerError(Exception):
    """A call of a worker that brought no answer."""


class WorkerDied(WorkerError):
    """The worker ended while it worked on the call: by a fault, or because it passed a limit."""


class WorkerOverran(WorkerError):
    """The call took longer than it may; its worker was ended."""


class WorkerFailed(WorkerError):
    """The handler raised something; its worker lives. The message is the name of the error."""


class WorkersUnavailable(WorkerError):
    """No worker could be started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """What a kind of worker runs, and how much of everything it may take. Units: bytes and seconds."""

    name: str
    target: str
    """`module:function`; called in the worker with `args`, it returns the handler of messages."""
    args: tuple[str, ...] = ()
    memory: int
    """Beyond what is mapped once the handler is made."""
    cpu: float
    """Time of a processor for one call."""
    wall: float
    """Time from the sending of a call to its answer."""
    start: float = 20.0
    grace: float = 0.0
    """How long a call whose caller left may go on before its worker is ended."""
    longest_answer: int = 16 * MIB
    site: bool = True
    """Whether packages are wanted; without them it starts in a fraction of the time."""
    stack: int = 0
    niceness: int = 0
    files: int = 32
    once: bool = False
    """Whether a process answers one call and a fresh one takes its place: none keeps what it was given."""


class WorkerProcess:
    """A started process. One call at a time; whoever gets WorkerDied or WorkerOverran has to `end` it."""

    def __init__(self, spec: WorkerSpec, process: asyncio.subprocess.Process) -> None:
        self._spec = spec
        self._process = process
        self._told: tuple[int, int] | None = None
        """Length and kind of an answer whose head was read before its reader left."""

    @classmethod
    async def start(cls, spec: WorkerSpec, child: Path = CHILD) -> "WorkerProcess":
        """Start a process, by exec alone, and wait until its handler is made. Raises WorkersUnavailable."""
        config = {
            "path": [*filter(None, sys.path), str(_ROOT)],
            "target": spec.target,
            "args": spec.args,
            "memory": spec.memory,
            "stack": spec.stack,
            "files": spec.files,
        }
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                *(() if spec.site else ("-S",)),
                str(child),
                json.dumps(config),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},  # no key, no address, no path
                close_fds=True,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkersUnavailable(f"no process can be started: {error.strerror}") from error
        worker = cls(spec, process)
        try:
            async with asyncio.timeout(spec.start):
                await worker._answer()
        except (WorkerError, TimeoutError) as error:
            await worker.end()
            raise WorkersUnavailable(f"worker {spec.name} does not start") from error
        except BaseException:
            await worker.end()
            raise
        if spec.niceness:
            await asyncio.to_thread(stand_back, process.pid, spec.niceness)
        return worker

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    @property
    def cause(self) -> str:
        """Why it ended, in a word of few."""
        return _cause(self._process.returncode)

    async def call(self, payload: bytes, *, cpu: float, wall: float) -> bytes:
        """Send a message and return its answer. Raises WorkerDied, WorkerOverran, WorkerFailed."""
        if self._process.stdin is None:
            raise WorkerDied("it has no input")
        try:
            async with asyncio.timeout(wall):
                self._process.stdin.write(_HEAD.pack(len(payload), cpu) + payload)
                await self._process.stdin.drain()
                return await self._answer()
        except ConnectionError as error:
            raise WorkerDied("it ended") from error
        except TimeoutError as error:
            raise WorkerOverran(f"it took longer than {wall:g} s") from error

    async def settle(self) -> bool:
        """Read the answer that nobody waits for any more; False: it did not come within the grace."""
        try:
            async with asyncio.timeout(self._spec.grace):
                await self._answer()
        except WorkerFailed:
            return True
        except (WorkerError, TimeoutError):
            return False
        return True

    async def ended(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    async def end(self) -> None:
        """Kill it unless it has ended, and take its status: also while the caller is being cancelled."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.shield(asyncio.wait_for(self._emptied(), _END_SECONDS))

    async def _emptied(self) -> None:
        """Take what it wrote and nobody read, or its pipe stays open, and wait until it has ended."""
        with contextlib.suppress(RuntimeError):  # another task still reads, and does as much
            while self._process.stdout is not None and await self._process.stdout.read(MIB):
                pass
        await self._process.wait()

    async def _answer(self) -> bytes:
        reader = self._process.stdout
        if reader is None:
            raise WorkerDied("it has no output")
        try:
            if self._told is None:
                size, kind = _TOLD.unpack(await reader.readexactly(_TOLD.size))
                if size > self._spec.longest_answer or kind not in {DONE, FAILED}:
                    raise WorkerDied("it answered something else")
                self._told = size, kind
            size, kind = self._told
            answer = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerDied("it ended") from error
        self._told = None
        if kind == FAILED:
            raise WorkerFailed(answer.decode(errors="replace"))
        return answer


def _cause(status: int | None) -> str:
    causes: dict[int | None, str] = {
        None: "stopped",
        -24: "cpu",
        -27: "cpu",
        -9: "killed",
        0: "left",
        NO_MEMORY: "memory",
    }
    return causes.get(status, "fault" if status is not None and status < 0 else "exit")


Blame = Callable[[str, str], None]
"""Told of each worker that ended unasked: the name of its kind, and the cause."""
