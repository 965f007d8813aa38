"""Lists of the queue, page by page, over a real socket."""

from typing import Any

import grpc
import pytest

from aios.api.scheduler.v1 import scheduler_pb2 as pb
from services.chassis.rpc import paging
from services.scheduler.core.events import Cancelled
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
