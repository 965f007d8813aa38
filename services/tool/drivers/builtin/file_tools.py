"""Built-in tools that read, list and change the calling agent's files."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from services.chassis.aside import aside
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.tool.core.files import MAX_FILE_BYTES, FileContent, FileEdit, FileList, FileStat
from services.tool.drivers.builtin.answers import Answer, Function, request_id
from services.tool.drivers.builtin.limits import (
    MAX_GLOB,
    MAX_LINES,
    MAX_SCANNED_BYTES,
    PART_BYTES,
)
from services.tool.drivers.builtin.lines import LineCollector, decoded, replaced, shown
from services.tool.errors import ToolFailed
from services.tool.ports import Files, Job

_ANY_DIRECTORIES: Final = "**/"
_MOST_VARIANTS: Final = 8
_FOUND: Final = 100


class FileTools:
    """Functions on the caller's files, by their names."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.functions: Mapping[str, Function] = {
            "read_file": self._read_file,
            "write_file": self._write_file,
            "edit": self._edit,
            "glob": self._glob,
        }

    async def _read_file(self, job: Job) -> Answer:
        asked = job.arguments
        path, at = asked["path"], int(asked.get("first_byte", 0))
        lines = LineCollector(int(asked.get("first_line", 1)), int(asked.get("lines", MAX_LINES)))
        start, last, etag = at, at + MAX_SCANNED_BYTES, ""
        while True:
            part = await self._files.read(path, limit=PART_BYTES, offset=at)
            if etag and part.stat.etag != etag:
                raise ToolFailed(f"{path} changed while it was read: read it again")
            etag = part.stat.etag
            await aside(partial(lines.feed, part.data))
            at += len(part.data)
            if lines.full or not part.truncated or at >= last or not part.data:
                break
        if not part.truncated:
            lines.finish()
        return Answer(shown(lines.text), _reading(lines, part, start), part.stat.untrusted)

    async def _write_file(self, job: Job) -> Answer:
        asked = job.arguments
        path, etag = asked["path"], asked.get("etag", "")
        if asked.get("overwrite") and not etag:
            there = await self._there(path)
            etag = there.etag if there else ""
        data = _encoded(asked["content"])
        written = await self._write(job, FileEdit(path, etag, data))
        return Answer(f"wrote {len(data)} bytes to {path}", {"etag": written.etag})

    async def _edit(self, job: Job) -> Answer:
        asked = job.arguments
        path = asked["path"]
        read = await self._files.read(path, limit=MAX_FILE_BYTES)
        if read.truncated:
            raise ToolFailed(f"{path} is longer than {MAX_FILE_BYTES} bytes")
        if asked.get("etag", read.stat.etag) != read.stat.etag:
            raise ToolFailed(f"{path} has changed since that etag: read it again")
        data, count = await aside(partial(_edited, read.data, asked))
        written = await self._write(job, FileEdit(path, read.stat.etag, data))
        times = "once" if count == 1 else f"{count} times"
        return Answer(f"replaced {times} in {path}", {"etag": written.etag}, read.stat.untrusted)

    async def _glob(self, job: Job) -> Answer:
        asked = job.arguments
        limit = int(asked.get("limit", _FOUND))
        found = await matching(self._files, asked.get("directory", ""), asked["pattern"], limit)
        listed = [{"path": file.path, "size": file.size} for file in found.files]
        return Answer(listed, {"truncated": found.more}, found.untrusted)

    async def _there(self, path: str) -> FileStat | None:
        """Return what is at a path; None: nothing."""
        try:
            return await self._files.stat(path)
        except KernelError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise

    async def _write(self, job: Job, edit: FileEdit) -> FileStat:
        (written,) = await self._files.write([edit], request_id=request_id(job))
        return written


async def matching(files: Files, directory: str, pattern: str, limit: int) -> FileList:
    """List files by a pattern in which `**/` also stands for no directory at all."""
    found: dict[str, FileStat] = {}
    more = False
    for variant in _variants(pattern):
        listed = await files.list(directory, variant, limit=min(limit, MAX_GLOB))
        found |= {file.path: file for file in listed.files}
        more = more or listed.more
    inside = sorted(found.values(), key=lambda file: file.path)
    return FileList(tuple(inside[:limit]), more or len(inside) > limit)


def _variants(pattern: str) -> list[str]:
    """Return the pattern with each `**/` and without it. Raises ToolFailed for more than three of them."""
    first, *rest = pattern.split(_ANY_DIRECTORIES)
    variants = [first]
    for part in rest:
        # Only where a whole name is `**`: in `a**/b` the stars belong to a name.
        with_any = [f"{one}{_ANY_DIRECTORIES}{part}" for one in variants]
        without = [f"{one}{part}" for one in variants if not one or one.endswith("/")]
        variants = [*with_any, *without]
        if len(variants) > _MOST_VARIANTS:
            raise ToolFailed("a pattern has at most three **/")
    return [each for each in dict.fromkeys(variants) if each]


def _reading(lines: LineCollector, part: FileContent, start: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "path": part.stat.path,
        "etag": part.stat.etag,
        "size": part.stat.size,
        "first_line": lines.first,
        "lines": lines.shown,
        "truncated": part.truncated or lines.full,
    }
    if lines.cut:
        told["long_lines_cut"] = True
    if lines.full:
        told["next_line"] = max(lines.first, lines.line)
    elif part.truncated:
        told["next_byte"] = part.offset + len(part.data)
    if start:
        told["first_byte"] = start
    return told


def _edited(data: bytes, asked: Mapping[str, Any]) -> tuple[bytes, int]:
    text, count = replaced(
        decoded(data), asked["old_text"], asked["new_text"], everywhere=asked.get("replace_all", False)
    )
    changed = _encoded(text)
    if len(changed) > MAX_FILE_BYTES:
        raise ToolFailed(f"the file would be longer than {MAX_FILE_BYTES} bytes")
    return changed, count


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolFailed("the text has half characters: it is no UTF-8") from error
