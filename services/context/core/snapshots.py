"""Saving, loading and claiming of unfinished generations, inside one transaction.

A save writes what is new: the head, the state, and the run of output since the last save; the prompt is
written once. Only the owner of the current epoch may save. The stored sequence never goes back, and what has
finished stays so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.chassis.db.checksummed import add_checksum, verify_checksum
from services.chassis.rpc.errors import DataCorrupt, QuotaExceeded
from services.context.core import output_codec as packed
from services.context.errors import SnapshotConflict, SnapshotNotFound
from services.context.model import Emitted, Head, Save, Snapshot
from services.context.ports import Part, Transaction

MOST_CHUNKS = 64
"""Runs of output after which a save puts them together into one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotLimits:
    """How large a snapshot may be, and how long it is kept."""

    one: int = 4 * 1024 * 1024
    """Largest snapshot. Unit: bytes."""
    life: timedelta = timedelta(hours=1)
    """Of an unfinished one, from its last save."""
    finished_life: timedelta = timedelta(minutes=10)
    longest_life: timedelta = timedelta(days=1)
    """The most that a caller may ask for."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a snapshot stands after a save."""

    sequence: int
    epoch: int
    stored: bool
    """Whether the save changed anything; a repeat does not."""


def save(tx: Transaction, request: Save, now: datetime, limits: SnapshotLimits) -> Saved:
    """Save a generation, whole or what came since the last save.

    Raises SnapshotConflict, SnapshotNotFound (nothing to add to) and QuotaExceeded.
    """
    stored = tx.head(request.generation)
    if stored is not None and stored.expires_at <= now:
        tx.drop_snapshot(request.generation)
        tx.count(snapshots=-int(not stored.deleted), snapshot_bytes=-stored.size)
        stored = None
    if stored is not None:
        _check_owner(stored, request)
    if stored is None or stored.deleted:
        if not request.whole:  # an increment on nothing would leave a hole; the writer then saves everything
            raise SnapshotNotFound.of(request.generation)
        return _write(tx, request, _new(request, now), now, limits)
    # A save that was overtaken, or comes again: what is stored covers it, and going back would lose output.
    if request.sequence < stored.sequence or (stored.finished and request.sequence == stored.sequence):
        return Saved(stored.sequence, stored.epoch, stored=False)
    if stored.finished:
        raise _conflict("the generation has finished", stored)
    if not request.whole and request.after != stored.sequence:
        if request.sequence != stored.sequence:
            raise _conflict(f"the stored snapshot stands at {stored.sequence}, not {request.after}", stored)
        request = replace(request, emitted=Emitted())  # a repeat: the output is there, the state may be newer
    return _write(tx, request, stored, now, limits)


def load(tx: Transaction, generation: str, now: datetime) -> Snapshot:
    """Return a snapshot.

    Raises SnapshotNotFound and DataCorrupt.
    """
    head = _living(tx, generation, now)
    found: dict[Part, bytes] = {}
    runs: list[Emitted] = []
    for part, _, data in tx.parts(generation):
        plain = verify_checksum(data, f"snapshot {generation}")
        if part is Part.EMITTED:
            runs.append(packed.unpack(plain))
        found[part] = plain
    base, state = found.get(Part.BASE), found.get(Part.STATE)
    if base is None or state is None or len(runs) != head.chunks:
        raise DataCorrupt(f"parts of snapshot {generation} are missing", metadata={"what": generation})
    return Snapshot(head, base, state, packed.join(runs) if runs else Emitted())


def claim(tx: Transaction, generation: str, owner: str, expected_epoch: int, now: datetime) -> bool:
    """Make `owner` the only owner of a generation; return whether it was another's.

    Raises SnapshotNotFound and SnapshotConflict.
    """
    head = _living(tx, generation, now)
    if head.owner == owner and head.epoch:  # a repeated claim must not fence off its own owner's saves
        return False
    if expected_epoch and expected_epoch != head.epoch:
        raise _conflict(f"the epoch is {head.epoch}, not {expected_epoch}", head)
    tx.put_head(replace(head, owner=owner, epoch=head.epoch + 1))
    return True


def delete(tx: Transaction, generation: str, epoch: int, now: datetime, life: timedelta) -> None:
    """Delete a snapshot.

    Its epoch is remembered for `life`, so that an owner from before cannot bring it back.

    Raises SnapshotConflict when `epoch` is given and is not the current one.
    """
    head = tx.head(generation)
    if head is None or head.deleted or head.expires_at <= now:
        return
    if epoch and epoch != head.epoch:
        raise _conflict(f"the epoch is {head.epoch}, not {epoch}", head)
    tx.drop_parts(generation)
    tx.count(snapshots=-1, snapshot_bytes=-head.size)
    gone = replace(
        head, deleted=True, expires_at=now + life, base_bytes=0, state_bytes=0, emitted_bytes=0, chunks=0
    )
    tx.put_head(gone)


def state_of(head: Head, states: Mapping[str, bytes]) -> bytes:
    """Return the state of a snapshot out of the stored ones.

    Raises DataCorrupt.
    """
    return verify_checksum(states.get(head.generation, b""), f"snapshot {head.generation}")


def _living(tx: Transaction, generation: str, now: datetime) -> Head:
    head = tx.head(generation)
    if head is None or head.deleted or head.expires_at <= now:
        raise SnapshotNotFound.of(generation)
    return head


def _check_owner(stored: Head, request: Save) -> None:
    """Refuse a save of an older epoch, or of another owner within the same one.

    The epoch is a fencing token. Each claim raises it, so a gateway that was cut off and has been replaced
    fails with its next save instead of writing over its successor's. No claim has given out an epoch above
    the stored one; after a deletion the remembered one is only a lower bound.
    Before the first claim all owners have epoch 0, and the owner's name tells two of them apart.
    """
    if request.epoch < stored.epoch or (request.epoch > stored.epoch and not stored.deleted):
        raise _conflict(f"the epoch is {stored.epoch}, not {request.epoch}", stored)
    both = request.whole and request.owner and stored.owner and not stored.deleted
    if both and request.owner != stored.owner:
        raise _conflict(f"{stored.owner} owns the generation", stored)


def _new(request: Save, now: datetime) -> Head:
    return Head(
        generation=request.generation,
        model=request.model,
        epoch=request.epoch,
        owner=request.owner,
        sequence=0,
        finished=False,
        created_at=now,
        updated_at=now,
        expires_at=now,
    )


def _write(tx: Transaction, request: Save, old: Head, now: datetime, limits: SnapshotLimits) -> Saved:
    has_output = request.emitted != Emitted()
    run = add_checksum(packed.pack(request.emitted)) if has_output else b""
    state = add_checksum(request.state)
    head = replace(
        old,
        sequence=request.sequence,
        finished=request.finished,
        updated_at=now,
        expires_at=_expiry(request, now, limits),
        state_bytes=len(state),
        emitted_bytes=len(run) if request.whole else old.emitted_bytes + len(run),
        chunks=int(has_output) if request.whole else old.chunks + int(has_output),
    )
    if request.whole:
        base = add_checksum(request.base)
        head = replace(head, model=request.model, owner=old.owner or request.owner, base_bytes=len(base))
        tx.drop_parts(request.generation)
        tx.put_part(request.generation, Part.BASE, 0, base)
    if head.size > limits.one:
        agent = tx.scope.agent
        raise QuotaExceeded.of(agent, "bytes in one snapshot", wanted=head.size, limit=limits.one)
    tx.put_part(request.generation, Part.STATE, 0, state)
    if has_output:
        tx.put_part(request.generation, Part.EMITTED, request.after, run)
    if head.chunks > MOST_CHUNKS:
        head = _compact(tx, head)
    tx.put_head(head)
    tx.count(snapshots=int(old.size == 0), snapshot_bytes=head.size - old.size)
    return Saved(head.sequence, head.epoch, stored=True)


def _compact(tx: Transaction, head: Head) -> Head:
    """Put the runs of output together into one."""
    runs = [
        packed.unpack(verify_checksum(data, f"snapshot {head.generation}"))
        for part, _, data in tx.parts(head.generation)
        if part is Part.EMITTED
    ]
    whole = add_checksum(packed.pack(packed.join(runs)))
    tx.drop_parts(head.generation, Part.EMITTED)
    tx.put_part(head.generation, Part.EMITTED, 0, whole)
    return replace(head, emitted_bytes=len(whole), chunks=1)


def _expiry(request: Save, now: datetime, limits: SnapshotLimits) -> datetime:
    if request.expires_at is None:
        return now + (limits.finished_life if request.finished else limits.life)
    return min(max(request.expires_at, now), now + limits.longest_life)


def _conflict(why: str, stored: Head) -> SnapshotConflict:
    return SnapshotConflict.of(why, sequence=stored.sequence, epoch=stored.epoch)
