"""Copies: what a source holds, and how it comes to lie under a new name, in the same scope or another."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.storage.core import paths
from services.storage.core.file_tree import Text, Write, find, make_directory, with_descendants, write
from services.storage.core.history import content_of, get_version
from services.storage.core.unit_of_work import UnitOfWork
from services.storage.errors import AlreadyExists, WrongFileKind
from services.storage.model import Attributes, Content, Kind, Node, Piece
from services.storage.ports import Transaction


@dataclass(frozen=True, slots=True)
class Item:
    """One file or directory to copy."""

    path: str
    """Below the source; empty for the source itself."""
    kind: Kind
    label: Attributes = Attributes()  # noqa: RUF009 - immutable
    content: Content | None = None
    text: Text | None = None
    untrusted: bool = False
    """Whether nobody vouches for it."""


def collect(tx: Transaction, source: str, number: int) -> list[Item]:
    """List what lies at a path: the node itself first, then all below it.

    Raises FileNotFound, InvalidRequest (too many), WrongFileKind (a version of a directory).
    """
    node = find(tx, source)
    if number and not node.is_file:
        raise WrongFileKind.at(source, node.kind.value)
    return [_item(tx, each, source, number) for each in with_descendants(tx, node)]


def place(
    unit: UnitOfWork,
    items: Sequence[Item],
    destination: str,
    *,
    overwrite: bool,
    etag: str,
    foreign: bool = False,
) -> Node:
    """Write collected items under a new name; return the node of the first.

    `foreign`: they come from another agent, for whom the owner does not vouch.
    Raises AlreadyExists, FileNotFound (an etag and no file), WrongFileKind, EtagMismatch and BlobVanished.
    """
    target = unit.tx.node(destination)
    if target is not None and not overwrite:
        raise AlreadyExists.at(destination)
    first: Node | None = None
    for item in items:
        path = paths.check_entry(f"{destination}/{item.path}" if item.path else destination)
        if item.content is None:
            untrusted = item.untrusted or foreign
            node = make_directory(unit, path, allow_existing=overwrite, untrusted=untrusted)
        else:
            expected = "" if item.path else etag
            command = Write(
                path,
                item.content,
                item.text,
                etag=expected,
                label=item.label,
                untrusted=item.untrusted or foreign,
            )
            node = write(unit, command).node
        first = first or node
    if first is None:
        raise AssertionError("nothing was collected")
    return first


def _item(tx: Transaction, node: Node, source: str, number: int) -> Item:
    path = "" if node.path == source else paths.relative(node.path, source)
    if not node.is_file:
        return Item(path, node.kind, untrusted=node.untrusted)
    version = get_version(tx, node, number)
    document = tx.document(node.id) if version.number == node.version else None
    text = Text(document.text, document.words, document.vector) if document else None
    untrusted = version.untrusted or node.untrusted
    return Item(path, node.kind, node.label, content_of(tx, version), text, untrusted)


def blobs(items: Sequence[Item]) -> list[Piece]:
    """List the pieces of items that are kept as blobs, each once."""
    pieces = (piece for item in items if item.content for piece in item.content.pieces)
    return list({piece.digest: piece for piece in pieces if piece.data is None}.values())
