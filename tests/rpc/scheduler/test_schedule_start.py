"""A watch that begins with what waits and runs: nothing between the two is lost or told twice."""

from contextlib import aclosing
from typing import Any

from hypothesis import given, settings

from aios.api.scheduler.v1 import scheduler_pb2 as pb
from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.scheduler.core.events import Finished, PolicyChanged, Progress, Yielded
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.service.watching import WATCHED_EVENTS, Viewer
from services.scheduler.wire import scheduling
from tests.fakes.clock import FakeClock
from tests.fakes.examples import examples
from tests.fakes.meters import RecordingMeter
from tests.fakes.scheduling import settings as core_settings
from tests.fakes.tokens import metadata
from tests.rpc.scheduler.test_scheduler_views import Desk, kinds, scheduler, watching
from tests.unit.scheduler.test_scheduler_listing import STEPS, World, play

_LEAVES = {pb.SCHEDULE_EVENT_KIND_FINISHED, pb.SCHEDULE_EVENT_KIND_REJECTED}


def initial(desk: Desk, agent: str = "planner", parent: str = "", **caller: Any) -> Any:
    """Open a watch that begins with what is known."""
    request = pb.WatchScheduleRequest(parent=parent, initial=True)
    return desk.stub.WatchSchedule(request, metadata=metadata(agent, **caller), timeout=10)


async def read(stream: Any, count: int) -> list[pb.WatchScheduleResponse]:
    """Read so many events."""
    return [await stream.read() for _ in range(count)]


def short(event: pb.WatchScheduleResponse) -> tuple[str, int]:
    return event.syscall.name.rpartition("/")[2], event.syscall.state


async def test_a_watch_begins_with_what_waits_and_runs_and_goes_on_with_what_happens_after_it() -> None:
    async with scheduler() as desk:
        desk.submit("runs")
        desk.take(Progress("acme/planner/runs", 3))
        desk.clock.advance(2.0)
        desk.submit("waits")
        stream = initial(desk)
        begun = await read(stream, 4)
        desk.take(Finished("acme/planner/runs", Completion.COMPLETED, 3))
        after = await read(stream, 2)
        stream.cancel()

    assert kinds(begun) == ["known_started", "known", "known", "known_ended"]
    assert [short(each) for each in begun[1:3]] == [
        ("runs", pb.SYSCALL_STATE_RUNNING),
        ("waits", pb.SYSCALL_STATE_WAITING),
    ]
    assert (begun[1].syscall.replica, begun[1].syscall.tokens_done, begun[2].syscall.replica) == ("r0", 3, "")
    assert not any(each.resumed for each in begun)
    assert len({each.sequence for each in begun}) == 1
    assert kinds(after) == ["finished", "granted"]
    assert begun[0].sequence < after[0].sequence < after[1].sequence


async def test_a_call_that_goes_on_after_a_preemption_is_known_as_resumed() -> None:
    async with scheduler() as desk:
        desk.submit("c")
        desk.take(Progress("acme/planner/c", 3), Yielded("acme/planner/c", 3))
        stream = initial(desk)
        _, known, _ = await read(stream, 3)
        stream.cancel()

    assert (known.syscall.state, known.resumed) == (pb.SYSCALL_STATE_RUNNING, True)


async def test_the_start_of_an_empty_queue_is_told_and_only_to_those_who_ask_for_it() -> None:
    async with scheduler() as desk:
        plain = await watching(desk)
        stream = initial(desk)
        begun = await read(stream, 2)
        desk.submit("c")
        first = await plain.next(1)
        stream.cancel()
        plain.leave()

    assert kinds(begun) == ["known_started", "known_ended"]
    assert kinds(first) == ["submitted"]


async def test_the_start_holds_an_agents_own_calls_and_its_childrens_and_no_others() -> None:
    async with scheduler() as desk:
        desk.submit("hers", tenant="globex", agent="planner")
        desk.submit("his", agent="critic")
        desk.submit("childs", agent="helper", agent_path=("acme/planner",))
        desk.submit("own")
        own = await read(initial(desk), 4)
        tenants = await read(initial(desk, "ops", kind="admin"), 5)
        one = await read(initial(desk, "ops", parent="agents/critic", kind="admin"), 3)

    assert [short(each)[0] for each in own[1:-1]] == ["childs", "own"]
    assert [short(each)[0] for each in tenants[1:-1]] == ["his", "childs", "own"]
    assert [short(each)[0] for each in one[1:-1]] == ["his"]


async def test_lists_and_gauges_tell_up_to_which_event_they_are() -> None:
    async with scheduler() as desk:
        stream = initial(desk)
        await read(stream, 2)
        desk.submit("c")
        who = metadata("planner")
        listed = await desk.stub.ListSyscalls(pb.ListSyscallsRequest(), metadata=who, timeout=5)
        queue = await desk.stub.GetQueue(pb.GetQueueRequest(), metadata=who, timeout=5)
        desk.take(Finished("acme/planner/c", Completion.COMPLETED, 0))
        events = await read(stream, 3)
        stream.cancel()

    assert listed.sequence == queue.sequence == events[1].sequence
    assert kinds(events) == ["submitted", "granted", "finished"]
    assert events[2].sequence > listed.sequence


async def test_numbers_go_on_growing_after_a_restart() -> None:
    service = SchedulerService(SchedulerCore(), FakeClock(), RecordingMeter(), first_sequence=7_000_000)
    viewer = Viewer("acme", "")
    async with aclosing(service.watch(viewer, initial=True)) as watch:
        assert (await anext(watch)).sequence == 7_000_000
        assert (await anext(watch)).sequence == 7_000_000
        service.take(PolicyChanged(SchedulingClass.BATCH, "fifo"))
        assert (await anext(watch)).sequence == 7_000_001
    service.close()


class Page:
    """What a viewer makes of a watch, as the proto says it may."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.sequence = 0
        self.kind: int = pb.SCHEDULE_EVENT_KIND_UNSPECIFIED

    def take(self, event: pb.WatchScheduleResponse) -> None:
        assert event.sequence >= self.sequence
        assert not event.lost_count
        self.sequence, self.kind = event.sequence, event.kind
        if event.kind == pb.SCHEDULE_EVENT_KIND_KNOWN_STARTED:
            self.calls.clear()
        elif event.kind in _LEAVES:
            self.calls.pop(event.syscall.name, None)
        elif event.HasField("syscall"):
            self.calls[event.syscall.name] = event.syscall.state


def listed(world: World, viewer: Viewer) -> dict[str, int]:
    now, wall = world.clock.monotonic(), world.clock.now()
    rows = [scheduling.syscall(entry, call, now, wall) for entry, call in world.service.queue(viewer)]
    return {row.name: row.state for row in rows}


@given(before=STEPS, between=STEPS, after=STEPS)
@settings(max_examples=examples(15))
async def test_whatever_happens_while_the_start_is_read_a_viewer_ends_with_what_is_listed(
    before: list[tuple[str, int, str, str]],
    between: list[tuple[str, int, str, str]],
    after: list[tuple[str, int, str, str]],
) -> None:
    world, viewer = World("rr"), Viewer("acme", "")
    play(world, before)
    page, first = Page(), listed(world, viewer)
    async with aclosing(world.service.watch(viewer, initial=True)) as watch:

        async def take_one() -> None:
            message = scheduling.schedule_event(
                await anext(watch), world.clock.monotonic(), world.clock.now()
            )
            if message is not None:
                page.take(message)

        await take_one()
        play(world, between)
        while page.kind != pb.SCHEDULE_EVENT_KIND_KNOWN_ENDED:
            await take_one()
        assert page.calls == first
        play(world, after)
        # Everybody is told of it, so it is the last that this watch brings.
        world.service.take(PolicyChanged(SchedulingClass.BATCH, "fifo"))
        while page.sequence < world.service.sequence:
            await take_one()
    assert page.calls == listed(world, viewer)
    world.service.close()


async def test_a_reader_that_falls_behind_is_told_how_many_events_it_lost() -> None:
    service = SchedulerService(SchedulerCore(core_settings()), FakeClock(), RecordingMeter())
    viewer, kind = Viewer("acme", ""), SchedulingClass.BATCH
    async with aclosing(service.watch(viewer, initial=True)) as watch:
        await anext(watch)
        await anext(watch)
        for _ in range(WATCHED_EVENTS + 3):
            service.take(PolicyChanged(kind, "fifo"))
        told = await anext(watch)
    service.close()
    message = scheduling.schedule_event(told, 0.0, FakeClock().now())

    assert message is not None
    assert message.lost_count == 3
    assert message.sequence == 4
