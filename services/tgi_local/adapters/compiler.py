"""Finds out whether the engine can compile a constraint, and afterwards whether it kept it.

The engine compiles in this process, in native code that cannot be stopped, and answers freely when it
fails. So the same compiler runs first in a worker process (`compile_worker.py`), before a slot is taken:
cancelling the call ends that process, and what overruns its memory or time costs that call alone; what did so
twice is not compiled any more. Verdicts are remembered.
"""

import asyncio
import hashlib
import importlib.util
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Final

from services.chassis.runtime.logs import logger
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB, Blame
from services.chassis.runtime.workers import (
    Poisoned,
    WorkerDied,
    WorkerFailed,
    WorkerOverran,
    WorkerPool,
    WorkersBusy,
    WorkerSpec,
    WorkersUnavailable,
)
from services.tgi_local.adapters.compile_worker import KEPT, REFUSED
from services.tgi_local.core.grammar import Constraint
from services.tgi_local.errors import InvalidRequest, Overloaded

_log = logger(__name__)

AT_ONCE: Final = 2
"""Processes."""
EXTRA_BYTES: Final = 160 * MIB
"""Memory a compilation may take beyond what library and words take."""
CPU_SECONDS: Final = 0.3
"""The engine takes as long once more, for every call, and generates for nobody meanwhile."""
OUTPUT_PER_SECOND: Final = 100_000
"""Bytes of output that are followed within a second, with much to spare."""
WALL_SECONDS: Final = 30.0
"""From the sending of a constraint to its verdict; it may use much less of a processor."""
MOST_WAITING: Final = 1_024
REMEMBERED: Final = 1_024
_TOO_MUCH: Final = "it takes too much memory or time to compile"
_TARGET: Final = "services.tgi_local.adapters.compile_worker:judging"


class ProcessCompiler:
    """Judges constraints by the engine's own compiler. `close` it.

    `library`: the file it is in, None where there is none; `model`: the file whose words it compiles for,
    None: single bytes; `target`: the handler, for tests.
    """

    def __init__(
        self,
        library: Path | None,
        model: Path | None = None,
        *,
        told: Blame = lambda _name, _cause: None,
        target: str = _TARGET,
    ) -> None:
        self._library = library
        spec = WorkerSpec(
            name="compiler",
            target=target,
            args=(str(library), str(model) if model is not None else ""),
            memory=EXTRA_BYTES,
            cpu=CPU_SECONDS,
            wall=WALL_SECONDS,
            site=False,
            niceness=5,  # generating goes first
        )
        self._pool = WorkerPool(
            spec,
            poison=PoisonList(),
            size=AT_ONCE,
            most_waiting=MOST_WAITING,
            most_of_one=MOST_WAITING,
            told=told,
        )
        self._verdicts: OrderedDict[bytes, str] = OrderedDict()
        self._under_way: weakref.WeakValueDictionary[bytes, asyncio.Lock] = weakref.WeakValueDictionary()
        self.compiled = 0
        """Constraints that a process was given so far."""

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

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()

    async def _run(self, constraint: Constraint, output: bytes) -> str:
        """Return why the constraint is not kept, or nothing. Raises Overloaded, InvalidRequest."""
        if self._library is None:
            raise InvalidRequest("grammar is not supported")
        grammar = constraint.grammar.encode()
        answer = await self._judged(
            b"%d\n%b%b" % (len(grammar), grammar, output), CPU_SECONDS + len(output) / OUTPUT_PER_SECOND
        )
        if answer == KEPT:
            return ""
        if answer[:1] == REFUSED:
            return answer[1:].decode(errors="replace")
        _log.error("the engine's compiler cannot be used", library=str(self._library))
        raise InvalidRequest("grammar is not supported")

    async def _judged(self, message: bytes, seconds: float) -> bytes:
        """Let a worker judge. Raises Overloaded when none is to be had, or it is not done in time."""
        self.compiled += 1
        try:
            return await self._pool.call(message, cpu=seconds)
        except Poisoned as error:
            raise InvalidRequest(f"grammar is not valid: {_TOO_MUCH}, again and again") from error
        except (WorkerDied, WorkerFailed) as error:
            raise InvalidRequest(f"grammar is not valid: {_TOO_MUCH}") from error
        except (WorkerOverran, WorkersBusy, WorkersUnavailable) as error:
            raise Overloaded from error


def engine_library() -> Path | None:
    """Find the engine's library without loading it. Reads directories."""
    found = importlib.util.find_spec("xllamacpp")
    places = found.submodule_search_locations if found is not None else None
    for place in places or ():
        for library in sorted(Path(place).glob("xllamacpp*.so")) + sorted(Path(place).glob("xllamacpp*.pyd")):
            return library
    return None
