"""Versions of files: read, list, compare, roll back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import DataCorrupt
from services.storage.core import diff, file_tree, history, paths
from services.storage.core.content import spans
from services.storage.core.file_tree import Write
from services.storage.core.history import Opened, Target
from services.storage.core.unit_of_work import HeadMoved, UnitOfWork, match_etag
from services.storage.errors import EtagMismatch, FileNotFound, NotComparable, OffsetMismatch
from services.storage.model import Content, Node, RequestContext, Version
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner
from services.storage.service.vacated import visit

SEND_BYTES = 256 * 1024
"""Largest run of bytes handed to a reader at once."""

MAX_COMPARED_BYTES = 1024 * 1024
MAX_DIFF_BYTES = 2 * 1024 * 1024
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two versions differ."""

    old: int
    new: int
    text: str
    added: int
    removed: int
    truncated: bool
    untrusted: bool = False
    """Whether nobody vouches for one of them."""


class ReadingService:
    """The contents and the history of a scope's files."""

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes

    async def open(
        self, scope: Scope, path: str, *, version: int, offset: int, caller: RequestContext | None = None
    ) -> Opened:
        """Find a version of a file to read.

        Raises PathInvalid, FileNotFound, WrongFileKind and OffsetMismatch (beyond the end).
        """
        paths.check_entry(path)
        opened = await self._changes.read(
            scope, lambda tx: history.open_version(tx, path, version), visit=visit(caller, path)
        )
        if offset > opened.version.size:
            raise OffsetMismatch.beyond(opened.version.size, offset)
        return opened

    async def stream(self, scope: Scope, opened: Opened, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield bytes [offset, offset + length) of a version, or to its end when `length` is 0.

        Each piece is verified before a byte of it is sent. Raises DataCorrupt, and FileNotFound when the
        version was purged while it was read.
        """
        wanted = length or opened.version.size
        for piece, start, stop in spans(opened.content.pieces, offset, wanted):
            try:
                data = await self._changes.fetch(scope, piece)
            except DataCorrupt:
                await self._changes.read(scope, lambda tx: _check_kept(tx, opened))
                raise
            for at in range(start, stop, SEND_BYTES):
                part = data[at : min(at + SEND_BYTES, stop)]
                self._changes.meter.read(len(part))
                yield part

    async def versions(
        self, scope: Scope, path: str, *, before: int, limit: int, caller: RequestContext | None = None
    ) -> tuple[Node, list[Version]]:
        """List versions, newest first, with numbers below `before` (0: all).

        Raises PathInvalid, FileNotFound and WrongFileKind.
        """
        paths.check_entry(path)

        def work(tx: Transaction) -> tuple[Node, list[Version]]:
            node = file_tree.find_file(tx, path)
            return node, tx.versions(node.id, before=before, limit=limit)

        return await self._changes.read(scope, work, visit=visit(caller, path))

    async def compare(
        self,
        scope: Scope,
        path: str,
        *,
        old: int,
        new: int,
        context: int,
        caller: RequestContext | None = None,
    ) -> Comparison:
        """Compare two versions line by line; `new` 0 is the newest, `old` 0 the one before `new`.

        Raises PathInvalid, FileNotFound, WrongFileKind, NotComparable and DataCorrupt.
        """
        paths.check_entry(path)

        def work(tx: Transaction) -> tuple[Opened, Opened]:
            node = file_tree.find_file(tx, path)
            later = history.get_version(tx, node, new)
            earlier = history.get_version(tx, node, old) if old else history.before(tx, node, later.number)
            return (
                Opened(node, earlier, history.content_of(tx, earlier)),
                Opened(node, later, history.content_of(tx, later)),
            )

        before, after = await self._changes.read(scope, work, visit=visit(caller, path))
        texts = [await self._text(scope, each) for each in (before, after)]
        names = [f"{path}\tversion {each.version.number}" for each in (before, after)]
        found = await asyncio.to_thread(
            diff.unified, texts[0], texts[1], old_name=names[0], new_name=names[1], context=context
        )
        cut = found.text.encode()[:MAX_DIFF_BYTES].decode(errors="ignore")
        return Comparison(
            old=before.version.number,
            new=after.version.number,
            text=cut,
            added=found.added,
            removed=found.removed,
            truncated=len(cut) < len(found.text),
            untrusted=before.version.untrusted or after.version.untrusted,
        )

    async def roll_back(self, call: RequestContext, path: str, target: Target, *, etag: str) -> Node:
        """Write an old version again as the newest.

        Raises PathInvalid, FileNotFound, WrongFileKind and EtagMismatch.
        """
        paths.check_entry(path)
        for _ in range(_ATTEMPTS):
            try:
                return await self._roll_back_once(call, path, target, etag)
            except HeadMoved:
                continue
        raise EtagMismatch("too many others write to the file", metadata={"path": path})

    async def _roll_back_once(self, call: RequestContext, path: str, target: Target, etag: str) -> Node:
        def find(tx: Transaction) -> Opened | None:
            node = tx.node(path)
            if node is None or not node.is_file:
                return None  # the transaction below says so, unless this is a repeat
            try:
                version = history.resolve(tx, node, target)
            except FileNotFound:
                return None
            return Opened(node, version, history.content_of(tx, version))

        seen = await self._changes.read(call.scope, find)
        text = None
        if seen is not None:
            _, text = await self._changes.scan(call.scope, seen.content.pieces)

        def work(unit: UnitOfWork) -> Node:
            node = file_tree.find_file(unit.tx, path)
            match_etag(node, etag)
            version = history.resolve(unit.tx, node, target)
            if seen is None or version.digest != seen.version.digest:
                raise HeadMoved(path)
            content = Content(version.digest, version.size, ())
            command = Write(path, content, text, comment=version.comment, untrusted=version.untrusted)
            return file_tree.write(unit, command, restored=version.number).node

        arguments = {"path": path, "target": target, "etag": etag}
        return await self._changes.change(call, "RollbackFile", arguments, Node, work, touches=(path,))

    async def _text(self, scope: Scope, opened: Opened) -> str:
        if opened.version.size > MAX_COMPARED_BYTES:
            raise NotComparable(
                f"a version of {opened.version.size} bytes is too large to compare",
                metadata={"size_bytes": str(opened.version.size), "limit": str(MAX_COMPARED_BYTES)},
            )
        data = b"".join([part async for part in self._changes.load(scope, opened.content.pieces)])
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            number = opened.version.number
            raise NotComparable(
                f"version {number} is not UTF-8 text", metadata={"version": str(number)}
            ) from error


def as_read(opened: Opened) -> Node:
    """Describe a file as it was with the version that is being read."""
    version = opened.version
    return replace(
        opened.node,
        version=version.number,
        size=version.size,
        digest=version.digest,
        writer=version.writer,
        updated_at=version.created_at,
        untrusted=opened.node.untrusted or version.untrusted,
    )


def _check_kept(tx: Transaction, opened: Opened) -> None:
    """Raise FileNotFound when the version is gone: its pieces are then missing rightly."""
    if tx.version(opened.node.id, opened.version.number) is None:
        raise FileNotFound.version(opened.node.path, opened.version.number)
