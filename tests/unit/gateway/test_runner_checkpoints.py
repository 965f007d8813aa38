"""Checkpoints of generations: what a crash costs, and who goes on from them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.inference.errors import BackendUnavailable
from gateway.inference.model import Alternative, Place, ResumePoint
from services.chassis.dispatch.scheduling import Interrupt
from services.chassis.rpc.errors import IdempotencyMismatch
from tests.fakes.backend import FakeBackend, likely
from tests.fakes.examples import examples
from tests.fakes.inference import QUICK, Follower, ask, inference
from tests.fakes.stepping import (
    PIECES,
    PLANNER,
    WHOLE,
    answer_of,
    count,
    delivered,
    finish,
    permit,
    running,
    saved_tokens,
    stepping,
)
from tests.fakes.waiting import until


async def test_no_checkpoint_holds_a_token_cut_by_a_stop_string() -> None:
    """A gateway that went on from one would not see that the answer had ended."""
    backend = FakeBackend(pieces=["a ", "b ", "c ", "d STOP "])
    async with inference(backend) as desk:
        kept: list[tuple[str, ...]] = []
        save = desk.checkpoints.save

        async def keep(checkpoint: Any) -> None:
            kept.append(checkpoint.pieces)
            await save(checkpoint)

        desk.checkpoints.save = keep  # type: ignore[method-assign]  # also remembers
        follower = desk.start(stop=("STOP",))
        await follower.task

        assert follower.text == "a b c d "
        assert all("d " not in pieces for pieces in kept)


async def test_a_context_service_that_is_down_does_not_disturb_a_generation() -> None:
    backend = stepping()
    async with inference(backend) as desk:
        desk.checkpoints.down = True
        follower = desk.start()
        permit(backend, 10)
        await until(lambda: ("failed",) in desk.metrics.of("checkpointed"))
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)
        await until(lambda: not desk.use_cases._background)

        assert follower.text == WHOLE


async def test_another_gateway_goes_on_from_the_checkpoint_or_from_what_the_caller_has() -> None:
    backend = stepping()
    async with running(backend, 10) as (desk, follower):
        await until(lambda: bool(desk.checkpoints.saved))
        saved = desk.checkpoints.saved["g1"]
        await follower.leave()
    for received in (0, 2, 20):
        fresh = FakeBackend(pieces=PIECES)
        async with inference(fresh) as desk:
            desk.checkpoints.saved["g1"] = saved
            ids, text = tuple(range(received)), "".join(PIECES[:received])
            resumed = Follower(desk, ask(), "g1", PLANNER, ResumePoint(received, ids, text))
            await resumed.task

            done = max(len(saved.pieces), received)
            assert [job.emitted_text for job in fresh.jobs] == ([WHOLE[: len("".join(PIECES[:done]))]])[
                : received < 20
            ]
            assert resumed.text == "".join(PIECES[received:])
            assert answer_of(resumed).message.content == WHOLE


async def test_alternatives_reach_the_caller_and_the_gateway_that_goes_on() -> None:
    """What was delivered before is not told twice, what is kept before the cut is not lost."""
    backend = stepping()
    async with running(backend, 10, top_alternatives=2) as (desk, follower):
        await until(lambda: len(delivered(follower)) == 10 and bool(desk.checkpoints.saved))
        saved = desk.checkpoints.saved["g1"]
        assert saved.places == tuple(delivered(follower)[: len(saved.pieces)])
        await follower.leave()
    async with inference(FakeBackend(pieces=PIECES)) as desk:
        desk.checkpoints.saved["g1"] = saved
        resumed = Follower(desk, ask(top_alternatives=2), "g1", PLANNER, ResumePoint(0))
        await resumed.task

        assert delivered(resumed) == [
            Place(n + 1, likely(n, 2), Alternative(n, PIECES[n], -0.25)) for n in range(20)
        ]


@settings(max_examples=examples(20))
@given(st.sets(st.integers(1, 59), max_size=5), st.integers(1, 7), st.integers(1, 9))
async def test_a_crash_of_the_gateway_costs_at_most_the_tokens_of_one_checkpoint_and_one_report(
    preempted: set[int], progress: int, every: int
) -> None:
    """Wherever it dies, and however often the generation was preempted before.

    That is while saves are as fast as tokens; a slower save adds the tokens that come while it is under way.
    """
    most = every + progress - 1
    backend = stepping(pieces=[f"w{number} " for number in range(60)])
    config = replace(QUICK, checkpoint_tokens=every, progress_tokens=progress)
    async with inference(backend, config=config) as desk:
        follower = desk.start(max_tokens=60)
        for number in range(1, 60):
            permit(backend, 1)
            await until(lambda: count(desk) == number)  # noqa: B023 - awaited at once
            await until(lambda: not desk.use_cases._background or saved_tokens(desk) + most >= count(desk))
            if number in preempted:
                desk.ticket.interrupt(Interrupt.PREEMPT)
                await until(lambda: len(desk.ticket.yields) > 0 and backend.running == 1)
                desk.ticket.yields.clear()

            assert number - saved_tokens(desk) <= most
        await finish(backend, follower)


async def test_a_crash_of_the_backend_costs_no_token() -> None:
    backend = stepping()
    backend.faults = [(number, BackendUnavailable("died")) for number in (7, 5)]
    async with running(backend, 15) as (_, follower):
        await finish(backend, follower)

        assert [job.emitted_text for job in backend.jobs] == ["", "".join(PIECES[:7]), "".join(PIECES[:12])]
        assert follower.text == WHOLE


async def test_a_checkpoint_of_another_request_is_refused() -> None:
    backend = stepping()
    async with running(backend, 10) as (desk, follower):
        await until(lambda: bool(desk.checkpoints.saved))
        saved = desk.checkpoints.saved["g1"]
        await follower.leave()
    async with inference(FakeBackend(pieces=PIECES)) as desk:
        desk.checkpoints.saved["g1"] = saved
        other = Follower(desk, ask(max_tokens=19), "g1", PLANNER, ResumePoint(1, (0,), PIECES[0]))
        with pytest.raises(IdempotencyMismatch):
            await other.task
