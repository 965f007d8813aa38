"""Versions of a file: which one is meant, how to bring one back."""

from dataclasses import dataclass
from datetime import datetime

from services.storage.core.file_tree import find_file
from services.storage.errors import FileNotFound
from services.storage.model import NEWEST, Content, Node, Version
from services.storage.ports import Transaction

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Opened:
    """A version ready to be read."""

    node: Node
    version: Version
    content: Content


@dataclass(frozen=True, slots=True)
class Target:
    """Which version to roll back to: exactly one of the three is given."""

    number: int = 0
    steps: int = 0
    """Versions to go back from the newest."""
    before: datetime | None = None
    """The newest version that is not younger."""


def get_version(tx: Transaction, node: Node, number: int) -> Version:
    """Return a version of a file, the newest for NEWEST.

    Raises FileNotFound.
    """
    version = tx.version(node.id, number or node.version)
    if version is None:
        raise FileNotFound.version(node.path, number)
    return version


def open_version(tx: Transaction, path: str, number: int = NEWEST) -> Opened:
    """Return a version of a file with its pieces.

    Raises FileNotFound and WrongFileKind.
    """
    node = find_file(tx, path)
    version = get_version(tx, node, number)
    return Opened(node, version, content_of(tx, version))


def content_of(tx: Transaction, version: Version) -> Content:
    """Return the pieces of a version."""
    return Content(version.digest, version.size, tx.pieces(version.digest) or ())


def before(tx: Transaction, node: Node, number: int) -> Version:
    """Return the version before a number; of the first one, itself.

    Raises FileNotFound.
    """
    older = tx.versions(node.id, before=number, limit=1)
    return older[0] if older else get_version(tx, node, number)


def resolve(tx: Transaction, node: Node, target: Target) -> Version:
    """Find the version that a rollback means.

    Raises FileNotFound.
    """
    if target.number:
        return get_version(tx, node, target.number)
    if target.before is None:
        back = tx.versions(node.id, before=0, limit=target.steps + 1)
        if len(back) <= target.steps:
            raise FileNotFound(
                f"{node.path!r} has no version {target.steps} steps back",
                metadata={"path": node.path, "steps": str(target.steps)},
            )
        return back[target.steps]
    return _as_of(tx, node, target.before)


def _as_of(tx: Transaction, node: Node, moment: datetime) -> Version:
    position = 0
    while batch := tx.versions(node.id, before=position, limit=_BATCH):
        for version in batch:
            if version.created_at <= moment:
                return version
        position = batch[-1].number
    raise FileNotFound(
        f"{node.path!r} has no version from before {moment.isoformat()}",
        metadata={"path": node.path, "before_time": moment.isoformat()},
    )
