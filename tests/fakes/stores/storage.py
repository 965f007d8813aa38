"""The index and the blobs in RAM: for tests and throw-away kernels. Nothing survives the process."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.db.rankings import PER_AGENT
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Tab, Usage
from services.chassis.rpc.errors import DataCorrupt, IdempotencyMismatch
from services.storage.core import paths
from services.storage.core.content import sha256
from services.storage.model import (
    Change,
    Collection,
    Document,
    Link,
    Node,
    Piece,
    Record,
    Totals,
    Upload,
    VacatedName,
    Version,
)
from services.storage.ports import Transaction
from tests.fakes.stores.usage import MemoryBook

T = TypeVar("T")


@dataclass(slots=True)
class _State:
    """Everything of one scope. Values are immutable, so that a shallow copy of each dict is a snapshot."""

    totals: Totals = field(default_factory=Totals)
    sequence: int = 0
    dropped: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    """Ids of the live nodes by path."""
    versions: dict[tuple[str, int], Version] = field(default_factory=dict)
    contents: dict[str, tuple[Piece, ...]] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    vacated: dict[str, VacatedName] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    chunks: dict[tuple[str, int], Piece] = field(default_factory=dict)
    rankings: dict[str, bytes] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)
    replies: dict[tuple[str, str, str], tuple[bytes, bytes]] = field(default_factory=dict)

    def snapshot(self) -> "_State":
        """Copy every dict."""
        return _State(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})


class MemoryIndex:
    """The FileIndex port in RAM: a transaction works on a copy that takes the original's place at its end."""

    def __init__(self) -> None:
        self._states: dict[Scope, _State] = defaultdict(_State)
        self._book = MemoryBook()
        self._lock = asyncio.Lock()
        self.looks = 0
        """Reads, of whatever sort, so far."""

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Forget a scope."""
        return {"nodes": 1} if self._states.pop(scope, None) else {}

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy that is thrown away."""
        self.looks += 1
        await asyncio.sleep(0)
        state = self._states[scope].snapshot() if scope in self._states else _State()
        return work(MemoryTransaction(scope, state, self._book.copy()))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy and keep it unless `work` raises."""
        async with self._lock:
            state = self._states[scope].snapshot() if scope in self._states else _State()
            book = self._book.copy()
            result = work(MemoryTransaction(scope, state, book))
            self._states[scope], self._book = state, book
            return result

    async def forget_replies(self) -> int:
        """Keep all: nothing outlives the process anyway."""
        return 0

    async def last_sequences(self, scopes: Sequence[Scope]) -> dict[Scope, int]:
        """Return the last number taken in each of the scopes."""
        self.looks += 1
        known = self._states
        return {scope: known[scope].sequence if scope in known else 0 for scope in scopes}

    async def scopes(self, *, after: Scope | None, limit: int) -> list[Scope]:
        """List scopes by tenant and agent."""
        known = sorted(self._states, key=_scope_key)
        return [scope for scope in known if after is None or _scope_key(scope) > _scope_key(after)][:limit]


class MemoryTransaction:
    """A Transaction on dicts."""

    def __init__(self, scope: Scope, state: _State, book: MemoryBook) -> None:
        self._scope = scope
        self._state = state
        self._book = book

    @property
    def scope(self) -> Scope:
        """Whose storage it is."""
        return self._scope

    def blocking(self, work: Callable[[], T]) -> T:
        """Run it here: what blocks is in RAM too."""
        return work()

    def totals(self) -> Totals:
        """Return the running sums."""
        return self._state.totals

    def put_totals(self, totals: Totals) -> None:
        """Replace the running sums."""
        self._state.totals = totals

    def charge(self, tab: Tab, caps: Caps) -> None:
        """Add what is kept more, or less, to the sums."""
        self._book.charge(tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return self._book.told(self._scope.charged, caps)

    def next_sequence(self) -> int:
        """Take the next number of the scope's sequence."""
        self._state.sequence += 1
        return self._state.sequence

    def last_sequence(self) -> int:
        """Return the last number taken."""
        return self._state.sequence

    def record(self, changes: Sequence[Change]) -> None:
        """Record events and number them."""
        for change in changes:
            sequence = self.next_sequence()
            self._state.changes[sequence] = replace(change, sequence=sequence)

    def changes(self, *, after: int, limit: int) -> list[Change]:
        """List events after a sequence number, in order."""
        found = sorted(sequence for sequence in self._state.changes if sequence > after)
        return [self._state.changes[sequence] for sequence in found[:limit]]

    def dropped_changes(self) -> int:
        """Return the sequence number up to which events were dropped."""
        return self._state.dropped

    def drop_changes(self, *, up_to: int) -> None:
        """Forget events up to a sequence number."""
        for sequence in [each for each in self._state.changes if each <= up_to]:
            del self._state.changes[sequence]
        self._state.dropped = max(self._state.dropped, up_to)

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer that this very request got before, or None."""
        known = self._state.replies.get((actor.agent, actor.method, actor.request_id))
        if known is not None and known[0] != actor.digest:
            raise IdempotencyMismatch(
                "the request_id was used for another request", metadata={"request_id": actor.request_id}
            )
        return known[1] if known else None

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request for its repeats."""
        self._state.replies[actor.agent, actor.method, actor.request_id] = (actor.digest, reply)

    def node(self, path: str) -> Node | None:
        """Return the live node at a path."""
        node_id = self._state.paths.get(path)
        return self._state.nodes[node_id] if node_id else None

    def node_of(self, node_id: str) -> Node | None:
        """Return a node by its id."""
        return self._state.nodes.get(node_id)

    def children(self, directory: str, *, after: str, limit: int) -> list[Node]:
        """List the live nodes directly in a directory."""
        return self._live(lambda path: path != "" and paths.parent(path) == directory, after, limit)

    def tree(self, directory: str, *, after: str, limit: int) -> list[Node]:
        """List all live nodes below a directory."""
        return self._live(lambda path: paths.contains(directory, path), after, limit)

    def trashed_roots(self, *, before: int, limit: int, path: str = "") -> list[Node]:
        """List what was deleted, the last first."""
        roots = [
            node
            for node in self._state.nodes.values()
            if node.trash_root and (not before or node.trash_id < before) and path in ("", node.path)
        ]
        return sorted(roots, key=lambda node: -node.trash_id)[:limit]

    def trashed(self, trash_id: int) -> list[Node]:
        """List all nodes of one deletion."""
        found = [node for node in self._state.nodes.values() if trash_id and node.trash_id == trash_id]
        return sorted(found, key=lambda node: node.path)

    def expired_trash(self, before: datetime, *, limit: int) -> list[Node]:
        """List what was deleted before a moment, the first deletion first."""
        roots = self.trashed_roots(before=0, limit=len(self._state.nodes))
        return [node for node in roots[::-1] if node.trashed_at and node.trashed_at < before][:limit]

    def put_nodes(self, nodes: Sequence[Node]) -> None:
        """Insert or replace nodes by id."""
        for node in nodes:
            old = self._state.nodes.get(node.id)
            if old and self._state.paths.get(old.path) == old.id:
                del self._state.paths[old.path]
        for node in nodes:
            self._state.nodes[node.id] = node
            if not node.trash_id:
                if self._state.paths.get(node.path, node.id) != node.id:
                    raise ValueError(f"two nodes at {node.path!r}")
                self._state.paths[node.path] = node.id

    def drop_nodes(self, node_ids: Sequence[str]) -> int:
        """Forget nodes with their versions and documents; return how many versions."""
        doomed = set(node_ids)
        for node_id in doomed & self._state.nodes.keys():
            node = self._state.nodes.pop(node_id)
            if self._state.paths.get(node.path) == node_id:
                del self._state.paths[node.path]
            self._state.documents.pop(node_id, None)
        versions = [key for key in self._state.versions if key[0] in doomed]
        for key in versions:
            del self._state.versions[key]
        return len(versions)

    def version(self, node_id: str, number: int) -> Version | None:
        """Return one version of a file."""
        return self._state.versions.get((node_id, number))

    def versions(self, node_id: str, *, before: int, limit: int) -> list[Version]:
        """List versions, newest first."""
        found = [
            version
            for (owner, number), version in self._state.versions.items()
            if owner == node_id and (not before or number < before)
        ]
        return sorted(found, key=lambda version: -version.number)[:limit]

    def version_bytes(self, node_ids: Sequence[str]) -> int:
        """Sum what all versions of some files count."""
        wanted = set(node_ids)
        mine = (version for (owner, _), version in self._state.versions.items() if owner in wanted)
        return sum(version.size - version.shared for version in mine)

    def put_version(self, version: Version) -> None:
        """Add a version."""
        self._state.versions[version.node_id, version.number] = version

    def share_version(self, node_id: str, number: int) -> None:
        """Mark a version as held whole by the next one."""
        version = self._state.versions.get((node_id, number))
        if version is not None:
            self._state.versions[node_id, number] = replace(version, shared=version.size)

    def drop_versions(self, node_id: str, numbers: Sequence[int]) -> None:
        """Forget versions of a file."""
        for number in numbers:
            self._state.versions.pop((node_id, number), None)

    def pieces(self, digest: str) -> tuple[Piece, ...] | None:
        """Return the pieces of a content."""
        above: list[Piece] = []
        link = None if digest in self._state.contents else self._state.links.get(digest)
        while link is not None:
            above.append(link.piece)
            digest = link.base
            link = None if digest in self._state.contents else self._state.links.get(digest)
        pieces = (*self._state.contents.get(digest, ()), *reversed(above))
        return pieces or None

    def has_content(self, digest: str) -> bool:
        """Tell whether a content is known."""
        return digest in self._state.contents or digest in self._state.links

    def link(self, digest: str) -> Link | None:
        """Return a content made by appending."""
        return self._state.links.get(digest)

    def put_link(self, link: Link) -> None:
        """Remember a content made by appending."""
        self._state.links[link.digest] = link

    def put_vacated(self, name: VacatedName) -> None:
        """Insert or replace a name by its path."""
        self._state.vacated[name.path] = name

    def vacated(self, *, limit: int) -> list[VacatedName]:
        """List vacated names, by path."""
        return [self._state.vacated[path] for path in sorted(self._state.vacated)[:limit]]

    def vacated_over(self, wanted: Sequence[str]) -> list[VacatedName]:
        """Return the vacated names that are, or contain, one of these paths."""
        found = self._state.vacated.values()
        return [name for name in found if any(paths.covers(name.path, path) for path in wanted)]

    def drop_vacated(self, names: Sequence[VacatedName]) -> None:
        """Forget names, unless they were vacated again since."""
        for name in names:
            if self._state.vacated.get(name.path) == name:
                del self._state.vacated[name.path]

    def put_pieces(self, digest: str, pieces: Sequence[Piece]) -> None:
        """Remember the pieces of a content."""
        self._state.contents[digest] = tuple(pieces)

    def drop_unused_contents(self) -> int:
        """Forget contents that no version refers to."""
        used = {version.digest for version in self._state.versions.values()}
        edge = used
        while edge:
            links = (self._state.links.get(digest) for digest in edge)
            edge = {link.base for link in links if link} - used
            used |= edge
        known: tuple[dict[str, Any], ...] = (self._state.contents, self._state.links)
        unused = [(each, digest) for each in known for digest in each.keys() - used]
        for each, digest in unused:
            del each[digest]
        return len(unused)

    def referenced(self, digests: Iterable[str]) -> set[str]:
        """Tell which of these blobs a content or an upload needs."""
        needed = {piece.digest for pieces in self._state.contents.values() for piece in pieces}
        needed |= {link.piece.digest for link in self._state.links.values()}
        needed |= {piece.digest for piece in self._state.chunks.values()}
        return needed & set(digests)

    def upload(self, upload_id: str) -> Upload | None:
        """Return an upload."""
        return self._state.uploads.get(upload_id)

    def put_upload(self, upload: Upload) -> None:
        """Insert or replace an upload."""
        self._state.uploads[upload.id] = upload

    def add_chunk(self, upload_id: str, offset: int, piece: Piece) -> None:
        """Add a chunk."""
        self._state.chunks[upload_id, offset] = piece

    def chunk(self, upload_id: str, offset: int) -> Piece | None:
        """Return the chunk at an offset, without its data."""
        piece = self._state.chunks.get((upload_id, offset))
        return replace(piece, data=None) if piece else None

    def chunks(self, upload_id: str) -> tuple[Piece, ...]:
        """Return all chunks in order."""
        keys = sorted(key for key in self._state.chunks if key[0] == upload_id)
        return tuple(self._state.chunks[key] for key in keys)

    def drop_upload(self, upload_id: str) -> None:
        """Forget an upload and its chunks."""
        self._state.uploads.pop(upload_id, None)
        for key in [key for key in self._state.chunks if key[0] == upload_id]:
            del self._state.chunks[key]

    def expired_uploads(self, now: datetime, *, limit: int) -> list[Upload]:
        """List uploads that expired."""
        return [upload for upload in self._state.uploads.values() if upload.expires_at <= now][:limit]

    def keep_ranking(self, ranking: str, body: bytes) -> None:
        """Keep a ranking of a search under a new id."""
        self._state.rankings[ranking] = body
        for old in list(self._state.rankings)[:-PER_AGENT]:
            del self._state.rankings[old]

    def ranking(self, ranking: str) -> bytes | None:
        """Return a ranking that was kept, or None."""
        return self._state.rankings.get(ranking)

    def put_document(self, document: Document) -> None:
        """Insert or replace what search knows about a node."""
        self._state.documents[document.id] = document

    def document(self, node_id: str) -> Document | None:
        """Return what search knows about a node."""
        return self._state.documents.get(node_id)

    def drop_document(self, node_id: str) -> None:
        """Forget a node's text."""
        self._state.documents.pop(node_id, None)

    def count_documents(self) -> int:
        """Count the documents of live nodes."""
        return len(self._texts(""))

    def matching(self, words: Sequence[str], directory: str, *, limit: int) -> list[tuple[Node, str]]:
        """Return live nodes below a directory that hold any of `words`."""
        wanted = set(words)
        texts = self._texts(directory)
        found = [(node, text.words) for node, text in texts if not wanted.isdisjoint(text.words.split())]
        return found[:limit]

    def vectors(self, directory: str, *, limit: int) -> list[tuple[Node, bytes]]:
        """Return the embeddings of live nodes below a directory."""
        return [(node, document.vector) for node, document in self._texts(directory)[:limit]]

    def collection(self, name: str) -> Collection | None:
        """Return a collection."""
        return self._state.collections.get(name)

    def collections(self, *, after: str, limit: int) -> list[Collection]:
        """List collections by name."""
        names = sorted(name for name in self._state.collections if name > after)
        return [self._state.collections[name] for name in names[:limit]]

    def put_collection(self, collection: Collection) -> None:
        """Insert or replace a collection's sums."""
        self._state.collections[collection.name] = collection

    def drop_collection(self, name: str) -> None:
        """Forget a collection and its records."""
        self._state.collections.pop(name, None)
        for key in [key for key in self._state.records if key[0] == name]:
            del self._state.records[key]

    def records_of(self, collection: str, keys: Sequence[str]) -> list[Record]:
        """Return the records that exist out of `keys`, by key."""
        found = (self._state.records.get((collection, key)) for key in sorted(set(keys)))
        return [record for record in found if record]

    def records(self, collection: str, *, after: str, limit: int) -> list[Record]:
        """List records by key."""
        keys = sorted(key for key in self._state.records if key[0] == collection and key[1] > after)
        return [self._state.records[key] for key in keys[:limit]]

    def put_records(self, collection: str, records: Sequence[Record]) -> None:
        """Insert or replace records by key."""
        for record in records:
            self._state.records[collection, record.key] = record

    def drop_records(self, collection: str, keys: Sequence[str]) -> None:
        """Forget records."""
        for key in keys:
            self._state.records.pop((collection, key), None)

    def _live(self, wanted: Callable[[str], bool], after: str, limit: int) -> list[Node]:
        found = sorted(path for path in self._state.paths if path > after and wanted(path))
        return [self._state.nodes[self._state.paths[path]] for path in found[:limit]]

    def _texts(self, directory: str) -> list[tuple[Node, Document]]:
        live = [(self._state.nodes[i], document) for i, document in self._state.documents.items()]
        return [
            (node, document)
            for node, document in live
            if not node.trash_id and paths.contains(directory, node.path)
        ]


class MemoryBlobs:
    """The BlobStore port in RAM."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._blobs: dict[tuple[Scope, str], tuple[bytes, float]] = {}
        self._monotonic = monotonic

    def put(self, scope: Scope, digest: str, data: bytes) -> None:
        """Keep a piece."""
        self._blobs[scope, digest] = (data, self._monotonic())

    def purge(self, scope: Scope, *, limit: int) -> int:
        """Forget pieces of a scope."""
        doomed = [key for key in self._blobs if key[0] == scope][:limit]
        for key in doomed:
            del self._blobs[key]
        return len(doomed)

    def get(self, scope: Scope, digest: str) -> bytes:
        """Return a piece."""
        data, _ = self._blobs.get((scope, digest), (b"", 0.0))
        if sha256(data) != digest:
            raise DataCorrupt("stored bytes do not match their checksum", metadata={"sha256": digest})
        return data

    def has(self, scope: Scope, digest: str) -> bool:
        """Tell whether a piece is there."""
        return (scope, digest) in self._blobs

    def remove(self, scope: Scope, digest: str) -> None:
        """Remove a piece."""
        self._blobs.pop((scope, digest), None)

    def idle(self, scope: Scope, *, seconds: float, limit: int) -> list[str]:
        """List pieces that were not put for `seconds`."""
        latest = self._monotonic() - seconds
        found = [
            digest for (owner, digest), (_, at) in self._blobs.items() if owner == scope and at <= latest
        ]
        return found[:limit]


def _scope_key(scope: Scope) -> tuple[str, str]:
    return (scope.tenant, scope.agent)
