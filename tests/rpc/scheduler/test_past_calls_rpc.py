"""What has ended and what it took, over a real socket."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from aios.api.scheduler.v1 import scheduler_pb2 as pb
from services.chassis.dispatch.scheduling import Completion
from services.scheduler.core.events import Cancelled, Finished, GatewayLost, Progress, Submit, Yielded
from services.scheduler.model import ResourceKind
from services.scheduler.service.past_calls import Keeping
from tests.fakes.rpc import reason
from tests.fakes.scheduling import call
from tests.fakes.tokens import metadata
from tests.rpc.scheduler.test_scheduler_views import Desk, scheduler


async def past(desk: Desk, parent: str = "agents/me", agent: str = "planner", **fields: Any) -> Any:
    """List what has ended, as an agent or, named ops, as an administrator."""
    await desk.past.flush()
    kind = {"kind": "admin"} if agent == "ops" else {}
    request = pb.ListPastSyscallsRequest(parent=parent, **fields)
    return await desk.stub.ListPastSyscalls(request, metadata=metadata(agent, **kind), timeout=5)


async def usage(desk: Desk, parent: str = "", agent: str = "ops", **fields: Any) -> Any:
    """Add up what has ended."""
    await desk.past.flush()
    kind = {"kind": "admin"} if agent == "ops" else {}
    request = pb.ListSyscallUsageRequest(parent=parent, **fields)
    return await desk.stub.ListSyscallUsage(request, metadata=metadata(agent, **kind), timeout=5)


def ids(answer: Any) -> list[str]:
    return [each.name.rpartition("/")[2] for each in answer.syscalls]


async def test_a_call_that_ended_tells_how_it_went_and_what_it_took() -> None:
    async with scheduler() as desk:
        began = desk.clock.now()
        desk.submit("first")
        desk.submit("c")
        name = "acme/planner/c"
        desk.clock.advance(2.0)
        desk.take(Finished("acme/planner/first", Completion.FAILED, 0))
        desk.clock.advance(3.0)
        desk.take(Progress(name, 4), Yielded(name, 4))
        desk.clock.advance(1.0)
        desk.take(Finished(name, Completion.COMPLETED, 9))
        told = await past(desk)

    last, first = told.syscalls
    assert (first.name, first.outcome) == ("agents/planner/calls/first", "failed")
    assert (last.outcome, last.lane, last.model, last.replica) == ("completed", "inference", "llama", "r0")
    assert (last.prompt_tokens, last.new_tokens) == (100, 9)
    assert (last.wait.ToTimedelta(), last.run.ToTimedelta()) == (timedelta(seconds=2), timedelta(seconds=4))
    assert last.arrive_time.ToDatetime(UTC) == began
    assert last.start_time.ToDatetime(UTC) == began + timedelta(seconds=2)
    assert last.end_time.ToDatetime(UTC) == desk.clock.now()
    assert told.kept_for.ToTimedelta() == timedelta(days=7)


async def test_what_was_rejected_cancelled_or_lost_is_listed_and_failures_alone_if_asked_for() -> None:
    async with scheduler() as desk:
        desk.submit("big", max_new_tokens=10**6)
        desk.submit("given-up")
        desk.take(Cancelled("acme/planner/given-up"))
        desk.submit("lost")
        desk.take(GatewayLost("gw"))
        everything, failures = await past(desk), await past(desk, failed_only=True)

    outcomes = {each.name.rpartition("/")[2]: each.outcome for each in everything.syscalls}
    assert outcomes == {"big": "rejected_too_large", "given-up": "cancelled", "lost": "evicted_gateway"}
    assert set(ids(failures)) == {"big", "lost"}


async def test_a_call_that_comes_back_after_its_gateway_was_lost_is_one_call_and_counted_once() -> None:
    async with scheduler() as desk:
        desk.submit("c")
        desk.take(GatewayLost("gw"))
        again = call("acme/planner/c", agent="acme/planner", tenant="acme", arrived_at=desk.clock.monotonic())
        desk.service.take(Submit(again, "r0", 1, resubmission=True))
        desk.take(Finished("acme/planner/c", Completion.COMPLETED, 3))
        told, sums = await past(desk), await usage(desk)

    assert [(each.outcome, each.new_tokens) for each in told.syscalls] == [("completed", 3)]
    assert [(each.own.call_count, each.own.failed_count) for each in sums.usage] == [(1, 0)]


async def test_pages_follow_one_another_and_only_who_may_sees_them() -> None:
    async with scheduler() as desk:
        for number in range(5):
            desk.submit(f"c{number}")
            desk.clock.advance(1.0)
            desk.take(Finished(f"acme/planner/c{number}", Completion.COMPLETED, 1))
        desk.submit("hers", tenant="globex")
        desk.take(Finished("globex/planner/hers", Completion.COMPLETED, 1))
        first = await past(desk, page_size=2)
        second = await past(desk, page_size=2, page_token=first.next_page_token)
        last = await past(desk, "agents/planner", "ops", page_size=2, page_token=second.next_page_token)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await past(desk, failed_only=True, page_token=first.next_page_token)

    assert [ids(first), ids(second), ids(last)] == [["c4", "c3"], ["c2", "c1"], ["c0"]]
    assert not last.next_page_token
    assert reason(refused.value) == "INVALID_PAGE_TOKEN"


async def test_sums_are_of_each_agent_itself_and_of_its_tree() -> None:
    async with scheduler() as desk:
        for name, fields in (
            ("planner/p", {}),
            ("helper/h1", {"agent_path": ("acme/planner",)}),
            (
                "helper/h2",
                {"agent_path": ("acme/planner",), "lane": ResourceKind.TOOL, "resource": "tools/x"},
            ),
            ("critic/c", {}),
        ):
            agent, _, identifier = name.partition("/")
            desk.submit(identifier, agent=agent, **fields)
            desk.clock.advance(1.0)
            desk.take(Finished(f"acme/{name}", Completion.COMPLETED, 5))
            desk.take(Cancelled(f"acme/{name}"))
        of_tenant, of_tree = await usage(desk), await usage(desk, "agents/planner")
        own = await usage(desk, agent="helper")

    def short(answer: Any) -> list[Any]:
        return [
            (each.agent[7:], each.lane, each.own.call_count, each.tree.call_count) for each in answer.usage
        ]

    helper = [("helper", "inference", 1, 1), ("helper", "tool", 1, 1)]
    tree = [("planner", "inference", 1, 2), ("planner", "tool", 0, 1), *helper]
    assert short(of_tenant) == [("critic", "inference", 1, 1), *tree]
    assert short(of_tree) == tree
    assert short(own) == helper
    planner = of_tree.usage[0]
    assert (planner.tree.prompt_tokens, planner.tree.new_tokens) == (200, 10)
    assert planner.tree.run.ToTimedelta() == timedelta(seconds=2)
    assert of_tree.usage[3].own.cancelled_count == 1


async def test_sums_begin_with_an_hour_and_go_on_page_by_page() -> None:
    async with scheduler() as desk:
        for hour in range(2):
            for agent in ("a", "b", "c"):
                desk.submit(f"{agent}{hour}", agent=agent)
                desk.take(Finished(f"acme/{agent}/{agent}{hour}", Completion.COMPLETED, 1))
            desk.clock.advance(3600.0)
        since = desk.clock.now() - timedelta(minutes=50)
        recent, everything = await usage(desk, since=since), await usage(desk)
        first = await usage(desk, page_size=2)
        second = await usage(desk, page_size=2, page_token=first.next_page_token)

    assert [each.own.call_count for each in recent.usage] == [1, 1, 1]
    assert recent.since.ToDatetime(UTC) == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert [each.own.call_count for each in everything.usage] == [2, 2, 2]
    assert [each.agent for each in (*first.usage, *second.usage)] == ["agents/a", "agents/b", "agents/c"]
    assert second.since == first.since
    assert not second.next_page_token


async def test_nothing_is_kept_where_the_setting_says_so() -> None:
    async with scheduler(keeping=Keeping(calls=timedelta(0))) as desk:
        desk.submit("c")
        desk.take(Finished("acme/planner/c", Completion.COMPLETED, 1))
        told = await past(desk)

    assert not told.syscalls
    assert not told.kept_for.ToTimedelta()


async def test_a_tenant_has_no_list_of_past_calls_but_agents_have() -> None:
    async with scheduler() as desk:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await past(desk, "tools/x", "ops")
    assert reason(refused.value) == "INVALID_REQUEST"
