"""Pipes on the event loop: nothing is read before it is wanted, and nothing is waited for without a bound."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

PIECE: Final = 65_536
_MOST_LEFT: Final = 1 << 20


async def readable(descriptor: int) -> None:
    """Wait until something can be read, or the other end is closed, or a process has ended."""
    loop = asyncio.get_running_loop()
    await _once(descriptor, loop.add_reader, loop.remove_reader)


async def _once(descriptor: int, add: Callable[..., Any], remove: Callable[[int], object]) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(descriptor)


async def read_piece(descriptor: int, size: int = PIECE) -> bytes:
    """Return the next bytes; none: the other end is closed."""
    while True:
        try:
            return os.read(descriptor, size)
        except BlockingIOError:
            await readable(descriptor)


async def write_all(descriptor: int, data: bytes) -> bool:
    """Write all of it as the other end takes it; False: the other end is closed."""
    loop = asyncio.get_running_loop()
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest[:PIECE]) :]
        except BlockingIOError:
            await _once(descriptor, loop.add_writer, loop.remove_writer)
        except BrokenPipeError:
            return False
    return True


def left_in(descriptor: int) -> bytes:
    """Return what is in a pipe whose writers are no more."""
    left = bytearray()
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(descriptor, PIECE):
            left += piece
            if len(left) >= _MOST_LEFT:
                break
    return bytes(left)


class Pipes:
    """The pipes to one process: `outside` are the host's ends, which do not block; `inside` the others."""

    def __init__(self, *, given: int, taken: int) -> None:
        """Make `given` pipes into the process and `taken` ones out of it."""
        self.outside: list[int] = []
        self.inside: list[int] = []
        try:
            for number in range(given + taken):
                reads, writes = os.pipe()
                ours, theirs = (writes, reads) if number < given else (reads, writes)
                self.outside.append(ours)
                self.inside.append(theirs)
                os.set_blocking(ours, False)
        except OSError:
            self.close()
            raise

    def close_inside(self) -> None:
        """Leave the other ends to the process."""
        while self.inside:
            os.close(self.inside.pop())

    def close_one(self, descriptor: int) -> None:
        """Close one of the host's ends. Idempotent."""
        if descriptor in self.outside:
            self.outside.remove(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Close everything. Idempotent."""
        self.close_inside()
        while self.outside:
            os.close(self.outside.pop())


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Await what must not be cut in the middle; a cancellation is passed on afterwards."""
    task = asyncio.ensure_future(work)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cut = error
    if cut is not None:
        task.exception()
        raise cut
    return task.result()
