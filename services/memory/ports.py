"""What the memory manager needs from the outside: a durable store, and somebody to count."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Usage
from services.memory.model import Entry, Filter, Listed, Note, Order, Totals

T = TypeVar("T")

Position = tuple[str | int, ...]
"""Where a page begins: (key,), or (microseconds since 1970, key) in an order by time."""


class Transaction(Protocol):
    """One transaction on the notes of one scope. Sees and changes nothing of another scope."""

    @property
    def scope(self) -> Scope:
        """Whose notes they are."""
        ...

    def note(self, key: str) -> Note | None:
        """Return a note, expired ones included.

        Raises DataCorrupt.
        """
        ...

    def notes(self, keys: Sequence[str]) -> dict[str, Note]:
        """Return those notes that exist.

        Raises DataCorrupt.
        """
        ...

    def etag(self, key: str) -> str:
        """Return the etag of a note; empty when there is none."""
        ...

    def put(self, note: Note, entry: Entry | None) -> None:
        """Insert or replace a note; without `entry` search goes on with what it knows."""
        ...

    def drop(self, key: str) -> None:
        """Forget a note."""
        ...

    def pointing_at(self, key: str) -> list[str]:
        """Return the keys of the notes that link to a key, in order."""
        ...

    def listed(
        self, wanted: Filter, order: Order, *, after: Position | None, now: datetime, limit: int
    ) -> list[Listed]:
        """List notes that have not expired, those after a position."""
        ...

    def matching(
        self, wanted: Filter, words: Sequence[str], *, now: datetime, limit: int
    ) -> list[tuple[Listed, str]]:
        """Return notes that hold any of `words`, and all their words; at most the last changed ones."""
        ...

    def vectors(self, wanted: Filter, *, now: datetime, limit: int) -> list[tuple[Listed, bytes]]:
        """Return the embeddings of notes; of the last changed ones when there are more."""
        ...

    def keep_ranking(self, ranking: str, body: bytes) -> None:
        """Keep a ranking of a search under a new id for a while; see `services.chassis.db.rankings`."""
        ...

    def ranking(self, ranking: str) -> bytes | None:
        """Return a ranking that was kept, or None."""
        ...

    def expired(self, now: datetime, *, limit: int) -> list[str]:
        """Return the keys of notes that have expired."""
        ...

    def touch(self, times: Mapping[str, datetime]) -> None:
        """Note when some notes were last used; those that do not exist are passed over."""
        ...

    def totals(self) -> Totals:
        """Return the running sums."""
        ...

    def put_totals(self, totals: Totals) -> None:
        """Replace the running sums."""
        ...

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        ...

    def settle(self, caps: Caps) -> None:
        """Charge what was noted, answers that are kept included, once and last in a transaction.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        ...

    def used(self, caps: Caps) -> list[Usage]:
        """Return what the scope, its tree and its tenant use of each quota."""
        ...

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer that this very request got before, or None.

        Raises IdempotencyMismatch when the id was used for a request with another digest.
        """
        ...

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request for its repeats; nothing happens without a request id."""
        ...


class NoteStore(Protocol):
    """The durable store behind the RAM."""

    @property
    def exclusive(self) -> bool:
        """Whether no other process writes here, so that what is in RAM needs no check."""
        ...

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent view of a scope. It may run in another thread and must not write."""
        ...

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction; when this returns, its changes survive a crash and a power cut.

        Transactions of a scope run one after the other. `work` may run more than once, in another thread;
        when it raises, nothing is changed. Raises DiskFull and ServiceUnavailable.
        """
        ...

    async def expiring(self, *, limit: int) -> list[Scope]:
        """Return scopes with expired notes."""
        ...

    async def collect(self) -> None:
        """Forget answers and rankings that are no longer kept."""
        ...

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent, batch by batch; return what and how many."""
        ...

    async def written_by(self, writer: Scope, *, limit: int) -> list[Scope]:
        """Return scopes of others with notes that an agent wrote last."""
        ...

    async def forget_writer(self, writer: Scope, owner: Scope) -> int:
        """Blank the writer of the notes in another scope that an agent wrote last; return how many."""
        ...


class Meter(Protocol):
    """Counts what happens."""

    def read(self, *, resident: bool) -> None:
        """Count a read; `resident` when RAM had the note."""
        ...

    def written(self, size: int) -> None:
        """Count a write of a note of `size` bytes."""
        ...

    def evicted(self, count: int) -> None:
        """Count notes moved out of RAM."""
        ...

    def restored(self) -> None:
        """Count a note brought back into RAM."""
        ...

    def resident(self, count: int, size: int) -> None:
        """Note how much is in RAM in all. Unit of `size`: bytes."""
        ...

    def expired(self, count: int) -> None:
        """Count notes that deleted themselves."""
        ...

    def refused(self) -> None:
        """Count a write that the quota refused."""
        ...

    def corrupt(self) -> None:
        """Count stored bytes that did not match their checksum."""
        ...

    def searched(self, mode: str, candidates: int) -> None:
        """Count a search that compared `candidates` notes."""
        ...
