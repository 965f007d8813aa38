"""Keeps one generation for the case that its gateway dies."""

import asyncio

from gateway.inference.core.pacing import SavePace
from gateway.inference.errors import BackendError
from gateway.inference.model import Checkpoint, KvState
from gateway.inference.ports import CheckpointStore
from gateway.inference.service.dependencies import Dependencies
from gateway.inference.service.generation import Generation
from services.chassis.rpc.errors import IdempotencyMismatch, KernelError


class Saving:
    """The checkpoints of one generation, saved in the background."""

    def __init__(self, deps: Dependencies, generation: Generation, store: CheckpointStore) -> None:
        self._deps, self._gen, self._store = deps, generation, store
        config = deps.config
        self._pace = SavePace(config.checkpoint_tokens, config.checkpoint_seconds, config.checkpoint_pause)
        self._under_way: asyncio.Task[None] | None = None

    async def load(self) -> Checkpoint | None:
        """Return what another gateway saved; None: nothing. Raises IdempotencyMismatch."""
        checkpoint = await self._store.load(self._gen.key.call)
        if checkpoint is not None and checkpoint.digest != self._gen.digest:
            raise IdempotencyMismatch("another request was sent under this request_id; use a new one")
        return checkpoint

    def restored(self, tokens: int) -> None:
        """Note with how many tokens the generation was restored: they can be had again."""
        self._pace.saved = tokens

    def begin(self, now: float) -> None:
        """Start a run."""
        self._pace.begin(now)

    def keep_up(self, tokens: int, now: float) -> None:
        """Save where that is due, with so many tokens."""
        if self._pace.due(tokens, now):
            self.save()

    def save(self) -> None:
        """Save, one at a time: the next checkpoint covers what this one misses."""
        if self._under_way is not None and not self._under_way.done():
            return
        self._pace.done(len(self._gen.transcript), self._deps.clock.monotonic())
        self._under_way = self._deps.spawn(self._save(self._gen.checkpoint()))

    async def _save(self, checkpoint: Checkpoint) -> None:
        try:
            await self._store.save(checkpoint)
        except KernelError:
            # The generation itself is fine; only a crash of this gateway would cost more tokens.
            self._deps.metrics.checkpointed("failed")
        else:
            self._deps.metrics.checkpointed("saved")

    def forget(self, kv: KvState | None) -> None:
        """Drop what was kept, if anything was: the crash did not come."""
        if self._pace.saved:
            self._deps.spawn(self._forget(kv))

    async def _forget(self, kv: KvState | None) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way})
        try:
            await self._store.delete(self._gen.key.call)
            if kv is not None and (backend := self._deps.pool.backend(kv.replica)) is not None:
                await backend.forget(kv)
        except (KernelError, BackendError):
            self._deps.metrics.checkpointed("not_deleted")  # its keeper drops it when it is old
