"""What all use cases share: a change exactly once, contents put and fetched, watchers woken."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.notifier import ChangeNotifier
from services.chassis.rpc.errors import DataCorrupt, KernelError, QuotaExceeded, ServiceUnavailable
from services.chassis.runtime.clock import Clock
from services.storage.core.content import Scanner, cut, is_inline, sha256
from services.storage.core.file_tree import Text
from services.storage.core.requests import fingerprint
from services.storage.core.search import index_text
from services.storage.core.texts import INDEXED_CHARACTERS
from services.storage.core.unit_of_work import BlobVanished, ChangeContext, UnitOfWork
from services.storage.model import Content, Piece, RequestContext, StorageLimits
from services.storage.ports import Access, BlobStore, FileIndex, Meter, Transaction
from services.storage.service.vacated import VacatedNames, Visit

T = TypeVar("T")

_ATTEMPTS = 5

BlobUpload = Callable[[], Awaitable[list[str]]]
"""Puts blobs and returns their digests. May be called again when blobs vanished."""


@dataclass(frozen=True, slots=True)
class PreparedContent:
    """Bytes ready to become a version."""

    content: Content
    """Its pieces carry their data only where the index keeps it."""
    text: Text | None
    blobs: tuple[Piece, ...] = ()
    """The pieces that must be blobs, with their data."""
    data: bytes = field(default=b"", repr=False)
    """The bytes themselves."""


class ChangeRunner:
    """The ports and the rules for using them. One per process."""

    def __init__(
        self,
        *,
        index: FileIndex,
        blobs: BlobStore,
        access: Access,
        clock: Clock,
        meter: Meter,
        limits: StorageLimits,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self.index = index
        self.blobs = blobs
        self.access = access
        self.clock = clock
        self.meter = meter
        self.limits = limits
        self.notifier = ChangeNotifier()
        """Its topics are scopes."""
        self.vacated = VacatedNames(index, access, clock)
        self._new_id = new_id

    async def change(
        self,
        call: RequestContext,
        method: str,
        arguments: Mapping[str, object],
        kind: type[T],
        work: Callable[[UnitOfWork], T],
        *,
        blob_upload: BlobUpload | None = None,
        touches: tuple[str, ...] = (),
    ) -> T:
        """Change a scope once per request id and return what `work` returned the first time.

        `arguments` is what makes a request the same request; `kind` is the type `work` returns, for storing
        it. `blob_upload` puts the blobs that `work` refers to; if the change is refused, those nobody needs
        are removed. `touches` are the paths that another agent than the owner reaches by a grant. Raises what
        `work` raises, QuotaExceeded, IdempotencyMismatch and PermissionDenied; see `VacatedNames.admit`.
        """
        digest = fingerprint(method, {"scope": call.scope.agent, **arguments})
        actor = RequestIdentity(call.agent, method, call.request_id, digest, tree=call.tree)

        def run(tx: Transaction) -> tuple[T, UnitOfWork | None]:
            reply = tx.recall(actor) if actor.request_id else None
            if reply is not None:
                return codec.decode(kind, reply), None
            unit = UnitOfWork(tx, self._context(call))
            result = work(unit)
            if actor.request_id:
                tx.remember(actor, codec.encode(result))
                unit.charge(actor.charged(call.scope.tenant), **{REPLIES: 1})
            unit.finalize()
            return result, unit

        try:
            result, unit = await self.vacated.admit(
                Visit(call, touches), run, lambda admitted: self._commit(call.scope, admitted, blob_upload)
            )
        except QuotaExceeded as error:
            self.meter.refused(error.metadata["quota"])
            raise
        if unit is None:
            self.meter.repeated()
        else:
            self.meter.written(unit.written)
            self.notifier.notify(call.scope)
        await self.vacated.after_change(call, vacated=unit is not None and unit.vacated)
        return result

    async def read(self, scope: Scope, work: Callable[[Transaction], T], *, visit: Visit | None = None) -> T:
        """Run `work` on a consistent view of a scope.

        `visit` tells which paths a call reads. Raises what `work` raises and PermissionDenied; see
        `VacatedNames.admit`.
        """
        if visit is None:
            return await self.index.read(scope, work)
        return await self.vacated.admit(visit, work, lambda admitted: self.index.read(scope, admitted))

    async def collect(self, scope: Scope, digests: Iterable[str]) -> int:
        """Remove the blobs out of `digests` that nothing refers to; return how many.

        The removal happens inside the transaction: a writer that is about to refer to such a blob looks for
        it in its own transaction, and puts it again when it is gone.
        """
        wanted = set(digests)

        def remove(tx: Transaction) -> int:
            unused = wanted - tx.referenced(wanted)
            for digest in unused:
                tx.blocking(partial(self.blobs.remove, scope, digest))
            return len(unused)

        return await self.index.write(scope, remove) if wanted else 0

    def blob_upload(self, scope: Scope, blobs: Sequence[Piece]) -> BlobUpload | None:
        """Return what puts pieces with data as blobs; None when there is none."""
        if not blobs:
            return None

        async def put() -> list[str]:
            await asyncio.to_thread(self._put, scope, blobs)
            return [piece.digest for piece in blobs]

        return put

    def transfer(self, origin: Scope, target: Scope, pieces: Sequence[Piece]) -> BlobUpload | None:
        """Return what copies blobs from one scope to another, one at a time; None when there is none."""
        if not pieces:
            return None

        async def put() -> list[str]:
            for piece in pieces:
                data = await self.fetch(origin, piece)
                await asyncio.to_thread(self.blobs.put, target, piece.digest, data)
            return [piece.digest for piece in pieces]

        return put

    async def prepare(self, data: bytes) -> PreparedContent:
        """Cut bytes into pieces, name them and work out what search needs."""
        return await asyncio.to_thread(_prepare, data)

    async def scan(
        self, scope: Scope, pieces: Sequence[Piece], more: bytes = b""
    ) -> tuple[Scanner, Text | None]:
        """Read pieces through once, then `more`: what they are called together, and their text.

        Raises DataCorrupt.
        """
        scanner = Scanner(INDEXED_CHARACTERS)
        async for data in self.load(scope, pieces):
            await asyncio.to_thread(scanner.feed, data)
        scanner.feed(more)
        text = scanner.text()
        return scanner, await asyncio.to_thread(index_text, text) if text else None

    async def load(self, scope: Scope, pieces: Sequence[Piece]) -> AsyncIterator[bytes]:
        """Fetch the data of pieces in order, each verified.

        Raises DataCorrupt.
        """
        for piece in pieces:
            yield await self.fetch(scope, piece)

    async def fetch(self, scope: Scope, piece: Piece) -> bytes:
        """Return the verified data of a piece.

        Raises DataCorrupt.
        """
        try:
            return await asyncio.to_thread(self._fetch, scope, piece)
        except DataCorrupt:
            self.meter.corrupt()
            raise

    def _fetch(self, scope: Scope, piece: Piece) -> bytes:
        if piece.data is None:
            return self.blobs.get(scope, piece.digest)
        if sha256(piece.data) != piece.digest:
            raise DataCorrupt(
                "an indexed piece does not match its checksum", metadata={"sha256": piece.digest}
            )
        return piece.data

    async def _commit(
        self, scope: Scope, run: Callable[[Transaction], T], blob_upload: BlobUpload | None
    ) -> T:
        uploaded: list[str] = []
        try:
            for _ in range(_ATTEMPTS):
                uploaded = await blob_upload() if blob_upload else []
                try:
                    return await self.index.write(scope, run)
                except BlobVanished:
                    continue
        except KernelError:
            await self.collect(scope, uploaded)
            raise
        raise ServiceUnavailable("the blobs of this write keep vanishing", retry_after=1.0)

    def _put(self, scope: Scope, blobs: Sequence[Piece]) -> None:
        for piece in blobs:
            self.blobs.put(scope, piece.digest, piece.data or b"")

    def _context(self, call: RequestContext) -> ChangeContext:
        return ChangeContext(
            now=self.clock.now(),
            writer=call.agent,
            limits=self.limits,
            new_id=self._new_id,
            has_blob=lambda digest: self.blobs.has(call.scope, digest),
            untrusted=call.untrusted,
        )


def settle_pieces(content: Content) -> tuple[Content, tuple[Piece, ...]]:
    """Split a content whose pieces carry data: what the index keeps, and the pieces that must be blobs."""
    blobs = tuple(piece for piece in content.pieces if piece.data is not None and not is_inline(piece.size))
    large = {piece.digest for piece in blobs}
    pieces = tuple(replace(piece, data=None) if piece.digest in large else piece for piece in content.pieces)
    return replace(content, pieces=pieces), blobs


def _prepare(data: bytes) -> PreparedContent:
    scanner = Scanner(INDEXED_CHARACTERS)
    scanner.feed(data)
    text = scanner.text()
    content, blobs = settle_pieces(cut(data))
    return PreparedContent(content, index_text(text) if text else None, blobs, data)
