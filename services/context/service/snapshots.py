"""Use cases on snapshots of generations."""

from datetime import datetime

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import DataCorrupt, InvalidRequest
from services.context.core import snapshots as rules
from services.context.core.snapshots import Saved, SnapshotLimits
from services.context.errors import SnapshotConflict
from services.context.model import Head, Nothing, Save, Snapshot
from services.context.ports import Transaction
from services.context.service.dependencies import Dependencies

_COLLECT_BATCH = 500


class Snapshots:
    """Saves, loads, claims and forgets snapshots."""

    def __init__(self, deps: Dependencies, limits: SnapshotLimits) -> None:
        self._deps = deps
        self._limits = limits

    async def save(self, scope: Scope, request: Save) -> Saved:
        """Save a generation, whole or what came since the last save; see `core/snapshots`."""
        if request.sequence < request.after:
            raise InvalidRequest.field("snapshot.sequence", "must not be less than after_sequence")
        try:
            saved = await self._deps.write(
                scope, lambda tx: rules.save(tx, request, self._deps.clock.now(), self._limits)
            )
        except SnapshotConflict:
            self._deps.meter.fenced()
            raise
        if saved.stored:
            self._deps.meter.saved(
                whole=request.whole, size=len(request.base) + len(request.state) + len(request.emitted.text)
            )
        return saved

    async def load(self, scope: Scope, generation: str) -> Snapshot:
        """Return a snapshot. Raises SnapshotNotFound and DataCorrupt."""
        try:
            return await self._deps.store.read(
                scope, lambda tx: rules.load(tx, generation, self._deps.clock.now())
            )
        except DataCorrupt:
            self._deps.meter.corrupt()
            raise

    async def claim(self, scope: Scope, generation: str, owner: str, expected_epoch: int) -> Snapshot:
        """Make `owner` the only owner of a generation and return the snapshot.

        Raises SnapshotNotFound, SnapshotConflict and DataCorrupt.
        """

        def work(tx: Transaction) -> tuple[Snapshot, bool]:
            now = self._deps.clock.now()
            changed = rules.claim(tx, generation, owner, expected_epoch, now)
            return rules.load(tx, generation, now), changed

        try:
            snapshot, changed = await self._deps.store.write(scope, work)
        except DataCorrupt:
            self._deps.meter.corrupt()
            raise
        if changed:
            self._deps.meter.claimed()
        return snapshot

    async def page(
        self, scope: Scope, *, before: tuple[datetime, str] | None, unfinished: bool, limit: int
    ) -> list[tuple[Head, bytes]]:
        """List heads with their states, last saved first."""

        def work(tx: Transaction) -> list[tuple[Head, bytes]]:
            heads = tx.heads(before=before, unfinished=unfinished, now=self._deps.clock.now(), limit=limit)
            states = tx.states([head.generation for head in heads])
            return [(head, rules.state_of(head, states)) for head in heads]

        return await self._deps.store.read(scope, work)

    async def delete(self, scope: Scope, actor: RequestIdentity, generation: str, epoch: int) -> None:
        """Delete a snapshot; deleting one that is gone changes nothing. Raises SnapshotConflict."""

        def work(tx: Transaction) -> Nothing:
            rules.delete(tx, generation, epoch, self._deps.clock.now(), self._limits.finished_life)
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)

    async def collect(self) -> None:
        """Forget all expired snapshots. Run it from time to time."""
        while count := await self._deps.store.collect(limit=_COLLECT_BATCH):
            self._deps.meter.collected(count)
