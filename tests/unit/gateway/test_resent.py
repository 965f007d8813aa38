"""What becomes of a request that is sent again while its first run still stands."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.inference.model import BackendRequest, StreamItem
from services.chassis.auth.identity import Caller
from services.chassis.rpc.errors import DeadlineExceeded
from tests.fakes.backend import FakeBackend
from tests.fakes.inference import Follower, ask, inference
from tests.fakes.stepping import PIECES, WHOLE, permit
from tests.fakes.waiting import until


async def test_who_joined_a_run_that_ends_by_its_first_callers_deadline_gets_a_run_of_its_own() -> None:
    async with inference(FakeBackend(pieces=PIECES), replica=None) as desk:
        soon = asyncio.get_running_loop().time() + 0.05
        spec = ask()
        first = Follower(desk, spec, "g1", Caller("planner", "acme", deadline=soon))
        await desk.submitted()
        joined = Follower(desk, spec, "g1", Caller("planner", "acme"))
        unary = asyncio.create_task(desk.use_cases.generate(Caller("planner", "acme"), spec, "g1", None))
        await asyncio.sleep(0.06)
        desk.ticket.refuse(DeadlineExceeded("the deadline passed"))
        with pytest.raises(DeadlineExceeded):
            await first.task
        (await desk.submitted(2)).grant("r0")
        await joined.task
        _, answer = await unary

        assert joined.text == answer.message.content == WHOLE
        assert len(desk.dispatcher.tickets) == 2


async def test_a_request_sent_again_waits_for_its_stopped_run_to_let_go_of_its_backend() -> None:
    letting_go = asyncio.Event()

    class Slow(FakeBackend):
        async def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
            try:
                async for item in super().stream(job):
                    yield item
            finally:
                await letting_go.wait()

    backend = Slow(pieces=PIECES)
    backend.permits = asyncio.Semaphore(3)
    async with inference(backend) as desk:
        first = desk.start()
        await until(lambda: bool(first.text))
        await first.leave()
        again = desk.start()
        await asyncio.sleep(0.02)
        early = len(desk.dispatcher.tickets)
        letting_go.set()
        permit(backend, 100)
        await again.task

        assert early == 1
        assert len(desk.dispatcher.tickets) == 2
        assert again.text == WHOLE
