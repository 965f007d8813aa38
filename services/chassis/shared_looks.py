"""One look at a store for all that watch it, so that a watch costs nothing while nothing happens.

Changes of this process wake its watches by the notifier. Changes of other processes on the same store are
found by looking: once for all watches, and only while there is one. One event loop owns all of this.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, cast

from services.chassis.notifier import ChangeNotifier, Subscription

H = TypeVar("H")
T = TypeVar("T")


class Follower:
    """A watch's view of a topic. It fails while the store cannot be looked at."""

    def __init__(self, subscription: Subscription, poll: "SharedPoll[Any]") -> None:
        self._subscription = subscription
        self._poll = poll

    def reset(self) -> None:
        """Count every change so far as seen. Call it before looking, never after, or a change is missed."""
        self._subscription.reset()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a change; False when none came within `timeout` seconds. Raises what the last look raised.

        Without a timeout it waits as long as it takes.
        """
        changed = await self._subscription.wait(timeout)
        if self._poll.failure is not None:
            raise self._poll.failure
        return changed


class SharedPoll(Generic[H]):
    """Looks every so many seconds while anybody watches.

    `look` returns what stands for the state of the store, `compare` tells the topics that differ between two
    such states; None stands for all of them.
    """

    def __init__(
        self,
        changes: ChangeNotifier,
        look: Callable[[], Awaitable[H]],
        compare: Callable[[H, H], set[Hashable] | None],
        seconds: float,
    ) -> None:
        self._changes = changes
        self._look = look
        self._compare = compare
        self._seconds = seconds
        self._state: H | None = None
        self._watching = 0
        self._task: asyncio.Task[None] | None = None
        self.failure: Exception | None = None
        """What the last look raised; None when it went well."""

    @contextmanager
    def follow(self, topic: Hashable) -> Iterator[Follower]:
        """Follow a topic for the length of the block. Begin before looking at the store."""
        with self._changes.subscribe(topic) as subscription:
            self._watching += 1
            if self._task is None:
                self._state, self.failure = None, None
                self._task = asyncio.create_task(self._run(), name="look for changes of others")
            try:
                yield Follower(subscription, self)
            finally:
                self._watching -= 1
                if not self._watching and self._task is not None:
                    self._task.cancel()
                    self._task = None

    def made(self, before: H, after: H) -> None:
        """Note a change of this process, whose watches were told: it is not to be found once more."""
        if self._state == before:
            self._state = after

    async def _run(self) -> None:
        while True:
            try:
                found = await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is ends the watches, each with it
                self.failure = error
                self._changes.notify_all()
            else:
                self.failure = None
                self._told(found)
            await asyncio.sleep(self._seconds)

    def _told(self, found: H) -> None:
        before, self._state = self._state, found
        if before is None:
            self._changes.notify_all()  # what changed while nobody looked is not known
            return
        differing = self._compare(before, found)
        if differing is None:
            self._changes.notify_all()
        else:
            for topic in differing:
                self._changes.notify(topic)


class SharedReads:
    """Reads that watches of the same thing ask for at the same moment are made once.

    A read that began before the last change is not joined: it may not show that change.
    """

    def __init__(self, changes: ChangeNotifier) -> None:
        self._changes = changes
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def read(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns for a key, or what the same read returns that is under way."""
        full = (self._changes.count, key)
        task = self._under_way.get(full)
        if task is None:
            task = self._under_way[full] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._ended(full, done))
        return cast("T", await asyncio.shield(task))

    def _ended(self, key: Hashable, task: "asyncio.Task[Any]") -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # told to those who wait, if anybody still does
