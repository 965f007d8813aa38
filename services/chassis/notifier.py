"""Tells those who wait that something changed, so that they look again.

A notification carries nothing and may come once for several changes: what changed is found by looking. All of
this lives on one event loop; changes made by other processes notify nobody here, so whoever must hear of
those waits with a timeout and looks by itself.
"""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Subscription:
    """One waiter's view of a topic: remembers a change until it is waited for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Note a change."""
        self._changed.set()

    def reset(self) -> None:
        """Count every change so far as seen. Call it before looking, never after, or a change is missed."""
        self._changed.clear()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a change since the last wait or reset; False when none came within `timeout` seconds.

        Without a timeout only a change or a cancellation ends it.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class ChangeNotifier:
    """Wakes the subscribers of a topic. Without a topic there is one: everything that its owner changes."""

    def __init__(self) -> None:
        self._subscriptions: dict[Hashable, set[Subscription]] = {}
        self.count = 0
        """How many changes were told, of all topics."""

    def notify(self, topic: Hashable = None) -> None:
        """Tell the subscribers of a topic that it changed."""
        self.count += 1
        for subscription in self._subscriptions.get(topic, ()):
            subscription.notify()

    @property
    def topics(self) -> tuple[Hashable, ...]:
        """What anybody has subscribed to."""
        return tuple(self._subscriptions)

    def notify_all(self) -> None:
        """Tell the subscribers of every topic."""
        self.count += 1
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.notify()

    @contextmanager
    def subscribe(self, topic: Hashable = None) -> Iterator[Subscription]:
        """Remember the changes of a topic for the length of the block. Subscribe before looking."""
        subscription = Subscription()
        self._subscriptions.setdefault(topic, set()).add(subscription)
        try:
            yield subscription
        finally:
            subscribed = self._subscriptions[topic]
            subscribed.discard(subscription)
            if not subscribed:
                del self._subscriptions[topic]

    async def wait(self, topic: Hashable = None, *, timeout: float | None = None) -> bool:
        """Wait for the next change of a topic; False when none came within `timeout` seconds.

        Changes before the call do not count: between looking and calling this there may be no `await`.
        """
        with self.subscribe(topic) as subscription:
            return await subscription.wait(timeout)
