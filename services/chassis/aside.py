"""Work that takes the interpreter long, aside of the event loop, in few threads and by turns. Pure asyncio.

Threads that compute share one interpreter with the event loop. Where a stranger can start as many as a
default pool has, each look of the loop for input waits behind all of them, and whoever comes later behind
their whole line. So there are few, a tree of agents has one of them, and turns decide who is next.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from services.chassis.auth.identity import caller_or_none
from services.chassis.gate import FairGate, GateConfig, Visitor

T = TypeVar("T")

THREADS: Final = 3
_GATE: Final = GateConfig(running=THREADS, running_per_tenant=2, running_per_tree=1, running_per_agent=1)


class Aside:
    """The threads beside one event loop."""

    def __init__(self) -> None:
        self._gate = FairGate(_GATE)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aside")

    @property
    def waiting(self) -> int:
        """How much work waits for a thread."""
        return self._gate.waiting

    async def run(self, work: Callable[[], T], visitor: Visitor) -> T:
        """Do work of somebody's in a thread.

        Who leaves meanwhile leaves a thread that works on; its place is free when it has ended. Raises what
        the work raises, and DeadlineExceeded, TooManyCalls or QueueFull as a gate does.
        """
        begun = asyncio.Event()
        doing = asyncio.create_task(self._do(work, visitor, begun))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            if not begun.is_set():
                doing.cancel()
            doing.add_done_callback(_seen)
            raise

    async def _do(self, work: Callable[[], T], visitor: Visitor, begun: asyncio.Event) -> T:
        async with self._gate.admit(visitor):
            begun.set()
            return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)


_BESIDE: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Aside]] = WeakKeyDictionary()


async def aside(work: Callable[[], T], *, visitor: Visitor | None = None) -> T:
    """Do work of the running call, or of `visitor`, in a thread beside this loop. Raises as `Aside.run`."""
    loop = asyncio.get_running_loop()
    beside = _BESIDE.get(loop)
    if beside is None:
        beside = _BESIDE[loop] = Aside()
    return await beside.run(work, visitor or Visitor.of(caller_or_none()))


def _seen(task: "asyncio.Task[Any]") -> None:
    """Look at how work ended that nobody waits for."""
    if not task.cancelled():
        task.exception()
