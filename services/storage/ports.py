"""What storage needs from the outside: an index, a place for blobs, access, somebody to count."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Tab, Usage
from services.storage.model import (
    Change,
    Collection,
    Document,
    Link,
    Node,
    Piece,
    Record,
    ShareGrant,
    Totals,
    Upload,
    VacatedName,
    Version,
)

T = TypeVar("T")


class Nodes(Protocol):
    """Files and directories of one scope."""

    def node(self, path: str) -> Node | None:
        """Return the live node at a path. The root is never stored."""
        ...

    def node_of(self, node_id: str) -> Node | None:
        """Return a node by its id, live or in the trash."""
        ...

    def children(self, directory: str, *, after: str, limit: int) -> list[Node]:
        """List the live nodes directly in a directory, by path, after the path `after`."""
        ...

    def tree(self, directory: str, *, after: str, limit: int) -> list[Node]:
        """List all live nodes below a directory, by path in byte order, after the path `after`."""
        ...

    def trashed_roots(self, *, before: int, limit: int, path: str = "") -> list[Node]:
        """List what was deleted, the last first; trash ids below `before` (0: all), at `path` if given."""
        ...

    def trashed(self, trash_id: int) -> list[Node]:
        """List all nodes of one deletion, by path."""
        ...

    def expired_trash(self, before: datetime, *, limit: int) -> list[Node]:
        """List what was deleted before a moment, the first deletion first."""
        ...

    def put_nodes(self, nodes: Sequence[Node]) -> None:
        """Insert or replace nodes by id."""
        ...

    def drop_nodes(self, node_ids: Sequence[str]) -> int:
        """Forget nodes with their versions and documents; return how many versions."""
        ...


class Versions(Protocol):
    """Versions of one scope's files, and the contents they refer to."""

    def version(self, node_id: str, number: int) -> Version | None:
        """Return one version of a file."""
        ...

    def versions(self, node_id: str, *, before: int, limit: int) -> list[Version]:
        """List versions, newest first, with numbers below `before` (0: all)."""
        ...

    def version_bytes(self, node_ids: Sequence[str]) -> int:
        """Sum what all versions of some files count, each without what its next one shares. Unit: bytes."""
        ...

    def put_version(self, version: Version) -> None:
        """Add a version."""
        ...

    def share_version(self, node_id: str, number: int) -> None:
        """Mark a version as held whole by the next one."""
        ...

    def drop_versions(self, node_id: str, numbers: Sequence[int]) -> None:
        """Forget versions of a file."""
        ...

    def pieces(self, digest: str) -> tuple[Piece, ...] | None:
        """Return the pieces of a content, inline data included; None when it is unknown."""
        ...

    def has_content(self, digest: str) -> bool:
        """Tell whether a content is known, without reading its pieces."""
        ...

    def link(self, digest: str) -> Link | None:
        """Return a content made by appending, its inline data included; None for any other."""
        ...

    def put_link(self, link: Link) -> None:
        """Remember a content made by appending. A piece with data is kept inline."""
        ...

    def put_pieces(self, digest: str, pieces: Sequence[Piece]) -> None:
        """Remember the pieces of a content. Pieces with data are kept inline."""
        ...

    def drop_unused_contents(self) -> int:
        """Forget contents that no version refers to, itself or through links; return how many."""
        ...

    def referenced(self, digests: Iterable[str]) -> set[str]:
        """Tell which of these blobs a content or an upload needs."""
        ...


class VacatedNames(Protocol):
    """Names of one scope that grants in access must not outlive."""

    def put_vacated(self, name: VacatedName) -> None:
        """Insert or replace a name by its path."""
        ...

    def vacated(self, *, limit: int) -> list[VacatedName]:
        """List vacated names, by path."""
        ...

    def vacated_over(self, wanted: Sequence[str]) -> list[VacatedName]:
        """Return the vacated names that are, or contain, one of these paths."""
        ...

    def drop_vacated(self, names: Sequence[VacatedName]) -> None:
        """Forget names, unless they were vacated again since."""
        ...


class Uploads(Protocol):
    """Unfinished uploads of one scope."""

    def upload(self, upload_id: str) -> Upload | None:
        """Return an upload."""
        ...

    def put_upload(self, upload: Upload) -> None:
        """Insert or replace an upload."""
        ...

    def add_chunk(self, upload_id: str, offset: int, piece: Piece) -> None:
        """Add a chunk."""
        ...

    def chunk(self, upload_id: str, offset: int) -> Piece | None:
        """Return the chunk at an offset, without its data."""
        ...

    def chunks(self, upload_id: str) -> tuple[Piece, ...]:
        """Return all chunks in order, inline data included."""
        ...

    def drop_upload(self, upload_id: str) -> None:
        """Forget an upload and its chunks."""
        ...

    def expired_uploads(self, now: datetime, *, limit: int) -> list[Upload]:
        """List uploads that expired."""
        ...


class Texts(Protocol):
    """The search index of one scope."""

    def keep_ranking(self, ranking: str, body: bytes) -> None:
        """Keep a ranking of a search under a new id for a while; see `services.chassis.db.rankings`."""
        ...

    def ranking(self, ranking: str) -> bytes | None:
        """Return a ranking that was kept, or None."""
        ...

    def put_document(self, document: Document) -> None:
        """Insert or replace what search knows about a node."""
        ...

    def document(self, node_id: str) -> Document | None:
        """Return what search knows about a node."""
        ...

    def drop_document(self, node_id: str) -> None:
        """Forget a node's text."""
        ...

    def count_documents(self) -> int:
        """Count the documents of live nodes."""
        ...

    def matching(self, words: Sequence[str], directory: str, *, limit: int) -> list[tuple[Node, str]]:
        """Return live nodes below a directory that hold any of `words`, with all their words, in any order.

        When there are more than `limit`, the most promising.
        """
        ...

    def vectors(self, directory: str, *, limit: int) -> list[tuple[Node, bytes]]:
        """Return the embeddings of live nodes below a directory."""
        ...


class Records(Protocol):
    """Collections of one scope."""

    def collection(self, name: str) -> Collection | None:
        """Return a collection."""
        ...

    def collections(self, *, after: str, limit: int) -> list[Collection]:
        """List collections by name."""
        ...

    def put_collection(self, collection: Collection) -> None:
        """Insert or replace a collection's sums."""
        ...

    def drop_collection(self, name: str) -> None:
        """Forget a collection and its records."""
        ...

    def records_of(self, collection: str, keys: Sequence[str]) -> list[Record]:
        """Return the records that exist out of `keys`, by key."""
        ...

    def records(self, collection: str, *, after: str, limit: int) -> list[Record]:
        """List records by key, after the key `after`."""
        ...

    def put_records(self, collection: str, records: Sequence[Record]) -> None:
        """Insert or replace records by key."""
        ...

    def drop_records(self, collection: str, keys: Sequence[str]) -> None:
        """Forget records."""
        ...


class Transaction(Nodes, Versions, VacatedNames, Uploads, Texts, Records, Protocol):
    """One transaction on one scope. Sees and changes nothing of another scope."""

    @property
    def scope(self) -> Scope:
        """Whose storage it is."""
        ...

    def blocking(self, work: Callable[[], T]) -> T:
        """Run something that blocks, such as a look at a disk, without holding up the event loop."""
        ...

    def totals(self) -> Totals:
        """Return the running sums."""
        ...

    def put_totals(self, totals: Totals) -> None:
        """Replace the running sums."""
        ...

    def charge(self, tab: Tab, caps: Caps) -> None:
        """Add what is kept more, or less, to the sums of its owners, their trees and the tenant.

        Raises QuotaExceeded when a sum that grows would pass its cap; the change must then be undone.
        """
        ...

    def used(self, caps: Caps) -> list[Usage]:
        """Return what the scope, its tree and its tenant use of each quota."""
        ...

    def next_sequence(self) -> int:
        """Take the next number of the scope's sequence."""
        ...

    def last_sequence(self) -> int:
        """Return the last number taken; 0 at first."""
        ...

    def record(self, changes: Sequence[Change]) -> None:
        """Record events and number them."""
        ...

    def changes(self, *, after: int, limit: int) -> list[Change]:
        """List events after a sequence number, in order."""
        ...

    def dropped_changes(self) -> int:
        """Return the sequence number up to which events were dropped; 0 when none was."""
        ...

    def drop_changes(self, *, up_to: int) -> None:
        """Forget events up to a sequence number."""
        ...

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer that this very request got before, or None.

        Raises IdempotencyMismatch when the id was used for a request with another digest.
        """
        ...

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request for its repeats."""
        ...


class FileIndex(Protocol):
    """The durable index: everything but the bytes of large pieces."""

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent view of a scope. It may run in another thread and must not write."""
        ...

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction; when this returns, its changes survive a crash and a power cut.

        Transactions of a scope run one after the other. `work` may run more than once, in another thread;
        when it raises, nothing is changed. Raises DiskFull and ServiceUnavailable.
        """
        ...

    async def forget_replies(self) -> int:
        """Forget the answers and rankings that were kept long enough; return how many answers."""
        ...

    async def last_sequences(self, scopes: Sequence[Scope]) -> dict[Scope, int]:
        """Return the last number taken in each of the scopes, in one look; 0 where there was none."""
        ...

    async def scopes(self, *, after: Scope | None, limit: int) -> list[Scope]:
        """List all scopes with anything in them, for maintenance."""
        ...

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of a scope, batch by batch; return what and how many.

        What its agent wrote in other scopes stays there, without the agent's name.
        """
        ...


class BlobStore(Protocol):
    """Immutable pieces of bytes, named by their SHA-256 within a scope. Methods block: use a thread."""

    def put(self, scope: Scope, digest: str, data: bytes) -> None:
        """Store a piece durably; storing it again changes nothing.

        Raises DiskFull.
        """
        ...

    def get(self, scope: Scope, digest: str) -> bytes:
        """Return a piece.

        Raises DataCorrupt when it is missing or its bytes do not match the digest.
        """
        ...

    def has(self, scope: Scope, digest: str) -> bool:
        """Tell whether a piece is there, without reading it."""
        ...

    def remove(self, scope: Scope, digest: str) -> None:
        """Remove a piece; removing a missing one changes nothing."""
        ...

    def purge(self, scope: Scope, *, limit: int) -> int:
        """Remove up to `limit` pieces of a scope, whatever refers to them; return how many."""
        ...

    def idle(self, scope: Scope, *, seconds: float, limit: int) -> list[str]:
        """List pieces that were not put for `seconds`, and clear away what unfinished puts left."""
        ...


class Access(Protocol):
    """Rights, asked for and given with the caller's own credential."""

    async def require(self, action: str, resource: str) -> None:
        """Check that the running call's caller may act on a resource.

        Raises PermissionDenied and AccessUnavailable.
        """
        ...

    async def give(self, grant: ShareGrant, *, request_id: str) -> ShareGrant:
        """Create a grant."""
        ...

    async def revoke(self, grant_name: str) -> None:
        """Take a grant back; taking back a missing one changes nothing."""
        ...

    async def grants(self, *, resource: str = "", grantee: str = "") -> list[ShareGrant]:
        """List grants in force that the caller may see: those covering `resource`, those to `grantee`."""
        ...

    async def received(self, resource: str) -> list[ShareGrant]:
        """List all grants in force by which the running call's caller may use another agent's resource.

        An administrator is let in by none. Raises AccessUnavailable, also when the list is not complete.
        """
        ...


class Meter(Protocol):
    """Counts what happens."""

    def written(self, size: int) -> None:
        """Count a version of `size` bytes."""
        ...

    def read(self, size: int) -> None:
        """Count `size` bytes sent to a reader."""
        ...

    def corrupt(self) -> None:
        """Count stored bytes that do not match their checksum."""
        ...

    def refused(self, reason: str) -> None:
        """Count a write that was refused, such as for `bytes`."""
        ...

    def repeated(self) -> None:
        """Count a repeated request that got its first answer."""
        ...

    def watchers(self, change: int) -> None:
        """Count open watch streams up (+1) or down (-1)."""
        ...

    def collected(self, what: str, count: int) -> None:
        """Count what maintenance removed: blobs, contents, uploads or trash."""
        ...
