"""Files and directories inside one transaction: find, write, make, move, delete, restore."""

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from services.chassis.rpc.errors import InvalidRequest
from services.chassis.times import EPOCH
from services.storage.core import paths
from services.storage.core.unit_of_work import BlobVanished, UnitOfWork, match_etag
from services.storage.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    FileNotFound,
    PathInvalid,
    WrongFileKind,
)
from services.storage.model import (
    ROOT,
    Attributes,
    ChangeKind,
    Content,
    Document,
    Kind,
    Link,
    Mode,
    Node,
    Piece,
    Version,
)
from services.storage.ports import Nodes

MAX_METADATA = 32

TRASH: Final = "trash"
_AT_ONCE: Final = 64
_MOMENT: Final = timedelta(microseconds=1)

MAX_TREE = 10_000
"""Most nodes that one move, copy or deletion touches."""

ROOT_NODE = Node(id="root", path=ROOT, kind=Kind.DIRECTORY, created_at=EPOCH, updated_at=EPOCH)

_MEDIA_TYPES = mimetypes.MimeTypes(())
for _type, _suffix in (
    ("text/markdown", ".md"),
    ("application/yaml", ".yaml"),
    ("application/toml", ".toml"),
):
    _MEDIA_TYPES.add_type(_type, _suffix)


@dataclass(frozen=True, slots=True)
class Text:
    """What search will know about a content; made outside the transaction because it takes time."""

    text: str
    words: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """A new version of a file."""

    path: str
    content: Content
    text: Text | None
    """None: not a text, search forgets the file."""
    mode: Mode = Mode.ANY
    etag: str = ""
    label: Attributes = Attributes()  # noqa: RUF009 - immutable
    """Empty parts keep what the file has."""
    comment: str = ""
    links: tuple[Link, ...] = ()
    """When the version is made by appending: the new links, the last one is the content. Its base is the
    newest version's content, or one that this builds on."""
    keep_text: bool = False
    """Whether search knows the file already as well as it would with this version."""
    untrusted: bool = False
    """Whether nobody vouches for a part of the content, whoever writes it."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write."""

    node: Node
    created: bool
    exposes: bool = False
    """Whether the node keeps a label that its writer did not give and nobody vouches for."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The outcome of a deletion."""

    node: Node | None
    """What was deleted, when it is in the trash now."""
    count: int


def find(tx: Nodes, path: str) -> Node:
    """Return the live node at a path; the root always exists.

    Raises FileNotFound.
    """
    node = ROOT_NODE if path == ROOT else tx.node(path)
    if node is None:
        raise FileNotFound.at(path)
    return node


def find_file(tx: Nodes, path: str) -> Node:
    """Return the live file at a path.

    Raises FileNotFound and WrongFileKind.
    """
    node = find(tx, path)
    if not node.is_file:
        raise WrongFileKind.at(path, node.kind.value)
    return node


def check_target(tx: Nodes, path: str, mode: Mode, etag: str) -> Node | None:
    """Return the file that a write would replace, or None when it would make one.

    Raises FileNotFound, AlreadyExists, WrongFileKind and EtagMismatch.
    """
    node = tx.node(path)
    if node is None:
        if etag or mode is Mode.REPLACE:
            raise FileNotFound.at(path)
        return None
    if not node.is_file:
        raise WrongFileKind.at(path, node.kind.value)
    if mode is Mode.CREATE:
        raise AlreadyExists.at(path)
    match_etag(node, etag)
    return node


def write(unit: UnitOfWork, command: Write, *, restored: int = 0) -> Written:
    """Write a new version of a file, which may be new; makes the directories it lies in.

    Raises what `check_target` raises, WrongFileKind when a file stands where a directory is needed, and
    BlobVanished.
    """
    old = check_target(unit.tx, command.path, command.mode, command.etag)
    node = old or _new_file(unit, command.path)
    number = node.version + 1
    kept = bool(node.label.metadata) and not command.label.metadata
    untrusted = unit.untrusted or command.untrusted
    label = Attributes(
        command.label.media_type or node.label.media_type or guess_media_type(command.path),
        command.label.metadata or node.label.metadata,
    )
    new = replace(
        node,
        updated_at=unit.now,
        revision=node.revision + (1 if old else 0),
        version=number,
        digest=command.content.digest,
        size=command.content.size,
        writer=unit.writer,
        label=label,
        untrusted=untrusted or (kept and node.untrusted),
    )
    _store(unit, command)
    if command.links:
        unit.tx.share_version(node.id, node.version)
    unit.tx.put_nodes([new])
    unit.tx.put_version(
        Version(
            node_id=new.id,
            number=number,
            digest=new.digest,
            size=new.size,
            created_at=unit.now,
            writer=unit.writer,
            etag=new.etag,
            comment=command.comment,
            restored=restored,
            untrusted=untrusted,
        )
    )
    unit.written += new.size
    history = (
        0 if command.links else node.size
    )  # what an append left as it was is counted with the new version
    unit.add(live=new.size - node.size, history=history, nodes=0 if old else 1)
    unit.count(versions=1)
    _prune(unit, new)
    if not command.keep_text:
        _index(unit, new, command.text)
    unit.tell(ChangeKind.UPDATED if old else ChangeKind.CREATED, new)
    # To another agent than the owner its label is what somebody else wrote, too.
    return Written(new, created=old is None, exposes=kept and (node.untrusted or unit.untrusted))


def make_directory(unit: UnitOfWork, path: str, *, allow_existing: bool, untrusted: bool = False) -> Node:
    """Make a directory and those it lies in; `untrusted`: nobody vouches for its name, whoever makes it.

    Raises AlreadyExists and WrongFileKind.
    """
    node = unit.tx.node(path)
    if node is None:
        make_parents(unit, path)
        return _new_directory(unit, path, untrusted=untrusted)
    if node.is_file:
        raise WrongFileKind.at(path, node.kind.value)
    if not allow_existing:
        raise AlreadyExists.at(path)
    return node


def make_parents(unit: UnitOfWork, path: str) -> None:
    """Make the directories above a path that are not there.

    Raises WrongFileKind when one of them is a file.
    """
    for ancestor in paths.ancestors(path):
        node = unit.tx.node(ancestor)
        if node is None:
            _new_directory(unit, ancestor)
        elif node.is_file:
            raise WrongFileKind.at(ancestor, node.kind.value)


def set_attributes(unit: UnitOfWork, path: str, label: Attributes, remove: frozenset[str], etag: str) -> Node:
    """Change media type and metadata of a file: pairs of `label` are set, keys in `remove` go.

    Raises FileNotFound, WrongFileKind, EtagMismatch and InvalidRequest (too many pairs).
    """
    node = find_file(unit.tx, path)
    match_etag(node, etag)
    kept = {key: value for key, value in node.label.metadata.items() if key not in remove}
    metadata = {**kept, **label.metadata}
    if len(metadata) > MAX_METADATA:
        raise InvalidRequest.field("set", f"a file has at most {MAX_METADATA} pairs of metadata")
    new = replace(
        node,
        revision=node.revision + 1,
        label=Attributes(label.media_type or node.label.media_type, metadata),
        untrusted=node.untrusted or unit.untrusted,
    )
    unit.tx.put_nodes([new])
    unit.tell(ChangeKind.UPDATED, new)
    return new


def move(unit: UnitOfWork, path: str, destination: str, *, etag: str, overwrite: bool) -> Node:
    """Move a node with all it holds; an overwritten file or empty directory goes to the trash.

    Raises FileNotFound, AlreadyExists, WrongFileKind, DirectoryNotEmpty, EtagMismatch and PathInvalid (into
    itself).
    """
    node = find(unit.tx, path)
    match_etag(node, etag)
    if path == destination:
        return node
    if paths.contains(path, destination):
        raise PathInvalid("a directory cannot be moved into itself", metadata={"path": destination})
    _clear_way(unit, node, destination, overwrite=overwrite)
    make_parents(unit, destination)
    moved = [
        replace(
            item,
            path=paths.rebase(item.path, path, destination),
            revision=item.revision + 1,
            untrusted=item.untrusted or unit.untrusted,
        )
        for item in with_descendants(unit.tx, node)
    ]
    unit.tx.put_nodes(moved)
    unit.vacate(path)
    for item in moved:
        unit.tell(ChangeKind.MOVED, item, old_path=paths.rebase(item.path, destination, path))
    return moved[0]


def delete(
    unit: UnitOfWork, path: str, *, etag: str, recursive: bool, missing_ok: bool, purge: bool
) -> Deleted:
    """Move a node with all it holds to the trash, or forget it with all that the trash has of the name.

    What was deleted longest ago makes room in a full trash.
    Raises FileNotFound, DirectoryNotEmpty and EtagMismatch.
    """
    node = unit.tx.node(path)
    purged = _purge_trash_of(unit, path) if purge else 0
    if node is None:
        if missing_ok or purged:
            return Deleted(None, purged)
        raise FileNotFound.at(path)
    match_etag(node, etag)
    if not (recursive or node.is_file) and unit.tx.children(path, after="", limit=1):
        raise DirectoryNotEmpty(f"{path!r} is not empty", metadata={"path": path})
    nodes = with_descendants(unit.tx, node)
    for item in nodes:
        unit.tell(ChangeKind.DELETED, item)
    _uncount(unit, nodes)
    unit.vacate(path)
    if purge:
        unit.count(versions=-unit.tx.drop_nodes([item.id for item in nodes]))
        return Deleted(None, purged + len(nodes))
    return Deleted(_to_trash(unit, nodes), len(nodes))


def restore(unit: UnitOfWork, path: str) -> Node:
    """Bring the last deletion of a path back from the trash.

    Raises FileNotFound when the trash has none, AlreadyExists and WrongFileKind.
    """
    roots = unit.tx.trashed_roots(before=0, limit=1, path=path)
    if not roots:
        raise FileNotFound(f"the trash holds nothing named {path!r}", metadata={"path": path})
    if unit.tx.node(path) is not None:
        raise AlreadyExists.at(path)
    make_parents(unit, path)
    trashed = unit.tx.trashed(roots[0].trash_id)
    live = [
        replace(node, trash_id=0, trash_root=False, trashed_at=None, revision=node.revision + 1)
        for node in trashed
    ]
    unit.tx.put_nodes(live)
    all_bytes = unit.tx.version_bytes([node.id for node in live])
    newest = sum(node.size for node in live)
    unit.add(live=newest, history=all_bytes - newest, trash=-all_bytes, nodes=len(live))
    unit.count(trash=-len(live))
    for node in live:
        unit.tell(ChangeKind.CREATED, node)
    return next(node for node in live if node.path == path)


def purge_deletion(unit: UnitOfWork, trash_id: int) -> int:
    """Forget one deletion for good; return how many nodes it had."""
    nodes = unit.tx.trashed(trash_id)
    ids = [node.id for node in nodes]
    unit.add(trash=-unit.tx.version_bytes(ids))
    unit.count(trash=-len(nodes), versions=-unit.tx.drop_nodes(ids))
    return len(nodes)


def with_descendants(tx: Nodes, node: Node) -> list[Node]:
    """Return a node and all below it, the node first.

    Raises InvalidRequest when there are more than MAX_TREE.
    """
    below = [] if node.is_file else tx.tree(node.path, after="", limit=MAX_TREE)
    if len(below) >= MAX_TREE:
        raise InvalidRequest(
            f"{node.path!r} holds {MAX_TREE} files or more: take it in parts", metadata={"path": node.path}
        )
    return [node, *below]


def guess_media_type(path: str) -> str:
    """Guess what a file holds from its name."""
    return _MEDIA_TYPES.guess_type("/" + path)[0] or "application/octet-stream"


def _clear_way(unit: UnitOfWork, node: Node, destination: str, *, overwrite: bool) -> None:
    target = unit.tx.node(destination)
    if target is None:
        return
    if target.kind is not node.kind:
        raise WrongFileKind.at(destination, target.kind.value)
    if not overwrite:
        raise AlreadyExists.at(destination)
    delete(unit, destination, etag="", recursive=False, missing_ok=False, purge=False)


def _new_file(unit: UnitOfWork, path: str) -> Node:
    make_parents(unit, path)
    return Node(unit.new_id(), path, Kind.FILE, unit.now, unit.now)


def _new_directory(unit: UnitOfWork, path: str, *, untrusted: bool = False) -> Node:
    node = Node(unit.new_id(), path, Kind.DIRECTORY, unit.now, unit.now, writer=unit.writer)
    node = replace(node, untrusted=untrusted or unit.untrusted)
    unit.tx.put_nodes([node])
    unit.add(nodes=1)
    unit.tell(ChangeKind.CREATED, node)
    return node


def _store(unit: UnitOfWork, command: Write) -> None:
    content = command.content
    if unit.tx.has_content(content.digest):
        return
    if not command.links:
        _check_blobs(unit, content.pieces)
        unit.tx.put_pieces(content.digest, content.pieces)
    for link in command.links:
        if not unit.tx.has_content(link.digest):
            _check_blobs(unit, [link.piece])
            unit.tx.put_link(link)


def _check_blobs(unit: UnitOfWork, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        if piece.data is None and not unit.has_blob(piece.digest):
            raise BlobVanished(piece.digest)


def _prune(unit: UnitOfWork, node: Node) -> None:
    surplus = node.version - unit.limits.versions
    if surplus <= 0:
        return
    old = unit.tx.versions(node.id, before=surplus + 1, limit=unit.limits.versions)
    unit.tx.drop_versions(node.id, [version.number for version in old])
    unit.count(versions=-len(old))
    unit.add(history=-sum(version.size - version.shared for version in old))


def _index(unit: UnitOfWork, node: Node, text: Text | None) -> None:
    if text is None:
        unit.tx.drop_document(node.id)
    else:
        unit.tx.put_document(Document(node.id, text.text, text.words, text.vector))


def _uncount(unit: UnitOfWork, nodes: list[Node]) -> None:
    newest = sum(node.size for node in nodes)
    all_bytes = unit.tx.version_bytes([node.id for node in nodes])
    unit.add(live=-newest, history=newest - all_bytes, nodes=-len(nodes))


def _to_trash(unit: UnitOfWork, nodes: list[Node]) -> Node:
    _make_room(unit, len(nodes))
    trash_id = unit.tx.next_sequence()
    trashed = [
        replace(node, trash_id=trash_id, trash_root=at == 0, trashed_at=unit.now)
        for at, node in enumerate(nodes)
    ]
    unit.tx.put_nodes(trashed)
    unit.add(trash=unit.tx.version_bytes([node.id for node in nodes]))
    unit.count(trash=len(nodes))
    return trashed[0]


def _make_room(unit: UnitOfWork, wanted: int) -> None:
    """Forget the oldest deletions where the trash would be too full: a full trash keeps nobody from deleting.

    What goes is the scope's own, also when others of its tree or tenant have filled it.
    """
    used = unit.tx.used({TRASH: unit.limits.caps[TRASH]})
    over = max(one.used + wanted - one.limit for one in used)
    while over > 0:
        oldest = unit.tx.expired_trash(unit.now + _MOMENT, limit=_AT_ONCE)
        if not oldest:
            return
        for root in oldest:
            if over > 0:
                over -= purge_deletion(unit, root.trash_id)


def _purge_trash_of(unit: UnitOfWork, path: str) -> int:
    roots = unit.tx.trashed_roots(before=0, limit=MAX_TREE, path=path)
    return sum(purge_deletion(unit, root.trash_id) for root in roots)
