"""What changes below a directory, as it happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from services.chassis.auth.identity import Scope
from services.storage.core import file_tree, paths
from services.storage.errors import EventsExpired
from services.storage.model import Change, ChangeKind
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner

_BATCH = 200


class WatchService:
    """Streams of events of a scope."""

    def __init__(self, engine: ChangeRunner, *, poll_seconds: float, heartbeat_seconds: float) -> None:
        self._engine = engine
        self._poll = poll_seconds
        self._heartbeat = heartbeat_seconds

    async def watch(self, scope: Scope, path: str, after: int) -> AsyncIterator[Change | int]:
        """Yield events below a path after a sequence number (0: from now on), until the caller leaves.

        A bare number is a sign of life: the sequence reached. The first one comes at once.
        Raises PathInvalid, FileNotFound and EventsExpired.
        """
        paths.check(path)
        position = await self._engine.read(scope, lambda tx: _start(tx, path, after))
        self._engine.meter.watchers(1)
        try:
            yield position
            with self._engine.notifier.listen(scope) as bell:
                async for item in self._follow(scope, path, position, bell):
                    yield item
        finally:
            self._engine.meter.watchers(-1)

    async def _follow(
        self, scope: Scope, path: str, position: int, bell: asyncio.Event
    ) -> AsyncIterator[Change | int]:
        silent_since = self._engine.clock.monotonic()
        while True:
            bell.clear()
            batch = await self._engine.read(scope, _reader(position))
            for change in batch:
                position = change.sequence
                seen = as_seen_from(path, change)
                if seen is not None:
                    yield seen
                    silent_since = self._engine.clock.monotonic()
            if batch:
                continue
            if self._engine.clock.monotonic() - silent_since >= self._heartbeat:
                yield position
                silent_since = self._engine.clock.monotonic()
            await _wait(bell, self._poll)


def as_seen_from(path: str, change: Change) -> Change | None:
    """Return an event as a watcher of `path` may see it, None when not at all; names outside stay unknown."""
    here = paths.covers(path, change.node.path)
    if change.kind is not ChangeKind.MOVED:
        return change if here else None
    was_here = paths.covers(path, change.old_path)
    if here and was_here:
        return change
    if here:
        return replace(change, kind=ChangeKind.CREATED, old_path="")
    if was_here:
        node = replace(change.node, path=change.old_path)
        return replace(change, kind=ChangeKind.DELETED, node=node, old_path="")
    return None


def _start(tx: Transaction, path: str, after: int) -> int:
    file_tree.find(tx, path)
    last = tx.last_sequence()
    if not after:
        return last
    if not tx.dropped_changes() <= after <= last:
        raise EventsExpired(
            f"events after {after} are not kept",
            metadata={"oldest_sequence": str(tx.dropped_changes()), "last_sequence": str(last)},
        )
    return after


def _reader(position: int) -> Callable[[Transaction], list[Change]]:
    return lambda tx: tx.changes(after=position, limit=_BATCH)


async def _wait(bell: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return
