"""Files and directories: write, list, move, copy, delete, restore."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.chassis.auth.identity import Scope
from services.chassis.quotas import Usage
from services.chassis.rpc.names import in_agent
from services.storage.core import copying, file_tree, paths
from services.storage.core.file_tree import Deleted, Write, Written
from services.storage.core.globs import Pattern
from services.storage.core.unit_of_work import UnitOfWork
from services.storage.errors import ChecksumMismatch, PathInvalid, WrongFileKind
from services.storage.model import Attributes, Kind, Mode, Node, RequestContext, StorageLimits, Totals
from services.storage.ports import Transaction
from services.storage.service.appending import Appender
from services.storage.service.changes import BlobUpload, ChangeRunner
from services.storage.service.vacated import Visit, visit

_BATCH = 500


@dataclass(frozen=True, slots=True)
class NewFile:
    """A whole small file to write."""

    path: str
    data: bytes
    mode: Mode = Mode.ANY
    etag: str = ""
    sha256: str = ""
    label: Attributes = Attributes()  # noqa: RUF009 - immutable
    comment: str = ""
    append: bool = False


class FileService:
    """The tree of a scope."""

    def __init__(self, changes: ChangeRunner, *, trash_life: timedelta) -> None:
        self._changes = changes
        self._appender = Appender(changes)
        self.trash_life = trash_life

    async def write(self, call: RequestContext, new: NewFile) -> Written:
        """Write a file whole, or add to its end.

        Raises PathInvalid, ChecksumMismatch and what `tree.write` raises.
        """
        paths.check_entry(new.path)
        prepared = await self._changes.prepare(new.data)
        digest = prepared.content.digest
        if new.sha256 and new.sha256 != digest:
            raise ChecksumMismatch("the bytes do not match `sha256`", metadata={"sha256": digest})
        command = Write(new.path, prepared.content, prepared.text, new.mode, new.etag, new.label, new.comment)
        arguments = {
            "path": new.path, "sha256": digest, "mode": new.mode, "etag": new.etag, "label": new.label,
            "comment": new.comment, "append": new.append,
        }  # fmt: skip
        if new.append:
            return await self._appender.append(call, arguments, command, prepared)
        return await self._changes.change(
            call,
            "WriteFile",
            arguments,
            Written,
            lambda unit: file_tree.write(unit, command),
            blob_upload=self._changes.blob_upload(call.scope, prepared.blobs),
            touches=(new.path,),
        )

    async def make_directory(self, call: RequestContext, path: str, *, allow_existing: bool) -> Node:
        """Make a directory and those it lies in.

        Raises PathInvalid, AlreadyExists and WrongFileKind.
        """
        paths.check_entry(path)
        return await self._changes.change(
            call,
            "MakeDirectory",
            {"path": path, "allow_existing": allow_existing},
            Node,
            lambda unit: file_tree.make_directory(unit, path, allow_existing=allow_existing),
            touches=(path,),
        )

    async def set_attributes(
        self, call: RequestContext, path: str, label: Attributes, remove: Sequence[str], etag: str
    ) -> Node:
        """Change media type and metadata of a file.

        Raises PathInvalid, FileNotFound, WrongFileKind, EtagMismatch and InvalidRequest.
        """
        paths.check_entry(path)
        return await self._changes.change(
            call,
            "SetFileMetadata",
            {"path": path, "label": label, "remove": sorted(remove), "etag": etag},
            Node,
            lambda unit: file_tree.set_attributes(unit, path, label, frozenset(remove), etag),
            touches=(path,),
        )

    async def stat(self, scope: Scope, path: str, *, caller: RequestContext | None = None) -> Node:
        """Return what lies at a path.

        Raises PathInvalid and FileNotFound.
        """
        paths.check(path)
        return await self._changes.read(scope, lambda tx: file_tree.find(tx, path), visit=visit(caller, path))

    async def list_directory(
        self,
        scope: Scope,
        directory: str,
        *,
        recursive: bool,
        pattern: str,
        after: str,
        limit: int,
        caller: RequestContext | None = None,
    ) -> list[Node]:
        """List what lies in a directory, by path, after the path `after`.

        Raises PathInvalid, FileNotFound and WrongFileKind.
        """
        paths.check(directory)
        wanted = Pattern(pattern)

        def collect(tx: Transaction) -> list[Node]:
            if file_tree.find(tx, directory).is_file:
                raise WrongFileKind.at(directory, Kind.FILE.value)
            fetch = tx.tree if recursive else tx.children
            found: list[Node] = []
            position = after
            while len(found) < limit:
                batch = fetch(directory, after=position, limit=_BATCH)
                found += [n for n in batch if wanted.matches(paths.relative(n.path, directory))]
                if len(batch) < _BATCH:
                    break
                position = batch[-1].path
            return found[:limit]

        return await self._changes.read(scope, collect, visit=visit(caller, directory))

    async def move(
        self, call: RequestContext, path: str, destination: str, *, etag: str, overwrite: bool
    ) -> Node:
        """Move what lies at a path; the shares of the old name end.

        Raises PathInvalid, FileNotFound, AlreadyExists, WrongFileKind, DirectoryNotEmpty and EtagMismatch.
        """
        paths.check_entry(path)
        paths.check_entry(destination)
        return await self._changes.change(
            call,
            "MoveFile",
            {"path": path, "destination": destination, "etag": etag, "overwrite": overwrite},
            Node,
            lambda unit: file_tree.move(unit, path, destination, etag=etag, overwrite=overwrite),
            touches=(path, destination),
        )

    async def copy(
        self,
        call: RequestContext,
        source: tuple[Scope, str],
        destination: str,
        *,
        version: int,
        overwrite: bool,
        etag: str,
    ) -> Node:
        """Copy a file or directory, possibly another agent's; the caller must be allowed to read that.

        Raises PathInvalid, PermissionDenied, FileNotFound, AlreadyExists, WrongFileKind and EtagMismatch.
        """
        origin, path = source
        paths.check_entry(path)
        paths.check_entry(destination)
        await self._changes.access.require("storage.read", in_agent(origin.agent, "files", path))
        if origin == call.scope and paths.covers(path, destination):
            raise PathInvalid("nothing can be copied into itself", metadata={"path": destination})
        foreign: list[copying.Item] = []
        blob_upload: BlobUpload | None = None
        if origin != call.scope:
            foreign = await self._changes.read(
                origin,
                lambda tx: copying.collect(tx, path, version),
                visit=Visit(RequestContext(origin, call.agent), (path,)),
            )
            blob_upload = self._changes.transfer(origin, call.scope, copying.blobs(foreign))

        def work(unit: UnitOfWork) -> Node:
            items = foreign or copying.collect(unit.tx, path, version)
            return copying.place(
                unit, items, destination, overwrite=overwrite, etag=etag, foreign=origin != call.scope
            )

        arguments = {
            "origin": origin.agent, "path": path, "destination": destination, "version": version,
            "overwrite": overwrite, "etag": etag,
        }  # fmt: skip
        touches = (destination,) if foreign else (path, destination)
        return await self._changes.change(
            call, "CopyFile", arguments, Node, work, blob_upload=blob_upload, touches=touches
        )

    async def delete(
        self, call: RequestContext, path: str, *, etag: str, recursive: bool, missing_ok: bool, purge: bool
    ) -> Deleted:
        """Move what lies at a path to the trash, or forget it; the shares of the name end.

        Raises PathInvalid, FileNotFound, DirectoryNotEmpty and EtagMismatch.
        """
        paths.check_entry(path)

        def work(unit: UnitOfWork) -> Deleted:
            return file_tree.delete(
                unit, path, etag=etag, recursive=recursive, missing_ok=missing_ok, purge=purge
            )

        choices = {"etag": etag, "recursive": recursive, "missing_ok": missing_ok, "purge": purge}
        arguments = {"path": path, **choices}
        return await self._changes.change(call, "DeleteFile", arguments, Deleted, work, touches=(path,))

    async def list_trash(self, scope: Scope, *, before: int, limit: int) -> list[Node]:
        """List what was deleted, the last first, with trash ids below `before` (0: all)."""
        return await self._changes.read(scope, lambda tx: tx.trashed_roots(before=before, limit=limit))

    async def restore(self, call: RequestContext, path: str) -> Node:
        """Bring the last deletion of a path back.

        Raises PathInvalid, FileNotFound, AlreadyExists and WrongFileKind.
        """
        paths.check_entry(path)
        return await self._changes.change(
            call,
            "RestoreFile",
            {"path": path},
            Node,
            lambda unit: file_tree.restore(unit, path),
            touches=(path,),
        )

    async def usage(self, scope: Scope) -> tuple[Totals, StorageLimits]:
        """Return how much a scope uses and may use."""
        return await self._changes.read(scope, lambda tx: tx.totals()), self._changes.limits

    async def quotas(self, scope: Scope) -> list[Usage]:
        """Return how much a scope, its tree and its tenant use of each quota."""
        return await self._changes.read(scope, lambda tx: tx.used(self._changes.limits.caps))
