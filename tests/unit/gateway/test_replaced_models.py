"""An answer is of one model: what becomes of generations whose server comes back as another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.errors import ModelNotFound, ModelReplaced
from gateway.inference.errors import BackendUnavailable
from gateway.inference.model import ResumePoint
from services.chassis.auth.identity import Caller
from services.chassis.dispatch.scheduling import Interrupt
from services.chassis.rpc.codes import Code
from tests.fakes.backend import PLAIN, FakeBackend, FakeCheckpoints
from tests.fakes.inference import Desk, Follower, ask, inference
from tests.fakes.stepping import PIECES, WHOLE, permit, stepping
from tests.fakes.waiting import until

FIVE = "".join(PIECES[:5])
REV1 = replace(PLAIN, revision="1")
OTHERS = {
    "another model": replace(REV1, model="other"),
    "another revision": replace(REV1, revision="2"),
    "a window too small for it": replace(REV1, max_total_tokens=12),
}


@asynccontextmanager
async def five_tokens_on_r0(*others: FakeBackend) -> AsyncIterator[tuple[FakeBackend, Desk, Follower]]:
    """Run a generation on the first replica up to its fifth token."""
    first = stepping(info=REV1)
    async with inference(first, *others, replica=None) as desk:
        follower = desk.start()
        (await desk.submitted()).grant("r0")
        permit(first, 5)
        await until(lambda: follower.text == FIVE)
        yield first, desk, follower


@pytest.mark.parametrize("how", OTHERS)
async def test_an_answer_does_not_go_on_where_something_else_is_served_by_now(how: str) -> None:
    async with five_tokens_on_r0() as (backend, desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(desk.ticket.yields) == 1)
        backend.details = OTHERS[how]  # unseen by any probe
        desk.ticket.grant("r0")
        with pytest.raises(ModelReplaced) as failure:
            await follower.task

        assert (failure.value.code, failure.value.reason) == (Code.UNAVAILABLE, "BACKEND_FAILED")
        assert "by now, and no other can go on" in failure.value.message
        assert follower.text == FIVE
        assert len(backend.jobs) == 1


@pytest.mark.parametrize("how", OTHERS)
async def test_it_goes_on_at_another_replica_of_its_model(how: str) -> None:
    second = FakeBackend("r1", pieces=PIECES, info=REV1)
    async with five_tokens_on_r0(second) as (first, desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(desk.ticket.yields) == 1)
        first.details = OTHERS[how]
        desk.ticket.grant("r0")
        await until(lambda: len(desk.ticket.yields) == 2)
        desk.ticket.grant("r1")
        await follower.task

        assert follower.text == WHOLE
        assert desk.ticket.yields[1] == (5, True, "")
        assert (len(first.jobs), len(second.jobs)) == (1, 1)


async def test_another_revision_of_the_model_elsewhere_does_not_take_it_up() -> None:
    second = FakeBackend("r1", pieces=PIECES, info=replace(REV1, revision="2"))
    async with five_tokens_on_r0(second) as (first, desk, follower):
        first.details = OTHERS["another model"]
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(desk.ticket.yields) == 1)
        desk.ticket.grant("r1")
        await until(lambda: len(desk.ticket.yields) == 2)
        desk.ticket.grant("r0")
        with pytest.raises(ModelReplaced):
            await follower.task

        assert second.jobs == []


async def test_a_run_under_way_is_stopped_when_its_replica_is_seen_to_serve_another_model() -> None:
    async with five_tokens_on_r0() as (backend, desk, follower):
        backend.details = OTHERS["another model"]
        await desk.pool.identify("r0")
        with pytest.raises(ModelReplaced):
            await follower.task

        assert backend.running == 0
        assert follower.text == FIVE


async def test_a_call_that_waits_for_a_model_which_nobody_serves_any_more_ends() -> None:
    async with five_tokens_on_r0() as (backend, desk, follower):
        waiting = desk.start("g2")
        first = desk.ticket
        await desk.submitted(2)
        first.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(first.yields) == 1)
        backend.details = OTHERS["another model"]
        await desk.pool.identify("r0")
        for each in (follower, waiting):
            with pytest.raises(ModelReplaced, match="any more"):
                await each.task

        assert [len(ticket.ends) for ticket in desk.dispatcher.tickets] == [1, 1]


async def test_a_run_under_way_moves_when_its_replica_is_seen_to_serve_another_model() -> None:
    second = FakeBackend("r1", pieces=PIECES, info=REV1)
    async with five_tokens_on_r0(second) as (first, desk, follower):
        first.details = OTHERS["another model"]
        await desk.pool.identify("r0")
        await until(lambda: len(desk.ticket.yields) == 1)
        desk.ticket.grant("r1")
        await follower.task

        assert follower.text == WHOLE
        assert first.running == 0


async def test_a_run_without_a_token_yet_may_begin_with_another_revision() -> None:
    backend = stepping(info=REV1)
    async with inference(backend, replica=None) as desk:
        follower = desk.start()
        (await desk.submitted()).grant("r0")
        await until(lambda: backend.running == 1)
        backend.details = OTHERS["another revision"]
        await desk.pool.identify("r0")
        await until(lambda: len(desk.ticket.yields) == 1)
        permit(backend, 100)
        desk.ticket.grant("r0")
        await follower.task

        assert follower.text == WHOLE


async def test_a_replica_that_cannot_be_asked_is_lost_not_trusted() -> None:
    async with five_tokens_on_r0() as (backend, desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(desk.ticket.yields) == 1)
        backend.broken = BackendUnavailable("restarting")
        desk.ticket.grant("r0")
        await until(lambda: len(desk.ticket.yields) == 2)
        backend.broken = None
        permit(backend, 100)
        desk.ticket.grant("r0")
        await follower.task

        assert follower.text == WHOLE


async def test_what_an_empty_name_stood_for_is_what_a_resumed_answer_goes_on_with() -> None:
    checkpoints = FakeCheckpoints()
    backend = stepping(info=REV1)
    async with inference(backend, checkpoints=checkpoints) as desk:
        follower = desk.start()
        permit(backend, 5)
        await until(lambda: "g1" in checkpoints.saved)
        saved = checkpoints.saved["g1"]
        await follower.leave()
        await until(lambda: desk.use_cases.running == 0)
        checkpoints.saved["g1"] = saved
        backend.details = OTHERS["another model"]
        await desk.pool.identify("r0")
        spec, seen = ask(), ResumePoint(2, (0, 1), "".join(PIECES[:2]))
        again = Follower(desk, spec, "g1", Caller("planner", "acme"), seen)
        with pytest.raises(ModelNotFound):
            await again.task

        assert len(backend.jobs) == 1
