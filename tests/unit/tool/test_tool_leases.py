"""Where providers take calls: leases that outlive streams, and who gets which call when."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import AgentInactive, KernelError
from services.chassis.runtime.clock import SystemClock
from services.tool.model import (
    Driver,
    DriverKind,
    Effect,
    Heartbeat,
    HeldCall,
    ProviderEvent,
    Revoked,
    Taken,
    Tool,
    ToolCall,
    ToolOutcome,
)
from services.tool.service.call_run import CallRun, Stop
from services.tool.service.leases import (
    RETURN_SECONDS,
    Lease,
    LeaseEndedError,
    LeaseManager,
    NoRoomError,
    ProviderStream,
)
from tests.fakes.clock import FakeClock
from tests.fakes.meters import RecordingMeter

WORKER = Scope("acme", "worker")
PLANNER = Scope("acme", "planner")
LEASE = 30.0
MAIL = Tool(id="mail", owner="worker", driver=Driver(DriverKind.PROVIDER, lease_seconds=LEASE))
DONE = ToolOutcome(value={"sent": True})

Events = AsyncGenerator[ProviderEvent, None]


class Office:
    """Leases on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.leases = LeaseManager(self.clock, RecordingMeter())
        self._numbers = 0

    async def serve(
        self, instance: str = "p1", *, process: str = "", capacity: int = 4, held: tuple[HeldCall, ...] = ()
    ) -> Events:
        """Connect a process and read its first heartbeat."""
        stream = ProviderStream(WORKER, frozenset({"mail"}), capacity, instance, process)
        events = self.leases.serve(stream, held)
        assert isinstance(await anext(events), Heartbeat)
        return events

    def run(self) -> CallRun:
        """Make a call."""
        self._numbers += 1
        call = ToolCall(
            id=f"c{self._numbers}",
            tool="mail",
            arguments_sha256="",
            effect=Effect.REVERSIBLE,
            created_at=SystemClock().now(),
        )
        return CallRun(PLANNER, MAIL, call, "{}")

    async def lease(self) -> Lease:
        """Lease a call and hand it over."""
        lease = await self.leases.assign(self.run(), 0.0)
        self.dispatch(lease)
        return lease

    def dispatch(self, lease: Lease) -> None:
        """Hand a call over that must have ended in a minute."""
        self.leases.dispatch(lease, self.clock.now() + timedelta(seconds=60))

    def complete(self, lease: Lease, provider: Scope = WORKER) -> None:
        """Report a call's end."""
        self.leases.complete(provider, "planner", lease.run.call.id, lease.id, DONE)

    async def expire(self, seconds: float = LEASE + 1) -> None:
        """Let time pass and look at the leases."""
        self.clock.advance(seconds)
        await self.leases.expire()


@pytest.fixture
def office() -> Office:
    return Office()


async def following(events: Events) -> ProviderEvent:
    """Return what a process is told next."""
    async with asyncio.timeout(20):
        return await anext(events)


async def quiet(events: Events) -> bool:
    """Whether a process is told nothing now."""
    waiting = asyncio.ensure_future(anext(events))
    for _ in range(5):
        await asyncio.sleep(0)
    told = waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})
    return not told


def lost(lease: Lease) -> bool:
    """Return whether the lease ended with its holder lost, which raises; and whether it had been sent."""
    with pytest.raises(LeaseEndedError) as ended:
        lease.outcome.result()
    return ended.value.sent


@pytest.mark.parametrize("process", ["", "x1"])
async def test_a_provider_whose_stream_breaks_completes_its_call_within_the_lease(
    office: Office, process: str
) -> None:
    events = await office.serve(process=process)
    lease = await office.lease()
    taken = await following(events)
    await events.aclose()
    office.clock.advance(LEASE - 1)
    office.complete(lease)

    assert isinstance(taken, Taken)
    assert (taken.time_left, taken.terms.left) == (60.0, LEASE)
    assert lease.outcome.result() == DONE


async def test_signs_of_life_over_another_connection_prolong_the_lease(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    await following(events)
    await events.aclose()
    for _ in range(3):
        office.clock.advance(LEASE - 1)
        _, terms = office.leases.renew(WORKER, "planner", lease.run.call.id, lease.id)
        await office.leases.expire()

    assert terms.left == LEASE
    office.complete(lease)


async def test_a_lease_of_a_stream_that_broke_ends_when_its_time_is_up(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    await following(events)
    await events.aclose()
    await office.expire()

    assert lost(lease)
    with pytest.raises(KernelError) as refused:
        office.complete(lease)
    assert refused.value.reason == "CALL_LEASE_LOST"


async def test_only_the_provider_completes_its_call_wherever_it_is(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    await following(events)
    await events.aclose()
    for stranger in (Scope("acme", "critic"), Scope("globex", "worker")):
        with pytest.raises(KernelError):
            office.complete(lease, stranger)
    office.complete(lease)


@pytest.mark.parametrize("when", ["before it is handed over", "while it waits for the stream"])
async def test_a_call_whose_lease_has_ended_is_not_handed_over(office: Office, when: str) -> None:
    events = await office.serve()
    lease = await office.leases.assign(office.run(), 0.0)
    if when == "before it is handed over":
        await office.expire()
        office.dispatch(lease)
    else:
        office.dispatch(lease)
        await office.expire()
    told = await following(events)

    assert isinstance(told, Revoked)
    assert await quiet(events)
    assert not lost(lease)  # so whatever its effect, it may be given to another


async def test_a_lease_whose_time_is_up_is_not_handed_over_although_nobody_has_looked_yet(
    office: Office,
) -> None:
    events = await office.serve()
    lease = await office.leases.assign(office.run(), 0.0)
    office.clock.advance(LEASE + 1)
    office.dispatch(lease)

    assert isinstance(await following(events), Revoked)
    assert not lost(lease)


async def test_a_call_that_waits_for_a_slow_stream_is_not_sent_after_its_lease(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    office.clock.advance(LEASE + 1)  # the stream takes nothing, and nobody has looked at the leases

    assert isinstance(await following(events), Revoked)
    assert not lost(lease)


async def test_a_call_that_was_not_sent_when_the_stream_broke_is_free_at_once(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    await events.aclose()

    assert not lost(lease)


async def test_a_process_that_returns_holds_what_it_held_and_hears_of_no_call_twice(office: Office) -> None:
    events = await office.serve(process="x1", capacity=1)
    lease = await office.lease()
    await following(events)
    await events.aclose()
    again = await office.serve(process="x1", capacity=1, held=(HeldCall("planner", "c1", lease.id),))

    assert await quiet(again)
    with pytest.raises(NoRoomError):
        await office.leases.assign(office.run(), 0.0)
    office.complete(lease)


async def test_a_call_that_never_reached_a_process_is_sent_to_it_again(office: Office) -> None:
    events = await office.serve(process="x1")
    lease = await office.lease()
    await following(events)  # the connection breaks with the message on it
    await events.aclose()
    again = await office.serve(process="x1")
    told = await following(again)

    assert isinstance(told, Taken)
    assert told.lease_id == lease.id
    office.complete(lease)


async def test_what_a_process_still_holds_but_has_lost_is_revoked(office: Office) -> None:
    events = await office.serve(process="x1")
    lease = await office.lease()
    await following(events)
    await events.aclose()
    await office.expire()
    again = await office.serve(process="x1", held=(HeldCall("planner", "c1", lease.id),))

    assert await following(again) == Revoked(PLANNER, "c1", lease.id, "CALL_LEASE_LOST")


@pytest.mark.parametrize(("instance", "process"), [("p1", "x2"), ("p2", ""), ("p2", "x2")])
async def test_another_process_gets_no_call_of_one_that_died(
    office: Office, instance: str, process: str
) -> None:
    events = await office.serve(process="x1")
    lease = await office.lease()
    await following(events)
    await events.aclose()
    other = await office.serve(instance, process=process)

    assert await quiet(other)
    assert not lease.outcome.done()
    await office.expire()
    assert lost(lease)


async def test_a_process_of_which_only_the_instance_is_known_is_told_its_leases_not_given_them_again(
    office: Office,
) -> None:
    events = await office.serve()
    lease = await office.lease()
    await following(events)
    await events.aclose()
    stream = ProviderStream(WORKER, frozenset({"mail"}), 1, "p1")
    again = office.leases.serve(stream)
    first = await anext(again)

    assert first == Heartbeat(1, (lease.id,))
    assert await quiet(again)
    office.complete(lease)


async def test_a_new_stream_of_a_process_takes_the_place_of_the_old_one(office: Office) -> None:
    old = await office.serve(process="x1", capacity=1)
    reading = asyncio.ensure_future(anext(old, None))
    new = await office.serve(process="x1", capacity=1)
    lease = await office.lease()

    assert await reading is None
    assert isinstance(await following(new), Taken)
    assert [place.free for place in office.leases.places(WORKER)] == [0]
    office.complete(lease)


async def test_two_processes_share_the_calls(office: Office) -> None:
    one, two = await office.serve("p1", capacity=1), await office.serve("p2", capacity=1)
    await office.lease()
    await office.lease()

    assert isinstance(await following(one), Taken)
    assert isinstance(await following(two), Taken)
    with pytest.raises(NoRoomError):
        await office.leases.assign(office.run(), 0.0)


async def test_a_provider_that_is_not_active_any_more_loses_all_it_holds_and_gets_nothing(
    office: Office,
) -> None:
    gone: list[Scope] = []
    office.leases.on_missing(gone.append)
    events, other = await office.serve("p1"), await office.serve("p2")
    sent, unsent = await office.lease(), await office.lease()
    await following(events)
    office.leases.end_provider(WORKER)
    with pytest.raises(AgentInactive):
        await following(other)

    assert not office.leases.connected("acme", MAIL)
    assert {lost(sent), lost(unsent)} == {True, False}
    assert gone == [WORKER]
    with pytest.raises(NoRoomError):
        await office.leases.assign(office.run(), 0.0)
    with pytest.raises(KernelError):
        office.complete(sent)


async def test_a_killed_provider_also_loses_what_it_holds_without_a_stream(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    await following(events)
    await events.aclose()
    office.leases.end_provider(WORKER)

    assert lost(lease)


async def test_a_provider_that_does_not_come_back_is_given_up(office: Office) -> None:
    gone: list[Scope] = []
    office.leases.on_missing(gone.append)
    events = await office.serve()
    await events.aclose()
    await office.expire(RETURN_SECONDS - 1)
    early = list(gone)
    await office.expire(2)

    assert (early, gone) == ([], [WORKER])


async def test_a_provider_that_comes_back_in_time_is_not_given_up(office: Office) -> None:
    gone: list[Scope] = []
    office.leases.on_missing(gone.append)
    await (await office.serve()).aclose()
    await office.expire(RETURN_SECONDS - 1)
    again = await office.serve()
    await office.expire(RETURN_SECONDS + 1)

    assert gone == []
    await again.aclose()


async def test_room_that_is_given_back_is_found_by_who_waits_for_it(office: Office) -> None:
    events = await office.serve(capacity=1)
    lease = await office.lease()
    await following(events)
    waiting: asyncio.Task[Any] = asyncio.create_task(office.leases.assign(office.run(), 5.0))
    await asyncio.sleep(0)
    with office.leases.leased(lease):
        office.complete(lease)

    assert (await waiting).stream.scope == WORKER


async def test_a_process_that_reads_nothing_holds_no_call_that_has_ended(office: Office) -> None:
    events = await office.serve()
    lease = await office.lease()
    gone = weakref.ref(lease.run)
    with office.leases.leased(lease):
        lease.run.stop_reason = Stop.CANCELLED
    del lease
    gc.collect()

    assert gone() is None
    assert isinstance(await following(events), Revoked)
