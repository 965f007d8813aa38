"""Where jobs run: each with a scratch and, where this process may become others, a user of its own."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.isolation import processes, scratch
from services.chassis.isolation.descriptors import finished
from services.chassis.isolation.scratch import Scratches
from services.chassis.isolation.selftest import Bait
from services.chassis.sandbox.errors import SandboxUnavailable

WAIT_SECONDS: Final = 10.0
BLOCK: Final = 256
"""Users of one sandbox."""
BLOCKS: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """One job's place."""

    uid: int | None
    """The user that it runs as; None: this process's own."""
    scratch: Path


class Users:
    """A block of users that no other sandbox of this machine uses, so that what a user takes is one job's."""

    def __init__(self, first: int) -> None:
        """Claim the first block from `first` on that is free. Raises OSError when none is."""
        for block in range(first, first + BLOCKS * BLOCK, BLOCK):
            held = socket.socket(socket.AF_UNIX)
            try:
                held.bind(
                    f"\0aios-sandbox-users-{block}"
                )  # free again when this process ends, however it does
            except OSError as error:
                held.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            processes.end_left(range(block, block + BLOCK))
            self.first, self._held = block, held
            return
        raise OSError(errno.EADDRINUSE, "all users for jobs are in use by other sandboxes")

    def close(self) -> None:
        """Let others have them."""
        self._held.close()


class Places:
    """As many places as jobs may run at once, and more for interpreters that wait."""

    def __init__(self, *, directory: str, first_uid: int, most: int) -> None:
        self._directory = directory
        self._most = most
        self._first_uid = first_uid
        self._users: Users | None = None
        self._uids: list[int | None] = [None] * most
        """Of the places that are free; as root they are claimed with the first place."""
        self._free = asyncio.Semaphore(most)
        self._scratches: Scratches | None = None
        self._making = threading.Lock()

    async def take(self) -> Place:
        """Wait for a place and take it. Raises SandboxUnavailable when none is, OSError without a disk."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise SandboxUnavailable("the sandbox has no free place", retry_after=1.0) from error
        try:
            return await finished(asyncio.to_thread(self._make))
        except BaseException:
            self._free.release()
            raise

    def _make(self) -> Place:
        """Make a place, and before the first one what all of them need. Raises OSError."""
        with self._making:
            if self._users is None and os.getuid() == 0:
                self._users = Users(self._first_uid)
                self._uids = list(range(self._users.first, self._users.first + self._most))
            if self._scratches is None:
                self._scratches = Scratches(self._directory)
        uid = self._uids.pop()
        try:
            return Place(uid, self._scratches.make(uid))
        except BaseException:
            self._uids.append(uid)
            raise

    async def free(self, place: Place) -> None:
        """Take a place's scratch away, and let others have it; nothing runs there any more."""
        try:
            await asyncio.to_thread(scratch.remove, place.scratch)
        finally:
            self._give_back(place.uid)

    def abandon(self) -> None:
        """Give nobody a place in which something did not end, ever again."""
        self._most -= 1

    def _give_back(self, uid: int | None) -> None:
        self._uids.append(uid)
        self._free.release()

    async def limit_of_processes(self, place: Place, processes_of_job: int, *, sole: bool = False) -> int:
        """Return a limit for the user that a place's job runs as, which counts all that this user has.

        `sole`: leave no room for other jobs of this process.
        """
        if place.uid is not None:
            return processes_of_job + _OF_THE_LOCK
        rows = await asyncio.to_thread(processes.table)
        jobs = 1 if sole else self._most
        return processes.threads_of(rows, os.getuid()) + (processes_of_job + _OF_THE_LOCK) * jobs

    def bait(self, place: Place) -> Bait:
        """Make what a self-test in a place must not reach. Blocks. Raises OSError."""
        return Bait.put_out(place.scratch.with_name(f"{place.scratch.name}-outside"), place.uid)

    async def put(self, place: Place, files: Mapping[str, bytes]) -> None:
        """Write files into a place's scratch. Raises ValueError for paths that cannot be there."""
        if files:
            await asyncio.to_thread(scratch.put, place.scratch, files, place.uid)

    async def close(self) -> None:
        """Take all scratches away."""
        if self._scratches is not None:
            await asyncio.to_thread(self._scratches.close)
            self._scratches = None
        if self._users is not None:
            self._users.close()


_OF_THE_LOCK: Final = 4
"""Processes that bubblewrap and a keeper need beside the job's."""
