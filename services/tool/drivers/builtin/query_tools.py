"""Built-in tools that search in the calling agent's files and query them, in worker processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.tool.core.files import FileStat
from services.tool.drivers.builtin.answers import Answer, Function
from services.tool.drivers.builtin.file_tools import matching
from services.tool.drivers.builtin.limits import (
    MAX_CSV_BYTES,
    MAX_JSON_BYTES,
    MAX_SCANNED_BYTES,
    MAX_SEARCHED_BYTES,
    MAX_SEARCHED_FILES,
    MIB,
)
from services.tool.drivers.builtin.workers import Workers
from services.tool.errors import ToolFailed
from services.tool.ports import Files, Job

_FOUND: Final = 100
_BATCH_BYTES: Final = 4 * MIB
_PROBED: Final = 8 * 1024


@dataclass(slots=True)
class _Found:
    """What a search has found so far."""

    limit: int
    lines: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    """Files that were not searched, or not to their end."""
    more: bool = False
    untrusted: bool = False

    @property
    def left(self) -> int:
        """How many lines are still wanted."""
        return self.limit - len(self.lines)


class QueryTools:
    """Functions that ask files something, by their names."""

    def __init__(self, files: Files, workers: Workers) -> None:
        self._files = files
        self._workers = workers
        self.functions: Mapping[str, Function] = {
            "grep": self._grep,
            "json_query": self._json_query,
            "csv_query": self._csv_query,
        }

    async def _grep(self, job: Job) -> Answer:
        asked = job.arguments
        listed = await matching(
            self._files, asked.get("directory", ""), asked.get("files", "**"), MAX_SEARCHED_FILES
        )
        found = _Found(int(asked.get("limit", _FOUND)), more=listed.more, untrusted=listed.untrusted)
        # An empty search first: a pattern that is none is told of whatever there is to search.
        batch: list[tuple[str, bytes]] = []
        room, scanned = _BATCH_BYTES, 0
        for file in listed.files:
            if scanned + min(file.size, MAX_SEARCHED_BYTES) > MAX_SCANNED_BYTES:
                found.more = True
                break
            data = await self._text(file, found)
            scanned, room = scanned + len(data), room - len(data)
            batch.append((file.path, data))
            if room <= 0:
                if not await self._search(job, batch, found):
                    break
                batch, room = [], _BATCH_BYTES
        else:
            await self._search(job, batch, found)
        more: dict[str, Any] = {"truncated": found.more}
        if found.passed:
            more["not_searched"] = found.passed[:_FOUND]
        return Answer("\n".join(found.lines) or "nothing found", more, found.untrusted)

    async def _text(self, file: FileStat, found: _Found) -> bytes:
        """Return what is searched of a file: nothing of one that is no text."""
        read = await self._files.read(file.path, limit=MAX_SEARCHED_BYTES)
        found.untrusted = found.untrusted or read.stat.untrusted
        binary = b"\0" in read.data[:_PROBED]
        if binary or read.truncated:
            found.passed.append(file.path)
        return b"" if binary else read.data

    async def _search(self, job: Job, batch: list[tuple[str, bytes]], found: _Found) -> bool:
        """Search some texts; tell whether to go on."""
        asked = {
            "kind": "grep",
            "pattern": job.arguments["pattern"],
            "ignore_case": job.arguments.get("ignore_case", False),
            "limit": found.left,
        }
        hits = await self._workers.read(job.scope, asked, [data for _, data in batch])
        for at, line, text in hits:
            if not line:
                found.more = True
                return False
            found.lines.append(f"{batch[at][0]}:{line}: {text}")
        return True

    async def _json_query(self, job: Job) -> Answer:
        path = job.arguments["path"]
        read = await self._files.read(path, limit=MAX_JSON_BYTES)
        if read.truncated:
            raise ToolFailed(f"{path} is longer than {MAX_JSON_BYTES} bytes")
        asked = {"kind": "json", "query": job.arguments["query"]}
        result = await self._workers.read(job.scope, asked, [read.data])
        return Answer(result, untrusted=read.stat.untrusted)

    async def _csv_query(self, job: Job) -> Answer:
        tables: Mapping[str, str] = job.arguments["tables"]
        _check_tables(tables)
        parts: list[bytes] = []
        left, untrusted = MAX_CSV_BYTES, False
        for path in tables.values():
            read = await self._files.read(path, limit=left)
            if read.truncated:
                raise ToolFailed(f"the files are longer than {MAX_CSV_BYTES} bytes together")
            parts.append(read.data)
            left, untrusted = left - len(read.data), untrusted or read.stat.untrusted
        asked = {
            "tables": list(tables),
            "sql": job.arguments["sql"],
            "delimiter": job.arguments.get("delimiter", ","),
            "limit": int(job.arguments.get("limit", _FOUND)),
        }
        answer = await self._workers.query(job.scope, asked, parts)
        more = {"columns": answer["columns"], "truncated": answer["truncated"]}
        return Answer(answer["rows"], more, untrusted)


def _check_tables(tables: Mapping[str, str]) -> None:
    if len({name.lower() for name in tables}) != len(tables):
        raise ToolFailed("two tables have one name: case makes no difference in SQL")
    for name in tables:
        if name.lower().startswith("sqlite_"):
            raise ToolFailed("no table is called sqlite_ something")
