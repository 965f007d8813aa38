"""Several files changed as one: each as its caller read it, or nothing at all."""

from dataclasses import dataclass, replace

from services.chassis.rpc.errors import InvalidRequest
from services.storage.core import file_tree
from services.storage.core.file_tree import Deleted, Write, Written
from services.storage.core.unit_of_work import UnitOfWork
from services.storage.model import Mode, Node

MAX_EDITS = 256
"""Most files that one change set touches."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that goes to the trash."""

    path: str
    etag: str
    """What it was read at."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; one of the two is set."""

    written: Written | None = None
    removed: Node | None = None
    """The file as it is in the trash."""


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What became of the files, in the order of the edits."""

    outcomes: tuple[Outcome, ...]


def creates_or_replaces(write: Write) -> Write:
    """Return a write that takes no etag for "there must be no such file", as every edit of a set does."""
    return replace(write, mode=Mode.REPLACE if write.etag else Mode.CREATE)


def check(edits: tuple[Write | Removal, ...]) -> None:
    """Hold a set against its own rules.

    Raises InvalidRequest when a file is named twice, or is to be deleted whatever it holds.
    """
    seen: set[str] = set()
    for edit in edits:
        if edit.path in seen:
            raise InvalidRequest.field("edits", f"names {edit.path!r} twice")
        seen.add(edit.path)
        if isinstance(edit, Removal) and not edit.etag:
            raise InvalidRequest.field("edits", f"the deletion of {edit.path!r} needs an etag")


def apply(unit: UnitOfWork, edits: tuple[Write | Removal, ...]) -> ChangeSet:
    """Make all changes, deletions first, so that a directory can take the place of a file.

    Raises what a write and a deletion of each file raises; the transaction is then undone.
    """
    gone = {edit.path: _remove(unit, edit) for edit in edits if isinstance(edit, Removal)}
    writes = [edit for edit in edits if isinstance(edit, Write)]
    written = {edit.path: file_tree.write(unit, creates_or_replaces(edit)) for edit in writes}
    return ChangeSet(tuple(Outcome(written.get(edit.path), gone.get(edit.path)) for edit in edits))


def _remove(unit: UnitOfWork, edit: Removal) -> Node | None:
    file_tree.find_file(unit.tx, edit.path)
    deleted: Deleted = file_tree.delete(
        unit, edit.path, etag=edit.etag, recursive=False, missing_ok=False, purge=False
    )
    return deleted.node
