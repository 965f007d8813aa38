"""What changes below a directory, as it happens."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from dataclasses import replace
from functools import partial

from services.chassis.auth.identity import Scope
from services.chassis.shared_looks import Follower, SharedPoll, SharedReads
from services.storage.core import file_tree, paths
from services.storage.errors import EventsExpired
from services.storage.model import Change, ChangeKind, RequestContext
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner
from services.storage.service.vacated import Visit, file_name, visit

_BATCH = 200


class WatchService:
    """Streams of events of a scope."""

    def __init__(self, changes: ChangeRunner, *, poll_seconds: float, heartbeat_seconds: float) -> None:
        self._changes = changes
        self._poll = SharedPoll(changes.notifier, self._sequences, _differing, poll_seconds)
        self._reads = SharedReads(changes.notifier)
        self._heartbeat = heartbeat_seconds

    async def watch(
        self, scope: Scope, path: str, after: int, *, caller: RequestContext | None = None
    ) -> AsyncGenerator[Change | int, None]:
        """Yield events below a path after a sequence number (0: from now on), until the caller leaves.

        A bare number is a sign of life: the sequence reached. The first one comes at once.
        Raises PathInvalid, FileNotFound and EventsExpired; PermissionDenied when another agent watches a name
        that is no longer what was shared with it.
        """
        paths.check(path)
        seen = visit(caller, path)
        position = await self._changes.read(scope, lambda tx: _start(tx, path, after), visit=seen)
        self._changes.meter.watchers(1)
        try:
            yield position
            with self._poll.follow(scope) as changed:
                async for item in self._follow(scope, path, position, changed, seen):
                    yield item
        finally:
            self._changes.meter.watchers(-1)

    async def _follow(
        self, scope: Scope, path: str, position: int, changed: Follower, seen: Visit | None
    ) -> AsyncIterator[Change | int]:
        silent_since = self._changes.clock.monotonic()
        foreign = seen is not None and seen.call.agent != scope.agent
        lost = False
        while True:
            changed.reset()
            batch = await self._next(scope, position, seen if foreign else None)
            if batch and lost:  # a new file may have the name by now
                await self._changes.access.require("storage.read", file_name(scope, path))
            for change in batch:
                position = change.sequence
                lost = lost or (foreign and _vacates(path, change))
                shown = as_seen_from(path, change)
                if shown is not None:
                    yield shown
                    silent_since = self._changes.clock.monotonic()
            if batch:
                continue
            while not await changed.wait(self._heartbeat - (self._changes.clock.monotonic() - silent_since)):
                yield position
                silent_since = self._changes.clock.monotonic()

    async def _next(self, scope: Scope, position: int, seen: Visit | None) -> list[Change]:
        """Return the next events. The owner's watches that stand at the same place read them once."""
        if seen is not None:
            return await self._changes.read(scope, _reader(position), visit=seen)
        read = partial(self._changes.read, scope, _reader(position))
        return await self._reads.read((scope, position), read)

    async def _sequences(self) -> dict[Scope, int]:
        watched = [topic for topic in self._changes.notifier.topics if isinstance(topic, Scope)]
        return await self._changes.index.last_sequences(watched)


def _differing(before: dict[Scope, int], after: dict[Scope, int]) -> set[Hashable]:
    """Return the scopes whose watches must look; one that is new here may have changed meanwhile."""
    return {scope for scope, last in after.items() if before.get(scope) != last}


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


def _vacates(path: str, change: Change) -> bool:
    """Tell whether an event takes the node away that had the name `path`."""
    if change.kind is ChangeKind.MOVED:
        return change.old_path == path
    return change.kind is ChangeKind.DELETED and change.node.path == path


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
