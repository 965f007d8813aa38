"""Use cases on notes: writes go through to the store before they are acknowledged, reads come from RAM."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps
from services.chassis.quotas import Usage as QuotaUsage
from services.chassis.rpc.errors import DataCorrupt, KernelError, QuotaExceeded
from services.chassis.runtime.clock import Clock
from services.memory.core import notes as rules
from services.memory.core.notes import ChangeContext, Effect, Written
from services.memory.errors import NoteNotFound
from services.memory.model import (
    Entry,
    Fields,
    Filter,
    Link,
    Listed,
    Mode,
    Note,
    Nothing,
    Order,
    Totals,
    Usage,
)
from services.memory.ports import Meter, NoteStore, Position, Transaction
from services.memory.service.agent_caches import AgentCache, AgentCaches

T = TypeVar("T")

_LONG: Final = 2_000
"""Characters of a text that is described in a thread."""
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Held:
    """A note and whether it is in RAM."""

    note: Note
    resident: bool


class Notes:
    """Writes, reads, lists, links and expires notes."""

    def __init__(
        self, *, store: NoteStore, clock: Clock, meter: Meter, caches: AgentCaches, caps: Caps
    ) -> None:
        self._store = store
        self._clock = clock
        self._meter = meter
        self._caches = caches
        self._caps = caps

    async def put(
        self, scope: Scope, actor: RequestIdentity, key: str, fields: Fields, *, mode: Mode, etag: str
    ) -> Written:
        """Write a whole note.

        Raises AlreadyExists, NoteNotFound, EtagMismatch, QuotaExceeded and IdempotencyMismatch.
        """
        entry = await _describe(fields)

        def work(tx: Transaction) -> Effect[Written]:
            return rules.put(tx, key, fields, entry, mode=mode, etag=etag, around=self._context(actor))

        return await self._change(scope, actor, Written, work)

    async def update(
        self, scope: Scope, actor: RequestIdentity, key: str, changes: Mapping[str, Any], *, etag: str
    ) -> Written:
        """Change named fields of a note.

        Raises NoteNotFound, EtagMismatch, QuotaExceeded and IdempotencyMismatch.
        """

        def work(tx: Transaction) -> Effect[Written]:
            return rules.update(tx, key, changes, etag=etag, around=self._context(actor))

        return await self._change(scope, actor, Written, work)

    async def link(
        self,
        scope: Scope,
        actor: RequestIdentity,
        key: str,
        *,
        add: Sequence[Link],
        remove: Sequence[str],
        both_ways: bool,
        etag: str,
    ) -> Written:
        """Add and remove links.

        Raises NoteNotFound, EtagMismatch, QuotaExceeded and IdempotencyMismatch.
        """

        def work(tx: Transaction) -> Effect[Written]:
            around = self._context(actor)
            return rules.link(tx, key, add, remove, both_ways=both_ways, etag=etag, around=around)

        return await self._change(scope, actor, Written, work)

    async def delete(
        self, scope: Scope, actor: RequestIdentity, key: str, *, etag: str, allow_missing: bool
    ) -> None:
        """Delete a note and the links that lead to it.

        Raises NoteNotFound, EtagMismatch and IdempotencyMismatch.
        """

        def work(tx: Transaction) -> Effect[Nothing]:
            around = self._context(actor)
            return rules.delete(tx, key, etag=etag, allow_missing=allow_missing, around=around)

        await self._change(scope, actor, Nothing, work)

    async def get(self, scope: Scope, key: str) -> Note:
        """Return a note and count a use of it; one that left RAM comes back.

        Raises NoteNotFound and DataCorrupt.
        """
        agent = self._caches.of(scope)
        note = await self._resident(scope, agent, key)
        self._meter.read(resident=note is not None)
        if note is None:
            note = await self._load(scope, agent, key)
        if note.expired(self._clock.now()):
            raise NoteNotFound.of(key)
        now = self._clock.now()
        used = replace(note, accessed_at=now)
        if agent.notes.peek(key) is note:  # RAM may have a newer one by now
            agent.notes.replace(used)
        agent.used[key] = now
        return used

    async def page(
        self, scope: Scope, wanted: Filter, order: Order, *, after: Position | None, limit: int, room: int
    ) -> tuple[list[Held], Listed | None]:
        """List up to `limit` notes and `room` bytes, at least one note; and the last if more follow."""

        def work(tx: Transaction) -> tuple[list[Note], Listed | None]:
            now = self._clock.now()
            found = tx.listed(wanted, order, after=after, now=now, limit=limit + 1)
            shown = _within(found[:limit], room)
            notes = tx.notes([item.key for item in shown])
            last = shown[-1] if len(shown) < len(found) else None
            return [notes[item.key] for item in shown], last

        found, last = await self._store.read(scope, work)
        agent = self._caches.of(scope)
        return [
            Held(
                replace(note, accessed_at=agent.used.get(note.key, note.accessed_at)), note.key in agent.notes
            )
            for note in found
        ], last

    async def usage(self, scope: Scope) -> Usage:
        """Return how much memory an agent uses and may use."""
        totals = await self._store.read(scope, lambda tx: tx.totals())
        agent = self._caches.of(scope)
        return Usage(
            totals=totals,
            resident=Totals(len(agent.notes), agent.notes.size),
            quota_bytes=self._caps["note_bytes"].agent,
            high_water_bytes=self._caches.marks.high,
            evicted=agent.notes.evicted,
            restored=agent.notes.restored,
            mean_residence=agent.notes.mean_residence(self._clock.monotonic()),
        )

    async def quotas(self, scope: Scope) -> list[QuotaUsage]:
        """Return how much an agent, its tree and its tenant use of each quota."""
        return await self._store.read(scope, lambda tx: tx.used(self._caps))

    async def sweep(self) -> None:
        """Delete expired notes, write down when notes were read, forget old answers.

        Run it from time to time.
        """
        for scope in await self._store.expiring(limit=_AT_ONCE):
            while await self._expire(scope) == _AT_ONCE:
                pass
        for scope, times in self._caches.take_used():
            await self._store.write(scope, lambda tx, times=times: tx.touch(times))  # type: ignore[misc]
        await self._store.collect()

    async def _resident(self, scope: Scope, agent: AgentCache, key: str) -> Note | None:
        """Return a note from RAM; if another process may write too, only when the store has that version."""
        note = agent.notes.use(key, self._clock.monotonic())
        if note is None or self._store.exclusive:
            return note
        current = await self._store.read(scope, lambda tx: tx.etag(key))
        return note if current == note.etag else None

    async def _load(self, scope: Scope, agent: AgentCache, key: str) -> Note:
        version = agent.version
        try:
            note = await self._store.read(scope, lambda tx: rules.find(tx, key, self._clock.now()))
        except DataCorrupt:
            self._meter.corrupt()
            raise
        if agent.version == version and self._caches.of(scope) is agent:
            self._caches.keep(agent, note, self._clock.monotonic())
            agent.notes.restored += 1
            self._meter.restored()
        return note

    async def _change(
        self, scope: Scope, actor: RequestIdentity, kind: type[T], work: Callable[[Transaction], Effect[T]]
    ) -> T:
        """Make a change durable, then known in RAM; a repeat of the request gets the first answer.

        A change that the quota refuses is tried again once the notes that have expired are gone.
        """

        def run(tx: Transaction) -> Effect[T]:
            known = tx.recall(actor)
            if known is not None:
                return Effect(codec.decode(kind, known))
            effect = work(tx)
            if actor.request_id:
                tx.remember(actor, codec.encode(effect.answer))
            return effect

        try:
            return await self._apply(scope, run)
        except QuotaExceeded:
            if await self._expire(scope):
                return await self._apply(scope, run)
            self._meter.refused()
            raise

    async def _expire(self, scope: Scope) -> int:
        def work(tx: Transaction) -> Effect[int]:
            return rules.expire(tx, self._clock.now(), limit=_AT_ONCE)

        count = await self._apply(scope, work)
        self._meter.expired(count)
        return count

    async def _apply(self, scope: Scope, work: Callable[[Transaction], Effect[T]]) -> T:
        def settled(tx: Transaction) -> Effect[T]:
            effect = work(tx)
            tx.settle(self._caps)
            return effect

        async def change(agent: AgentCache) -> T:
            self._caches.changed(agent)
            try:
                effect = await self._store.write(scope, settled)
            except KernelError as error:
                if error.retry_after is not None:  # the store may have committed all the same
                    agent.notes.clear()
                    self._caches.settle(agent)
                raise
            self._caches.changed(agent)
            for key in effect.dropped:
                agent.notes.drop(key)
                agent.used.pop(key, None)
            for note in effect.changed:
                self._caches.keep(agent, note, self._clock.monotonic())
                self._meter.written(note.size)
            self._caches.settle(agent)
            return effect.answer

        return await self._caches.exclusive(scope, change)

    def _context(self, actor: RequestIdentity) -> ChangeContext:
        return ChangeContext(
            self._clock.now(), actor.agent, lambda: secrets.token_hex(6), untrusted=actor.untrusted
        )


async def _describe(fields: Fields) -> Entry:
    if len(fields.content) < _LONG:
        return rules.describe(fields)
    return await asyncio.to_thread(rules.describe, fields)


def _within(found: Sequence[Listed], room: int) -> list[Listed]:
    """Return the first notes that fit into `room` bytes, at least one."""
    shown: list[Listed] = []
    for item in found:
        room -= item.size
        if room < 0 and shown:
            break
        shown.append(item)
    return shown
