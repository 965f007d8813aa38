"""Lists of the queue, page by page, over a real socket."""

from datetime import UTC
from typing import Any

import grpc
import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import scheduler_pb2 as pb
from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.rpc import paging
from services.scheduler.core.events import Cancelled
from services.scheduler.model import ResourceKind
from services.scheduler.service import scheduling
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.rpc.scheduler.test_scheduler_views import Desk, scheduler


async def page(desk: Desk, token: str = "", size: int = 2, agent: str = "ops", **caller: Any) -> Any:
    """Read one page."""
    request = pb.ListSyscallsRequest(page_size=size, page_token=token)
    who = metadata(agent, **({"kind": "admin"} | caller))
    return await desk.stub.ListSyscalls(request, metadata=who, timeout=5)


async def every(desk: Desk, **caller: Any) -> list[str]:
    """Read a list to its end."""
    found, token = [], ""
    while True:
        answer = await page(desk, token, **caller)
        found += [each.name.rpartition("/")[2] for each in answer.syscalls]
        token = answer.next_page_token
        if not token:
            return found


async def test_an_administrator_reads_its_tenants_calls_page_by_page_and_an_agent_its_own() -> None:
    async with scheduler() as desk:
        for number in range(7):
            desk.submit(f"c{number}", agent="planner" if number % 2 else "critic")
            desk.clock.advance(0.1)
        desk.submit("foreign", tenant="globex")

        assert await every(desk) == [f"c{number}" for number in range(7)]
        assert await every(desk, agent="planner", kind="agent") == ["c1", "c3", "c5"]


async def test_a_page_goes_on_after_the_last_call_of_the_one_before_though_that_has_left() -> None:
    async with scheduler() as desk:
        for number in range(5):
            desk.submit(f"c{number}")
        first = await page(desk)
        desk.take(Cancelled("acme/planner/c1"))
        second = await page(desk, first.next_page_token)

        assert [each.name.rpartition("/")[2] for each in second.syscalls] == ["c2", "c3"]


@pytest.mark.parametrize(
    "position",
    [
        ["x", "acme/planner/c1"],
        [1.0],
        [1.0, 2.0],
        [None, None],
        [1.0, "c", "c"],
        [float("nan"), "c"],
        [float("inf"), "c"],
        [10**400, "c"],
        [],
    ],
)
async def test_a_token_that_no_page_has_told_is_refused(position: list[Any]) -> None:
    async with scheduler() as desk:
        desk.submit("c0")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await page(desk, paging.encode(position, "acme", ""))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(refused.value) == "INVALID_PAGE_TOKEN"


async def test_a_call_far_back_is_told_the_least_its_place_can_be() -> None:
    async with scheduler() as desk:
        for number in range(80):
            desk.submit(f"c{number}")
        near, far = await desk.why("c64"), await desk.why("c79")

        assert (near.position, near.position_is_bound, near.waiting_count) == (64, False, 79)
        assert (far.position, far.position_is_bound, far.waiting_count) == (65, True, 79)
        assert "at least 64 of the 79 that wait" in far.summary


async def first(desk: Desk, agent: str = "planner", parent: str = "", top: int = 0, **caller: Any) -> Any:
    """Ask why the first calls wait."""
    request = pb.ExplainWaitsRequest(parent=parent, top=top)
    return await desk.stub.ExplainWaits(request, metadata=metadata(agent, **caller), timeout=5)


async def test_the_first_waits_are_explained_at_one_time_to_those_who_may_see_the_calls() -> None:
    async with scheduler() as desk:
        for name, agent, tenant in (
            ("runs", "planner", "acme"),
            ("foreign", "amy", "globex"),
            ("stranger", "critic", "acme"),
            ("own", "planner", "acme"),
        ):
            desk.submit(name, agent=agent, tenant=tenant)
            desk.clock.advance(1.0)
        own, admins = await first(desk), await first(desk, "ops", kind="admin")
        critics = await first(desk, "ops", "agents/critic", kind="admin")
        alone = await desk.why("own")

    assert [(each.syscall.name, each.position) for each in own.waits] == [("agents/planner/calls/own", 3)]
    assert [each.syscall.name.rpartition("/")[2] for each in admins.waits] == ["stranger", "own"]
    assert [each.syscall.name.rpartition("/")[2] for each in critics.waits] == ["stranger"]
    assert own.waits[0].summary == alone.summary
    assert own.waits[0].binding_limit == "every slot is taken"
    assert not own.waits[0].ahead
    assert own.time.ToDatetime(UTC) == desk.clock.now()
    assert own.sequence == admins.sequence > 0
    for secret in ("globex", "amy", "foreign"):
        assert secret not in str(own) + str(admins)


async def test_no_more_waits_are_explained_than_were_asked_for() -> None:
    async with scheduler() as desk:
        for number in range(30):
            desk.submit(f"c{number}")
        two, usual = await first(desk, top=2), await first(desk)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await first(desk, top=101)

    assert [each.position for each in two.waits] == [1, 2]
    assert len(usual.waits) == 20
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def selected(desk: Desk, parent: str = "", **filters: Any) -> list[str]:
    """Read a filtered list to its end, two calls at a time, as an administrator."""
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListSyscallsRequest(parent=parent, page_size=2, page_token=token, **filters)
        answer = await desk.stub.ListSyscalls(request, metadata=metadata("ops", kind="admin"), timeout=5)
        found += [each.name.rpartition("/")[2] for each in answer.syscalls]
        token = answer.next_page_token
        if not token:
            return found


async def counts(desk: Desk, parent: str = "", size: int = 0, **caller: Any) -> dict[str, tuple[int, int]]:
    """Count calls to the end of the list."""
    found: dict[str, tuple[int, int]] = {}
    token = ""
    while True:
        request = pb.CountSyscallsRequest(parent=parent, page_size=size, page_token=token)
        who = metadata(caller.pop("agent", "ops"), **({"kind": "admin"} | caller))
        answer = await desk.stub.CountSyscalls(request, metadata=who, timeout=5)
        assert len(answer.agents) <= (size or 50)
        found |= {each.agent: (each.waiting_count, each.running_count) for each in answer.agents}
        token = answer.next_page_token
        if not token:
            return found


def many(desk: Desk) -> None:
    """Let calls of a tree, of a stranger and of another tenant wait; the first one runs."""
    for number in range(3):
        desk.submit(f"p{number}")
        desk.submit(f"h{number}", agent="helper", agent_path=("acme/planner",))
        desk.submit(f"b{number}", agent="critic", scheduling_class=SchedulingClass.BATCH)
        desk.clock.advance(0.1)
    desk.submit("t", agent="critic", lane=ResourceKind.TOOL, resource="tools/x")
    desk.submit("foreign", tenant="globex")


async def test_lists_are_filtered_by_state_class_lane_and_agent() -> None:
    async with scheduler() as desk:
        many(desk)
        waiting, running = pb.SYSCALL_STATE_WAITING, pb.SYSCALL_STATE_RUNNING
        batch = [agent_pb2.SCHEDULING_CLASS_BATCH]

        assert await selected(desk, states=[running]) == ["p0"]
        assert len(await selected(desk, states=[waiting])) == 9
        assert await selected(desk, states=[waiting, running], scheduling_classes=batch) == ["b0", "b1", "b2"]
        assert await selected(desk, lane="tool") == ["t"]
        assert await selected(desk, "agents/planner", without_children=True) == ["p0", "p1", "p2"]
        assert len(await selected(desk, "agents/planner")) == 6


async def test_a_filter_that_takes_few_looks_at_a_bounded_part_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduling, "SEARCHED", 4)
    async with scheduler() as desk:
        many(desk)
        request = pb.ListSyscallsRequest(lane="tool")
        who = metadata("ops", kind="admin")
        first = await desk.stub.ListSyscalls(request, metadata=who, timeout=5)

        assert not first.syscalls
        assert first.next_page_token
        assert await selected(desk, lane="tool") == ["t"]
        request.page_token, request.lane = first.next_page_token, "inference"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.stub.ListSyscalls(request, metadata=who, timeout=5)
    assert reason(refused.value) == "INVALID_PAGE_TOKEN"


async def test_a_filter_for_an_agent_alone_needs_the_agent() -> None:
    async with scheduler() as desk:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await selected(desk, without_children=True)
    assert reason(refused.value) == "INVALID_REQUEST"


async def test_each_agents_calls_are_counted_for_those_who_may_see_them() -> None:
    async with scheduler() as desk:
        many(desk)
        tenants = {"agents/critic": (4, 0), "agents/helper": (3, 0), "agents/planner": (2, 1)}

        assert await counts(desk) == await counts(desk, size=1) == tenants
        assert await counts(desk, agent="helper", kind="agent") == {"agents/helper": (3, 0)}
        assert set(await counts(desk, "agents/planner")) == {"agents/helper", "agents/planner"}
        desk.take(Cancelled("acme/planner/p0"))
        for number in range(3):
            desk.take(Cancelled(f"acme/helper/h{number}"))
        assert await counts(desk, "agents/planner") == {"agents/planner": (1, 1)}
