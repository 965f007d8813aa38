"""What agents and administrators are told of the queue, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import scheduler_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2_grpc
from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.scheduler.core.events import (
    BackendDown,
    BackendUp,
    Event,
    Finished,
    GatewayLost,
    Progress,
    Submit,
    Tick,
    Yielded,
)
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.settings import CoreSettings
from services.scheduler.metrics import PrometheusScheduleMetrics
from services.scheduler.model import Prefix, ResourceKind
from services.scheduler.service.past_calls import Keeping, PastCalls
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.servicer import SchedulerServicer
from tests.fakes.clock import FakeClock
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import serving
from tests.fakes.scheduling import MODEL, call, settings, with_class
from tests.fakes.stores.scheduler import MemoryPastStore
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until


@dataclass
class Desk:
    """A scheduler with one slot, and a stub."""

    service: SchedulerService
    stub: Any
    clock: FakeClock
    registry: CollectorRegistry
    past: PastCalls

    def submit(self, name: str, agent: str = "planner", tenant: str = "acme", **fields: Any) -> None:
        """Submit a call that arrives now."""
        made = call(
            f"{tenant}/{agent}/{name}",
            agent=f"{tenant}/{agent}",
            tenant=tenant,
            arrived_at=self.clock.monotonic(),
            **fields,
        )
        self.service.take(Submit(made))

    def take(self, *events: Event) -> None:
        """Let things happen."""
        for event in events:
            self.service.take(event)

    async def why(self, name: str, agent: str = "planner", **caller: Any) -> pb.ExplainWaitResponse:
        """Ask why a call waits."""
        request = pb.ExplainWaitRequest(name=f"agents/{agent}/calls/{name}")
        answer: pb.ExplainWaitResponse = await self.stub.ExplainWait(
            request, metadata=metadata(agent, **caller), timeout=5
        )
        return answer


@asynccontextmanager
async def scheduler(
    core: CoreSettings | None = None, *, keeping: Keeping | None = None
) -> AsyncIterator[Desk]:
    """Run a scheduler with replica r0."""
    clock, registry = FakeClock(), CollectorRegistry()
    made = SchedulerCore(core or settings())
    metrics = PrometheusScheduleMetrics(registry, lambda kind, lane: made.policy_of(kind, lane).name)
    past = PastCalls(MemoryPastStore(), clock, metrics, keeping or Keeping(), writer=1)
    service = SchedulerService(made, clock, metrics, ends=past)
    servicer = (
        scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server,
        SchedulerServicer(service, past, clock, 1),
        pb.DESCRIPTOR,
    )
    async with serving(servicer) as channel:
        service.take(BackendUp("r0", MODEL, 1, 100_000))
        await past.open()
        stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        try:
            yield Desk(service, stub, clock, registry, past)
        finally:
            service.close()


class Watcher:
    """Reads one stream of events."""

    def __init__(self, desk: Desk, agent: str = "planner", parent: str = "", **caller: Any) -> None:
        request = pb.WatchScheduleRequest(parent=parent)
        self._call = desk.stub.WatchSchedule(request, metadata=metadata(agent, **caller), timeout=10)

    async def next(self, count: int) -> list[pb.WatchScheduleResponse]:
        """Return the next events."""
        return [await self._call.read() for _ in range(count)]

    def leave(self) -> None:
        """Stop watching."""
        self._call.cancel()


async def watching(desk: Desk, **options: Any) -> Watcher:
    """Watch, from now on."""
    watcher = Watcher(desk, **options)
    await until(lambda: desk.service.watched)
    return watcher


def kinds(events: list[pb.WatchScheduleResponse]) -> list[str]:
    """Name the events."""
    prefix = "SCHEDULE_EVENT_KIND_"
    return [pb.ScheduleEventKind.Name(event.kind).removeprefix(prefix).lower() for event in events]


async def test_a_calls_whole_life_is_told_with_its_replica_its_tokens_and_its_state() -> None:
    async with scheduler() as desk:
        watcher = await watching(desk)
        desk.submit("c")
        name = "acme/planner/c"
        desk.take(Progress(name, 1), Progress(name, 2), Progress(name, 1), Progress(name, 1))
        desk.take(Yielded(name, 5), Progress(name, 3), Finished(name, Completion.COMPLETED, 8))
        told = await watcher.next(9)
        watcher.leave()

    assert kinds(told) == [
        "submitted", "granted", "progressed", "progressed", "progressed", "yielded", "granted", "progressed",
        "finished",
    ]  # fmt: skip
    assert [each.syscall.tokens_done for each in told] == [0, 0, 1, 3, 4, 5, 5, 8, 8]
    assert [each.resumed for each in told] == [False, False, True, True, True, False, True, True, False]
    assert [each.syscall.replica for each in told] == ["", *["r0"] * 8]
    assert told[0].syscall.state == pb.SYSCALL_STATE_WAITING
    assert told[1].syscall.state == pb.SYSCALL_STATE_RUNNING
    assert told[-1].outcome == "completed"
    assert told[-1].scheduling_class == agent_pb2.SCHEDULING_CLASS_NORMAL


async def test_token_milestones_are_made_only_while_someone_watches() -> None:
    async with scheduler() as desk:
        desk.submit("c")
        desk.take(Progress("acme/planner/c", 4))
        unwatched = desk.registry.get_sample_value("aios_scheduler_events_total", {"kind": "progressed"})
        watcher = await watching(desk)
        desk.take(Progress("acme/planner/c", 4))
        watcher.leave()
        await until(lambda: not desk.service.watched)
        desk.take(Progress("acme/planner/c", 8))
        told = desk.registry.get_sample_value("aios_scheduler_events_total", {"kind": "progressed"})

    assert unwatched is None
    assert told == 1


async def test_a_preemption_is_told_and_the_grant_after_it_is_a_resumption() -> None:
    async with scheduler(settings("rr", {"quantum": 64})) as desk:
        watcher = await watching(desk)
        desk.submit("long", max_new_tokens=1000)
        desk.submit("waiter")
        desk.clock.advance(1.0)
        desk.take(Progress("acme/planner/long", 512))
        desk.take(Yielded("acme/planner/long", 512), Finished("acme/planner/waiter", Completion.COMPLETED, 1))
        told = await watcher.next(10)
        watcher.leave()

    preempted = told[kinds(told).index("preempted")]
    assert preempted.syscall.name == told[-1].syscall.name == "agents/planner/calls/long"
    assert preempted.syscall.state == pb.SYSCALL_STATE_PREEMPTING
    assert kinds(told)[-1] == "granted"
    assert told[-1].resumed
    assert told[-1].syscall.preemption_count == 1


async def test_a_grant_from_the_lane_and_a_boosted_class_are_told() -> None:
    lane = with_class(
        settings("sjf"),
        SchedulingClass.NORMAL,
        lane_after=10.0,
        alert_wait=20.0,
        lane_share=0.5,
        max_wait=None,
    )
    async with scheduler(lane) as desk:
        watcher = await watching(desk)
        desk.submit("first")
        desk.submit("big", prompt_tokens=5000, max_wait=1000.0)
        desk.submit("small", max_wait=1000.0)
        desk.clock.advance(30.0)
        desk.take(Tick(), Finished("acme/planner/first", Completion.COMPLETED, 1))
        desk.take(Finished("acme/planner/big", Completion.COMPLETED, 1))
        told = await watcher.next(14)
        watcher.leave()
        waits = desk.registry.get_sample_value(
            "aios_scheduler_wait_seconds_count",
            {"lane": "inference", "scheduling_class": "normal", "policy": "sjf", "outcome": "dispatched"},
        )

    found = kinds(told)
    started = told[found.index("class_boost_started")]
    assert started.scheduling_class == agent_pb2.SCHEDULING_CLASS_NORMAL
    assert not started.HasField("syscall")
    assert found.index("boosted") < found.index("class_boost_started") < found.index("class_boost_ended")
    assert next(each.syscall.name for each in told if each.from_lane) == "agents/planner/calls/big"
    assert waits == 3


async def test_a_call_whose_gateway_is_lost_ends_for_its_watchers() -> None:
    async with scheduler() as desk:
        watcher = await watching(desk)
        desk.submit("c")
        desk.take(GatewayLost("gw"))
        told = await watcher.next(3)
        watcher.leave()

    assert (kinds(told)[-1], told[-1].outcome) == ("finished", "evicted_gateway")


async def test_an_agent_watches_its_own_calls_and_its_childrens_and_no_others() -> None:
    async with scheduler() as desk:
        watcher = await watching(desk)
        desk.submit("hers", tenant="globex", agent="planner")
        desk.submit("his", agent="critic")
        desk.submit("childs", agent="helper", agent_path=("acme/planner",))
        desk.submit("own")
        told = await watcher.next(2)
        watcher.leave()

    assert [each.syscall.name for each in told] == [
        "agents/helper/calls/childs",
        "agents/planner/calls/own",
    ]


async def test_an_explanation_names_only_calls_that_the_caller_may_know() -> None:
    async with scheduler() as desk:
        desk.submit("runs")
        desk.submit("foreign", tenant="globex", agent="amy")
        desk.submit("stranger", agent="critic")
        desk.submit("child", agent="helper", agent_path=("acme/planner",))
        desk.submit("asked")
        told = await desk.why("asked")
        admin = await desk.why("asked", "planner", kind="admin")

    assert told.position == 4
    assert [each.name for each in told.ahead] == ["", "", "agents/helper/calls/child"]
    assert [each.why.startswith("age seconds") for each in told.ahead] == [False, True, True]
    assert [each.name for each in admin.ahead] == [
        "",
        "agents/critic/calls/stranger",
        "agents/helper/calls/child",
    ]
    for secret in ("globex", "amy", "foreign"):
        assert secret not in str(told) + str(admin)
    for secret in ("critic", "stranger"):
        assert secret not in str(told)


async def test_an_explanation_tells_lane_limit_and_where_the_prefix_is_cached() -> None:
    async with scheduler() as desk:
        context = (Prefix("k", 80),)
        desk.submit("before", prefixes=context)
        desk.submit("asked", prompt_tokens=120, prefixes=context, max_wait=50.0)
        desk.clock.advance(10.0)
        told = await desk.why("asked")

    assert told.binding_limit == "every slot is taken"
    assert not told.in_lane
    assert not told.boosted
    assert not told.HasField("lane_wait")  # its policy serves in the order of arrival
    assert (told.cached_tokens, told.cached_replica) == (80, "r0")
    assert told.time_left.seconds == 40
    assert "r0 probably has 80 tokens of its context in its cache" in told.summary


async def test_predictions_come_with_the_error_of_earlier_ones() -> None:
    async with scheduler(settings("sjf")) as desk:
        for n in range(4):
            desk.submit(f"c{n}")
        for n in range(3):
            desk.clock.advance(2.0)
            desk.take(Finished(f"acme/planner/c{n}", Completion.COMPLETED, 1))
        desk.submit("foretold")
        desk.clock.advance(3.0)
        desk.take(Finished("acme/planner/c3", Completion.COMPLETED, 1))
        desk.submit("asked")
        told = await desk.why("asked")

    assert told.HasField("predicted_wait")
    assert told.prediction_count == 1
    assert told.prediction_error.ToNanoseconds() > 0
    assert told.lane_wait.seconds > 0
    assert "the last 1 such predictions were off by" in told.summary


async def test_a_backend_that_is_gone_is_what_a_call_waits_for() -> None:
    async with scheduler() as desk:
        desk.take(BackendDown("r0"))
        desk.submit("asked")
        told = await desk.why("asked")

    assert told.binding_limit == "no backend serves its model right now"
    assert told.cached_replica == ""


async def test_a_forged_page_token_of_the_queue_is_an_invalid_argument() -> None:
    async with scheduler() as desk:
        for name in ("a", "b", "c"):
            desk.submit(name)
        request = pb.ListSyscallsRequest(parent="agents/me")

        await refuses_forgeries(desk.stub.ListSyscalls, request, metadata("planner"))


async def test_usage_tells_what_waits_of_an_agent_its_tree_and_to_administrators_of_the_tenant() -> None:
    async with scheduler() as desk:
        for number in range(3):
            desk.submit(f"c{number}")
        desk.submit("d", agent="critic", agent_path=("acme/planner",))
        desk.submit("e", agent="other")
        desk.submit("t", lane=ResourceKind.TOOL, resource="tools/x")
        request = pb.GetUsageRequest(name="agents/me")
        own = (await desk.stub.GetUsage(request, metadata=metadata("planner"))).quotas
        asked = pb.GetUsageRequest(name="agents/critic")
        all_of = (await desk.stub.GetUsage(asked, metadata=metadata("boss", kind="admin"))).quotas

    assert told(own, "waiting_generations") == [2, 3, 0]
    assert told(own, "waiting_tool_calls") == [1, 1, 0]
    assert told(all_of, "waiting_generations")[2] == 4
    assert {one.limit for one in own} == {1_000, 2_500, 8_000}


def told(quotas: Any, quota: str) -> list[int]:
    """Return what an agent, its tree and its tenant are told to use."""
    return [one.used for one in quotas if one.quota == quota]
