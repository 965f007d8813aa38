"""Snapshots: never back, never two owners, never wrong bytes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import DataCorrupt, QuotaExceeded
from services.context.config import ContextConfig
from services.context.core import output_codec as packed
from services.context.core.output_codec import MOST_PLACES
from services.context.core.snapshots import MOST_CHUNKS
from services.context.errors import SnapshotConflict, SnapshotNotFound
from services.context.model import Emitted, Place, Save
from services.context.ports import Part, Transaction
from services.context.service.snapshots import Snapshots
from tests.fakes.clock import FakeClock
from tests.fakes.context import context_service
from tests.fakes.examples import examples
from tests.fakes.meters import RecordingMeter
from tests.fakes.stores.context import InMemoryStore

PLANNER = Scope("acme", "planner")
ACTOR = RequestIdentity("planner", "DeleteSnapshot")


def run(first: int, last: int) -> Emitted:
    """Output from the token after `first` to `last`; what each token says depends on its place only."""
    numbers = range(first + 1, last + 1)
    return Emitted(tuple(numbers), "".join(f"{n} " for n in numbers), tuple(len(f"{n} ") for n in numbers))


def whole(sequence: int, *, epoch: int = 0, owner: str = "", finished: bool = False) -> Save:
    return Save("g", sequence, 0, epoch, owner, "demo", finished, None, b"base", b"state", run(0, sequence))


def more(after: int, sequence: int, *, epoch: int = 0, finished: bool = False) -> Save:
    return Save("g", sequence, after, epoch, finished=finished, state=b"state", emitted=run(after, sequence))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> InMemoryStore:
    return InMemoryStore(clock)


@pytest.fixture
def snapshots(store: InMemoryStore, clock: FakeClock) -> Snapshots:
    config = ContextConfig(max_snapshot_bytes=20_000, quota_snapshot_bytes=Cap.of(30_000))
    return context_service(store=store, clock=clock, config=config).snapshots


async def test_runs_are_put_together_when_there_are_many(snapshots: Snapshots, store: InMemoryStore) -> None:
    await snapshots.save(PLANNER, whole(1))
    for sequence in range(1, 2 * MOST_CHUNKS):
        await snapshots.save(PLANNER, more(sequence, sequence + 1))
    found = await snapshots.load(PLANNER, "g")
    parts = await store.read(PLANNER, lambda tx: tx.parts("g"))

    assert found.emitted == run(0, 2 * MOST_CHUNKS)
    assert len(parts) <= MOST_CHUNKS + 2


async def test_the_alternatives_of_the_newest_tokens_are_kept(snapshots: Snapshots) -> None:
    """Added like the output; the oldest go first, so that a long answer's snapshot stays small."""
    limits = ContextConfig(max_snapshot_bytes=1_000_000, quota_snapshot_bytes=Cap.of(1_000_000))
    snapshots = context_service(config=limits).snapshots
    step, total = 100, 7_100
    for after in range(0, total, step):
        places = tuple(Place(number, b"alternatives") for number in range(after + 1, after + step + 1))
        emitted = replace(run(after, after + step), places=places)
        await snapshots.save(PLANNER, Save("g", after + step, after, model="demo", emitted=emitted))
    found = (await snapshots.load(PLANNER, "g")).emitted

    assert [place.sequence for place in found.places] == list(range(total - MOST_PLACES + 1, total + 1))
    assert replace(found, places=()) == run(0, total)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.binary(max_size=9))), st.text(max_size=9))
def test_a_run_of_output_comes_back_as_it_was_packed(places: list[tuple[int, bytes]], text: str) -> None:
    emitted = Emitted((1, 2), text, (1, 1), tuple(Place(*place) for place in places))

    assert packed.unpack(packed.pack(emitted)) == emitted


async def test_a_late_older_save_changes_nothing(snapshots: Snapshots) -> None:
    await snapshots.save(PLANNER, whole(5))
    late = await snapshots.save(PLANNER, whole(3))
    repeated = await snapshots.save(PLANNER, more(3, 5))
    found = await snapshots.load(PLANNER, "g")

    assert (late.sequence, late.stored, repeated.sequence) == (5, False, 5)
    assert found.emitted == run(0, 5)


async def test_a_repeat_may_finish_what_was_saved_unfinished(snapshots: Snapshots) -> None:
    await snapshots.save(PLANNER, whole(3))
    await snapshots.save(PLANNER, more(3, 5))
    await snapshots.save(PLANNER, more(3, 5, finished=True))
    found = await snapshots.load(PLANNER, "g")

    assert found.head.finished
    assert found.emitted == run(0, 5)


async def test_what_has_finished_stays_so(snapshots: Snapshots) -> None:
    await snapshots.save(PLANNER, whole(5, finished=True))
    await snapshots.save(PLANNER, whole(5))
    with pytest.raises(SnapshotConflict):
        await snapshots.save(PLANNER, more(5, 6))

    assert (await snapshots.load(PLANNER, "g")).head.finished


async def test_two_owners_of_one_epoch_do_not_mix(snapshots: Snapshots) -> None:
    await snapshots.save(PLANNER, whole(2, owner="gateway-a"))
    with pytest.raises(SnapshotConflict):
        await snapshots.save(PLANNER, whole(3, owner="gateway-b"))

    assert (await snapshots.save(PLANNER, whole(3, owner="gateway-a"))).sequence == 3


async def test_a_claim_may_name_the_epoch_it_expects(snapshots: Snapshots) -> None:
    await snapshots.save(PLANNER, whole(2))
    await snapshots.claim(PLANNER, "g", "gateway-a", 0)
    with pytest.raises(SnapshotConflict) as refused:
        await snapshots.claim(PLANNER, "g", "gateway-b", 7)
    taken = await snapshots.claim(PLANNER, "g", "gateway-b", 1)

    assert refused.value.metadata == {"sequence": "2", "epoch": "1"}
    assert (taken.head.epoch, taken.head.owner) == (2, "gateway-b")


async def test_an_owner_from_before_cannot_bring_a_deleted_snapshot_back(
    snapshots: Snapshots, clock: FakeClock
) -> None:
    await snapshots.save(PLANNER, whole(2))
    await snapshots.claim(PLANNER, "g", "gateway-b", 0)
    await snapshots.delete(PLANNER, ACTOR, "g", 1)
    with pytest.raises(SnapshotConflict):
        await snapshots.save(PLANNER, whole(2, epoch=0))
    with pytest.raises(SnapshotNotFound):
        await snapshots.save(PLANNER, more(2, 3, epoch=1))
    clock.advance(3601)

    assert (await snapshots.save(PLANNER, whole(2, epoch=0))).sequence == 2


async def test_a_delete_under_an_old_epoch_is_refused(snapshots: Snapshots) -> None:
    await snapshots.save(PLANNER, whole(2))
    await snapshots.claim(PLANNER, "g", "gateway-a", 0)
    await snapshots.claim(PLANNER, "g", "gateway-b", 0)
    with pytest.raises(SnapshotConflict):
        await snapshots.delete(PLANNER, ACTOR, "g", 1)


@pytest.mark.parametrize("part", list(Part))
async def test_a_flipped_bit_is_data_loss_and_not_a_wrong_answer(part: Part, clock: FakeClock) -> None:
    store, meter = InMemoryStore(clock), RecordingMeter()
    snapshots = context_service(store=store, clock=clock, meter=meter).snapshots
    await snapshots.save(PLANNER, whole(5))

    def damage(tx: Transaction) -> None:
        data = next(stored.data for stored in tx.parts("g") if stored.part is part)
        tx.put_part("g", part, 0, data[:-1] + bytes([data[-1] ^ 1]))

    await store.write(PLANNER, damage)
    with pytest.raises(DataCorrupt):
        await snapshots.load(PLANNER, "g")
    await store.write(PLANNER, lambda tx: tx.drop_parts("g", part))
    with pytest.raises(DataCorrupt):
        await snapshots.claim(PLANNER, "g", "gateway-b", 0)

    assert meter.counts["corrupt"] == 2


async def test_one_snapshot_and_all_together_have_limits(snapshots: Snapshots) -> None:
    big = replace(whole(1), base=b"x" * 19_000)
    await snapshots.save(PLANNER, big)
    with pytest.raises(QuotaExceeded, match="bytes in one snapshot"):
        await snapshots.save(PLANNER, replace(more(1, 2), state=b"x" * 5_000))
    with pytest.raises(QuotaExceeded, match="snapshot bytes"):
        await snapshots.save(PLANNER, replace(big, generation="h"))
    await snapshots.save(Scope("acme", "critic"), replace(big, generation="h"))
    await snapshots.delete(PLANNER, ACTOR, "g", 0)
    await snapshots.save(PLANNER, replace(big, generation="h"))


async def test_lives_follow_what_was_asked_for_within_a_day(snapshots: Snapshots, clock: FakeClock) -> None:
    async def life(save: Save) -> timedelta:
        await snapshots.save(PLANNER, save)
        return (await snapshots.load(PLANNER, "g")).head.expires_at - clock.now()

    assert await life(whole(1)) == timedelta(hours=1)
    assert await life(replace(whole(2), expires_at=clock.now() + timedelta(days=9))) == timedelta(days=1)
    assert await life(whole(3, finished=True)) == timedelta(minutes=10)


async def test_expired_snapshots_are_collected(snapshots: Snapshots, clock: FakeClock) -> None:
    await snapshots.save(PLANNER, whole(1))
    clock.advance(3601)
    await snapshots.collect()

    assert await snapshots.page(PLANNER, before=None, unfinished=False, limit=5) == []
    with pytest.raises(SnapshotNotFound):
        await snapshots.claim(PLANNER, "g", "gateway-a", 0)


class SnapshotMachine(RuleBasedStateMachine):
    """Two gateways and one generation; each believes it owns it from time to time."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.snapshots = context_service().snapshots
        self.epochs = {"a": 0, "b": 0}
        self.epoch = -1  # nothing stored
        self.sequence = 0
        self.finished = False

    def teardown(self) -> None:
        self.runner.close()

    @rule(who=st.sampled_from("ab"), count=st.integers(0, 3), back=st.integers(0, 4), finish=st.booleans())
    def save(self, who: str, count: int, back: int, *, finish: bool) -> None:
        """Save from `back` tokens before the stored end to `count` tokens after that place."""
        after = max(0, self.sequence - back)
        epoch = self.epochs[who]
        request = (
            more(after, after + count, epoch=epoch, finished=finish)
            if after
            else whole(count, epoch=epoch, finished=finish)
        )
        try:
            saved = self.runner.run(self.snapshots.save(PLANNER, request))
        except (SnapshotConflict, SnapshotNotFound):
            return
        assert self.epoch in (-1, epoch)
        assert saved.sequence == max(self.sequence, request.sequence)
        self.finished = self.finished or (finish and request.sequence >= self.sequence)
        self.sequence = saved.sequence
        self.epoch = epoch

    @rule(who=st.sampled_from("ab"))
    def claim(self, who: str) -> None:
        try:
            taken = self.runner.run(self.snapshots.claim(PLANNER, "g", who, 0))
        except SnapshotNotFound:
            assert self.epoch == -1
            return
        assert taken.head.epoch >= self.epoch
        self.epoch = self.epochs[who] = taken.head.epoch

    @invariant()
    def the_stored_snapshot_is_whole(self) -> None:
        if self.epoch == -1:
            return
        found = self.runner.run(self.snapshots.load(PLANNER, "g"))
        assert found.head.sequence == self.sequence
        assert found.emitted == run(0, self.sequence)
        assert found.head.finished is self.finished


SnapshotMachine.TestCase.settings = settings(max_examples=examples(50), stateful_step_count=25, deadline=None)
TestSnapshotMachine = SnapshotMachine.TestCase
