"""A pool of workers for code that may not wait on an event loop: inside a database's transaction.

The pool has a thread with a loop of its own, made by the first call.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, TypeVar

from services.chassis.runtime.workers import WorkerPool, WorkersUnavailable

T = TypeVar("T")

_CLOSE_SECONDS: Final = 10.0


class BlockingWorkers:
    """Calls a pool from any thread. `close` it."""

    def __init__(self, make: Callable[[], WorkerPool]) -> None:
        """`make` is called once, on the thread of the pool's loop."""
        self._make = make
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: WorkerPool | None = None
        self._closed = False

    def call(self, payload: bytes, *, source: Hashable = None, digest: bytes | None = b"") -> bytes:
        """Wait for the answer to a message, within the pool's bounds. Raises as `WorkerPool.call`."""
        return self._run(self._call(payload, source, digest))

    def close(self) -> None:
        """End the workers and the thread."""
        with self._lock:
            self._closed, loop = True, self._loop
        if loop is None:
            return
        if self._pool is not None:
            asyncio.run_coroutine_threadsafe(self._pool.close(), loop).result(_CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)

    async def _call(self, payload: bytes, source: Hashable, digest: bytes | None) -> bytes:
        if self._pool is None:
            self._pool = self._make()
        return await self._pool.call(payload, source=source, digest=digest)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closed:
                work.close()
                raise WorkersUnavailable("the process is shutting down")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._serve, args=(self._loop,), name="workers", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.close()
