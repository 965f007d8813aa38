"""Finds out whether the engine can compile a constraint, and afterwards whether it kept it.

The engine compiles in this process, in native code that cannot be stopped, and answers freely when it
fails. So the same compiler runs first in a process apart (`compile_probe.py`), before a slot is taken:
cancelling the call kills that process, and what overruns its memory or time costs that call alone. Verdicts
are remembered.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import sys
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from services.chassis.runtime.logs import logger
from services.tgi_local.core.grammar import Constraint
from services.tgi_local.errors import InvalidRequest, Overloaded

_log = logger(__name__)

AT_ONCE: Final = 2
"""Most processes at one time."""
WALL_SECONDS: Final = 30.0
"""Longest life of one; it may use much less of a processor (`compile_probe.CPU_SECONDS`)."""
PLACE_SECONDS: Final = 60.0
"""Longest wait for the processes of others."""
REMEMBERED: Final = 1_024

_PROBE: Final = Path(__file__).with_name("compile_probe.py")
_KEPT, _REFUSED, _UNUSABLE = 0, 10, 11
_NICE: Final = 5
"""Generating goes first."""


class ProcessCompiler:
    """Judges constraints by the engine's own compiler.

    `library`: the file it is in, None where there is none; `probe`: the program to run it in.
    """

    def __init__(self, library: Path | None, probe: Path = _PROBE) -> None:
        self._library = library
        self._probe = probe
        self._room = asyncio.Semaphore(AT_ONCE)
        self._verdicts: OrderedDict[bytes, str] = OrderedDict()
        self._under_way: weakref.WeakValueDictionary[bytes, asyncio.Lock] = weakref.WeakValueDictionary()
        self.started = 0
        """Processes started so far."""

    async def check(self, constraint: Constraint) -> None:
        """Raise InvalidRequest for what the engine cannot compile within its limits.

        Whoever comes with the same constraint meanwhile waits for this verdict, and compiles anew only if the
        first one was cancelled.
        """
        digest = hashlib.sha256(constraint.grammar.encode()).digest()
        turn = self._under_way.setdefault(digest, asyncio.Lock())
        async with turn:
            verdict = self._verdicts.get(digest)
            if verdict is None:
                verdict = await self._run(constraint, b"")
                self._verdicts[digest] = verdict
                if len(self._verdicts) > REMEMBERED:
                    self._verdicts.popitem(last=False)
            self._verdicts.move_to_end(digest)
        if verdict:
            raise InvalidRequest(f"grammar is not valid: {verdict}")

    async def check_beginning(self, constraint: Constraint, output: bytes) -> None:
        """Raise InvalidRequest when output that was cut short is no beginning of what the constraint allows.

        The engine lets go of a constraint that becomes too complex on the way, and says nothing.
        """
        if output and await self._run(constraint, output):
            raise InvalidRequest("grammar is not supported: it became too complex while it was followed")

    async def _run(self, constraint: Constraint, output: bytes) -> str:
        """Return why the constraint is not kept, or nothing. Raises Overloaded, InvalidRequest."""
        if self._library is None:
            raise InvalidRequest("grammar is not supported")
        grammar = constraint.grammar.encode()
        async with self._place():
            status, problem = await self._judged(b"%d\n%b%b" % (len(grammar), grammar, output))
        if status == _KEPT:
            return ""
        if status == _REFUSED:
            return problem.decode(errors="replace")
        if status == _UNUSABLE:
            _log.error("the engine's compiler cannot be used", library=str(self._library))
            raise InvalidRequest("grammar is not supported")
        return "it takes too much memory or time to compile"

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the few places for processes. Raises Overloaded when none becomes free in time."""
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                await self._room.acquire()
        except TimeoutError as error:
            raise Overloaded from error
        try:
            yield
        finally:
            self._room.release()

    async def _judged(self, given: bytes) -> tuple[int, bytes]:
        """Run the process to its end. Raises Overloaded when it does not start, or is not done in time."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(self._probe),
                str(self._library),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            _log.warning("no process to compile in", problem=error.strerror)
            raise Overloaded from error
        self.started += 1
        try:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
            async with asyncio.timeout(WALL_SECONDS):
                problem, _ = await process.communicate(given)
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            await _ended(process)
        return process.returncode if process.returncode is not None else _UNUSABLE, problem


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill it unless it has ended, and take its status: also while the call is being cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def engine_library() -> Path | None:
    """Find the engine's library without loading it. Reads directories."""
    found = importlib.util.find_spec("xllamacpp")
    places = found.submodule_search_locations if found is not None else None
    for place in places or ():
        for library in sorted(Path(place).glob("xllamacpp*.so")) + sorted(Path(place).glob("xllamacpp*.pyd")):
            return library
    return None
