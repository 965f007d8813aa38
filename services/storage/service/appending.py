"""Adding to the end of a file: read the newest version, extend it, write it if nobody else did meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from services.storage.core import file_tree
from services.storage.core.content import extended
from services.storage.core.file_tree import Write, Written
from services.storage.core.history import Opened, open_version
from services.storage.core.unit_of_work import HeadMoved, UnitOfWork
from services.storage.errors import EtagMismatch
from services.storage.model import RequestContext
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner, PreparedContent, settle_pieces

_ATTEMPTS = 8
_LANES = 64


class Appender:
    """Appends in the order of arrival within this process; against other processes it tries again."""

    def __init__(self, engine: ChangeRunner) -> None:
        self._engine = engine
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
        head = await self._engine.read(call.scope, lambda tx: _head(tx, command.path))
        supply = self._engine.supply(call.scope, added.blobs)
        if head is not None:
            last = (
                await self._engine.fetch(call.scope, head.content.pieces[-1]) if head.content.pieces else b""
            )
            scanner, text = await self._engine.scan(call.scope, head.content.pieces, added.data)
            whole = extended(head.content, last, added.data, scanner.digest)
            content, blobs = settle_pieces(whole)
            command = replace(command, content=content, text=text)
            supply = self._engine.supply(call.scope, blobs)

        def work(session: UnitOfWork) -> Written:
            node = session.tx.node(command.path)
            current = node.etag if node and node.is_file else ""
            if current != (head.node.etag if head else ""):
                raise HeadMoved(command.path)
            return file_tree.write(session, command)

        return await self._engine.change(call, "WriteFile", arguments, Written, work, supply=supply)


def _head(tx: Transaction, path: str) -> Opened | None:
    node = tx.node(path)
    return open_version(tx, path) if node is not None and node.is_file else None
