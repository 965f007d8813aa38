"""Checks files of the calling agent out for a program, and what it changed back in, as one write."""

from collections.abc import Iterable, Mapping, Sequence

from services.tool.core.files import FileStat, check_own
from services.tool.core.workspaces import MAX_BYTES, MAX_FILES, Workspace
from services.tool.errors import ToolFailed
from services.tool.ports import Files


async def check_out(
    files: Files, patterns: Sequence[str], *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> Workspace:
    """Return the caller's own files that match one of the patterns, with what each was read at.

    Raises ToolFailed when they are more, or larger, than may be checked out: a part would be taken for all.
    Raises BadPath, and what the storage manager refuses with.
    """
    found: dict[str, FileStat] = {}
    for pattern in patterns:
        check_own(pattern)
        listed = await files.list("", pattern, limit=max_files)
        found |= {check_own(file.path): file for file in listed.files}
        if listed.more or len(found) > max_files:
            raise ToolFailed(f"more than {max_files} files match {pattern!r}: name fewer")
    if sum(file.size for file in found.values()) > max_bytes:
        raise ToolFailed(f"the files have more than {max_bytes} bytes together: name fewer")
    contents: dict[str, bytes] = {}
    etags: dict[str, str] = {}
    left, untrusted = max_bytes, False
    for path in sorted(found):
        read = await files.read(path, limit=left)
        if read.truncated:  # it has grown since it was listed
            raise ToolFailed(f"the files have more than {max_bytes} bytes together: name fewer")
        contents[path], etags[path] = read.data, read.stat.etag
        left, untrusted = left - len(read.data), untrusted or read.stat.untrusted
    return Workspace(contents, etags, untrusted)


async def commit(
    files: Files,
    workspace: Workspace,
    after: Mapping[str, bytes],
    removed: Iterable[str] = (),
    *,
    request_id: str,
) -> Sequence[FileStat]:
    """Write back what a program changed of a workspace: all of it, or nothing where a file has changed since.

    `after` and `removed` are a program's say, see `Workspace.changes`. Raises BadPath, and what the storage
    manager refuses with: ETAG_MISMATCH or ALREADY_EXISTS for files that somebody else has changed meanwhile.
    """
    edits = workspace.changes(after, removed)
    return await files.write(edits, request_id=request_id) if edits else ()
