"""Adding to the end of a file: extend its newest version if nobody else writes meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import DataCorrupt
from services.storage.core import appending, file_tree
from services.storage.core.appending import HEAD_BYTES, Base, Head
from services.storage.core.content import is_inline, spans
from services.storage.core.file_tree import Text, Write, Written
from services.storage.core.search import index_text
from services.storage.core.texts import INDEXED_CHARACTERS
from services.storage.core.unit_of_work import HeadMoved, UnitOfWork
from services.storage.errors import EtagMismatch
from services.storage.model import Content, Link, Piece, RequestContext
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner, PreparedContent
from services.storage.service.vacated import Visit

_ATTEMPTS = 8
_LANES = 64


class Appender:
    """Appends in the order of arrival within this process; against other processes it tries again.

    What an append reads and writes depends on what it adds, not on how long the file is: it reads at most the
    small pieces at the end, and the indexed beginning while that grows.
    """

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes
        self._lanes = [asyncio.Lock() for _ in range(_LANES)]

    async def append(
        self, call: RequestContext, arguments: Mapping[str, object], command: Write, added: PreparedContent
    ) -> Written:
        """Add bytes to the end of the file that `command` names, which may be new.

        Raises what `tree.write` raises; EtagMismatch also when other processes write all the time.
        """
        async with self._lanes[hash((call.scope, command.path)) % _LANES]:
            for _ in range(_ATTEMPTS):
                try:
                    return await self._once(call, arguments, command, added)
                except HeadMoved:
                    continue
        raise EtagMismatch("too many others write to the file", metadata={"path": command.path})

    async def _once(
        self, call: RequestContext, arguments: Mapping[str, object], command: Write, added: PreparedContent
    ) -> Written:
        visit = Visit(call, (command.path,))
        head = await self._changes.read(call.scope, lambda tx: _head(tx, command.path), visit=visit)
        try:
            command, blobs = await self._ready(call.scope, head, command, added)
        except DataCorrupt:
            # The pieces of a version that was pruned meanwhile are missing rightly.
            now = await self._changes.read(call.scope, lambda tx: _head(tx, command.path), visit=visit)
            if _etag(now) != _etag(head):
                raise HeadMoved(command.path) from None
            raise

        def work(unit: UnitOfWork) -> Written:
            node = unit.tx.node(command.path)
            current = node.etag if node and node.is_file else ""
            if current != _etag(head):
                raise HeadMoved(command.path)
            return file_tree.write(unit, command)

        blob_upload = self._changes.blob_upload(call.scope, blobs)
        return await self._changes.change(
            call, "WriteFile", arguments, Written, work, blob_upload=blob_upload, touches=(command.path,)
        )

    async def _ready(
        self, scope: Scope, head: Head | None, command: Write, added: PreparedContent
    ) -> tuple[Write, tuple[Piece, ...]]:
        """Complete the write, and return it with the pieces that must be blobs."""
        if head is None or head.node.size == 0:
            return command, added.blobs
        command = replace(command, untrusted=head.node.untrusted)
        if not added.data:
            content = Content(head.node.digest, head.node.size, ())
            return replace(command, content=content, keep_text=True), ()
        if appending.stays_small(head.node.size, len(added.data)):
            old = await self._beginning(scope, head, head.node.size)
            whole = await self._changes.prepare(old + added.data)
            return replace(command, content=whole.content, text=whole.text), whole.blobs
        return await self._linked(scope, head, command, added.data)

    async def _linked(
        self, scope: Scope, head: Head, command: Write, added: bytes
    ) -> tuple[Write, tuple[Piece, ...]]:
        more, pending = appending.decode_more(head.pending, added)
        base, data = await self._joined(scope, head, added)
        links = await asyncio.to_thread(appending.extend, base, data, pending)
        blobs = tuple(link.piece for link in links if not is_inline(link.piece.size))
        kept = tuple(link if is_inline(link.piece.size) else _without_data(link) for link in links)
        command = replace(
            command, content=Content(links[-1].digest, links[-1].size, ()), links=kept, text=None
        )
        if pending == b"" and head.text is not None and len(head.text) >= INDEXED_CHARACTERS:
            return replace(command, keep_text=True), blobs
        if pending == b"":
            text = head.text + more if head.text is not None else await self._indexed(scope, head, added)
            command = replace(command, text=await _describe(text))
        return command, blobs

    async def _joined(self, scope: Scope, head: Head, added: bytes) -> tuple[Base, bytes]:
        """Take the small pieces at the end in: return what stays as it is, and the bytes that follow it."""
        base, parts, size = Base(head.node.digest, head.node.size), [added], len(added)
        link = head.link
        while link is not None and appending.joins(link.piece.size, size):
            parts.append(await self._changes.fetch(scope, link.piece))
            size += link.piece.size
            base = Base(link.base, base.size - link.piece.size)
            link = await self._changes.read(scope, partial(_link, digest=base.digest))
        return base, b"".join(reversed(parts))

    async def _indexed(self, scope: Scope, head: Head, added: bytes) -> str:
        """Return the beginning of a text that has become one again, a character being whole now."""
        data = await self._beginning(scope, head, HEAD_BYTES) + added
        return data[:HEAD_BYTES].decode(errors="ignore")

    async def _beginning(self, scope: Scope, head: Head, length: int) -> bytes:
        pieces = await self._changes.read(scope, lambda tx: tx.pieces(head.node.digest))
        parts = [
            (await self._changes.fetch(scope, piece))[start:stop]
            for piece, start, stop in spans(pieces or (), 0, length)
        ]
        return b"".join(parts)


def _head(tx: Transaction, path: str) -> Head | None:
    node = tx.node(path)
    if node is None or not node.is_file:
        return None
    document = tx.document(node.id)
    return Head(node, tx.link(node.digest), document.text if document else None)


def _link(tx: Transaction, *, digest: str) -> Link | None:
    return tx.link(digest)


def _etag(head: Head | None) -> str:
    return head.node.etag if head else ""


def _without_data(link: Link) -> Link:
    return replace(link, piece=replace(link.piece, data=None))


async def _describe(text: str) -> Text | None:
    return await asyncio.to_thread(index_text, text) if text else None
