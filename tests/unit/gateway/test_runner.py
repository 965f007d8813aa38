"""The life of a generation: preempted, lost, cancelled, watched by several, finished."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BackendFailed, BackendRefused, ConstraintUnmet, GenerationNotFound
from gateway.inference.core.circuit import CircuitConfig
from gateway.inference.errors import BackendInvalid, BackendUnavailable
from gateway.inference.model import (
    Answer,
    Constraint,
    ConstraintKind,
    Delta,
    FinishReason,
    ResumePoint,
)
from gateway.inference.service.failures import MOST_RECOVERIES
from services.chassis.dispatch.errors import QueueFull
from services.chassis.dispatch.scheduling import Completion, Interrupt
from services.chassis.rpc.errors import Cancelled, KernelError
from tests.fakes.backend import PLAIN, WITH_KV, FakeBackend
from tests.fakes.examples import examples
from tests.fakes.inference import Desk, Follower, ask, inference
from tests.fakes.stepping import (
    PIECES,
    PLANNER,
    WHOLE,
    answer_of,
    finish,
    permit,
    running,
    stepping,
)
from tests.fakes.waiting import until


async def test_a_preempted_run_on_a_plain_backend_goes_on_from_its_text() -> None:
    backend = stepping()
    async with running(backend, 7) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert backend.jobs[1].emitted_text == "".join(PIECES[:7])
        assert backend.jobs[1].emitted_ids == ()
        assert backend.jobs[1].max_new_tokens == 13
        assert desk.ticket.yields == [(7, False, "")]
        assert follower.text == WHOLE
        assert answer_of(follower).timings.preemption_count == 1
        assert answer_of(follower).usage.completion_tokens == 20
        kinds = follower.kinds
        assert kinds[0] == "Admitted"
        assert kinds.index("Suspended") + 1 == kinds.index("Resumed")


async def test_a_run_yields_when_the_room_kept_for_it_is_used_up() -> None:
    backend = FakeBackend(pieces=PIECES)
    async with inference(backend, replica=None) as desk:
        follower = desk.start()
        (await desk.submitted()).grant("r0", 8)
        await until(lambda: len(desk.ticket.yields) == 1)
        desk.ticket.grant("r0", 8)
        await until(lambda: len(desk.ticket.yields) == 2)
        desk.ticket.grant("r0")
        await follower.task

        assert [job.max_new_tokens for job in backend.jobs][:2] == [8, 8]
        assert backend.jobs[1].emitted_text == "".join(PIECES[:8])
        assert desk.ticket.yields == [(8, False, ""), (16, False, "")]
        assert follower.text == WHOLE
        assert answer_of(follower).usage.completion_tokens == 20


async def test_room_for_all_that_may_come_is_no_reason_to_yield() -> None:
    backend = FakeBackend(pieces=PIECES)
    async with inference(backend, replica=None) as desk:
        follower = desk.start(max_tokens=8)
        (await desk.submitted()).grant("r0", 8)
        await follower.task

        assert desk.ticket.yields == []
        assert answer_of(follower).reason is FinishReason.LENGTH


async def test_a_preempted_run_goes_on_from_its_kept_state_on_the_same_replica() -> None:
    backend = stepping(info=WITH_KV)
    async with running(backend, 5) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert backend.jobs[1].kv_handle == "kv1"
        assert desk.ticket.yields == [(5, False, "r0")]
        assert follower.text == WHOLE
        await until(lambda: backend.kept == set())
        assert desk.checkpoints.saved == {}


async def test_a_kept_state_is_of_no_use_on_another_replica() -> None:
    first, second = stepping(info=WITH_KV), FakeBackend("r1", pieces=PIECES, info=WITH_KV)
    async with inference(first, second, replica=None) as desk:
        follower = desk.start()
        (await desk.submitted()).grant("r0")
        permit(first, 5)
        await until(lambda: len(follower.text) == len("".join(PIECES[:5])))
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: bool(desk.ticket.yields))
        desk.ticket.grant("r1")
        await follower.task

        assert second.jobs[0].kv_handle == ""
        assert follower.text == WHOLE


async def test_a_backend_that_cannot_forget_a_kept_state_disturbs_nothing() -> None:
    backend = stepping(info=WITH_KV)
    backend.forget_fault = BackendUnavailable("gone")
    async with running(backend, 5) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)
        await until(lambda: not desk.use_cases._background)

        assert follower.text == WHOLE
        assert ("not_deleted",) in desk.metrics.of("checkpointed")


async def test_a_run_that_ends_while_it_is_being_stopped_is_finished() -> None:
    backend = FakeBackend(pieces=PIECES, info=WITH_KV)

    async def too_late(_run_id: str) -> None:
        permit(backend, 20)
        await until(lambda: backend.running == 0)

    backend.permits = asyncio.Semaphore(0)
    backend.suspend = too_late  # type: ignore[assignment]  # this backend's only
    async with running(backend, 3) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await follower.task

        assert follower.text == WHOLE
        assert desk.ticket.ends == [(Completion.COMPLETED, 20)]
        assert desk.ticket.yields == []


async def test_a_backend_that_fails_to_stop_a_run_is_lost() -> None:
    backend = stepping(info=WITH_KV)
    backend.suspend_fault = BackendUnavailable("broke off")
    async with running(backend, 3) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert desk.ticket.yields == [(3, True, "")]
        assert follower.text == WHOLE
        assert answer_of(follower).timings.recovery_count == 1


async def test_failures_in_a_row_without_a_token_fail_the_generation() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(4, BackendUnavailable("x")), *[(0, BackendUnavailable("x"))] * 10]
    async with inference(backend) as desk:
        follower = desk.start()
        with pytest.raises(BackendFailed) as failure:
            await follower.task

        assert failure.value.retry_after
        assert len(backend.jobs) == 3
        assert follower.text == "".join(PIECES[:4])
        assert desk.ticket.ends == [(Completion.FAILED, 4)]


async def test_a_few_failures_with_progress_between_them_do_not_add_up() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(1, BackendUnavailable("x"))] * 15
    async with inference(backend) as desk:
        follower = desk.start()
        await follower.task

        assert follower.text == WHOLE
        assert len(backend.jobs) == 16
        assert [done for done, lost, _ in desk.ticket.yields if lost] == list(range(1, 16))


async def test_a_run_that_somebody_else_stopped_goes_on_and_is_no_whole_answer() -> None:
    backend = stepping()
    async with running(backend, 5) as (_, follower):
        await backend.suspend(backend.jobs[0].run_id)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert follower.text == WHOLE
        assert answer_of(follower).timings.recovery_count == 1


async def test_a_backend_that_breaks_off_after_every_token_is_given_up() -> None:
    backend = FakeBackend(pieces=PIECES * 20)
    backend.faults = [(1, BackendUnavailable("x"))] * 1000
    async with inference(backend) as desk:
        follower = desk.start(max_tokens=400)
        with pytest.raises(BackendFailed, match="times in one answer"):
            await follower.task

        assert len(backend.jobs) == MOST_RECOVERIES + 1


async def test_a_grant_on_a_replica_that_is_unknown_here_counts_as_lost() -> None:
    backend = FakeBackend(pieces=PIECES)
    async with inference(backend, replica=None) as desk:
        follower = desk.start()
        (await desk.submitted()).grant("elsewhere")
        await until(lambda: bool(desk.ticket.yields))
        desk.ticket.grant("r0")
        await follower.task

        assert desk.ticket.yields == [(0, True, "")]
        assert follower.text == WHOLE


async def test_a_request_that_the_backend_refuses_is_not_tried_again() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(0, BackendInvalid("bad sampling"))]
    async with inference(backend) as desk:
        follower = desk.start()
        with pytest.raises(BackendRefused, match="bad sampling"):
            await follower.task

        assert len(backend.jobs) == 1
        assert desk.pool.live()


async def test_a_refusal_of_the_scheduler_is_the_callers_error() -> None:
    backend = FakeBackend(pieces=PIECES)
    async with inference(backend, replica=None) as desk:
        follower = desk.start()
        (await desk.submitted()).refuse(QueueFull("full", retry_after=1.0))
        with pytest.raises(QueueFull):
            await follower.task

        assert backend.jobs == []


async def test_a_revoked_run_ends_at_once() -> None:
    backend = stepping()
    async with running(backend, 3) as (desk, follower):
        desk.ticket.interrupt(Interrupt.REVOKE)
        with pytest.raises(Cancelled):
            await follower.task
        await until(lambda: desk.use_cases.running == 0)

        assert backend.running == 0
        assert desk.ticket.ends == [(Completion.CANCELLED, 3)]


async def test_output_that_breaks_its_constraint_is_an_error() -> None:
    backend = FakeBackend(pieces=["not ", "json"])
    schema = Constraint(ConstraintKind.JSON, '{"properties": {"a": {"type": "string"}}}')
    async with inference(backend) as desk:
        follower = desk.start(constraint=schema)
        with pytest.raises(ConstraintUnmet):
            await follower.task

        assert not desk.ticket.call.preemptible
        assert desk.ticket.ends == [(Completion.FAILED, 2)]


async def test_output_that_is_cut_short_is_not_held_to_its_constraint() -> None:
    backend = FakeBackend(pieces=["1", "2", "3"])
    async with inference(backend) as desk:
        follower = desk.start(constraint=Constraint(ConstraintKind.REGEX, "123"), max_tokens=2)
        await follower.task

        assert answer_of(follower).reason is FinishReason.LENGTH
        assert follower.text == "12"


async def test_a_constrained_run_that_loses_its_backend_starts_over_with_its_seed() -> None:
    backend = FakeBackend(pieces=["1", "2", "3"])
    async with inference(backend) as desk:
        resumed = Follower(
            desk,
            ask(constraint=Constraint(ConstraintKind.REGEX, "123")),
            "g1",
            PLANNER,
            ResumePoint(2, (0, 1), "12"),
        )
        await resumed.task

        assert backend.jobs[0].emitted_text == ""
        assert resumed.text == "3"
        assert answer_of(resumed).message.content == "123"


async def test_a_stop_string_across_a_preemption_ends_the_answer_and_is_not_delivered() -> None:
    backend = stepping(pieces=["a ", "EN", "D", " never"])
    async with running(backend, 2, stop=("END",)) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert backend.jobs[1].emitted_text == "a EN"
        assert follower.text == "a "
        assert answer_of(follower).message.content == "a "
        assert answer_of(follower).reason is FinishReason.STOP


async def test_what_may_begin_a_stop_string_is_delivered_when_it_does_not() -> None:
    backend = stepping(pieces=["a ", "EN", "OUGH"])
    async with running(backend, 2, stop=("END",)) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert follower.text == "a ENOUGH"


async def test_two_callers_of_one_request_share_one_run() -> None:
    backend = stepping()
    async with running(backend, 3) as (desk, follower):
        second = desk.start()
        await until(lambda: second.text == follower.text)
        await follower.leave()
        still = desk.use_cases.running
        await finish(backend, second)

        assert still == 1
        assert second.text == WHOLE
        assert len(backend.jobs) == 1


async def test_the_last_callers_going_ends_the_run() -> None:
    backend = stepping()
    async with running(backend, 3) as (desk, follower):
        second = desk.start()
        await until(lambda: second.text == follower.text)
        await follower.leave()
        await second.leave()
        await until(lambda: desk.use_cases.running == 0)

        assert backend.running == 0
        assert desk.ticket.ends == [(Completion.CANCELLED, 3)]


async def test_a_watcher_sees_what_it_has_not_seen_and_holds_nothing() -> None:
    backend = stepping()
    async with running(backend, 6) as (desk, follower):
        watched: list[Any] = []

        async def watch() -> None:
            watched.extend([event async for event in desk.use_cases.watch("acme", "planner", "g1", 4)])

        watching = asyncio.create_task(watch())
        await finish(backend, follower)
        await watching

        texts = [event.body.text for event in watched if isinstance(event.body, Delta)]
        assert "".join(texts) == "".join(PIECES[4:])
        assert isinstance(watched[-1].body, Answer)


async def test_a_watcher_does_not_keep_a_run_alive() -> None:
    backend = stepping()
    async with running(backend, 2) as (desk, follower):

        async def watch() -> None:
            async for _ in desk.use_cases.watch("acme", "planner", "g1", 0):
                pass

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        await follower.leave()
        with pytest.raises(Cancelled):
            await watching


async def test_a_cancelled_generation_ends_for_all_its_callers_and_frees_the_backend() -> None:
    backend = stepping()
    async with running(backend, 2) as (desk, follower):
        first = desk.use_cases.cancel("acme", "planner", "g1")
        again = desk.use_cases.cancel("acme", "planner", "g1")
        with pytest.raises(Cancelled):
            await follower.task
        await until(lambda: desk.use_cases.running == 0)

        assert (first, again) == (True, False)
        assert backend.running == 0
        assert desk.ticket.ends == [(Completion.CANCELLED, 2)]


@pytest.mark.parametrize("whose", [("acme", "other"), ("rival", "planner")])
async def test_a_generation_is_found_by_its_owner_only(whose: tuple[str, str]) -> None:
    backend = stepping()
    async with running(backend, 2) as (desk, _):
        with pytest.raises(GenerationNotFound):
            desk.use_cases.cancel(*whose, "g1")


async def test_a_cancelled_request_that_is_sent_again_runs_again() -> None:
    backend = stepping()
    async with running(backend, 2) as (desk, follower):
        await follower.leave()
        again = desk.start()
        await desk.submitted(2)
        await finish(backend, again)

        assert again.text == WHOLE
        assert [ticket.ends for ticket in desk.dispatcher.tickets] == [
            [(Completion.CANCELLED, 2)],
            [(Completion.COMPLETED, 20)],
        ]


async def test_a_gateway_that_closes_tells_its_callers_to_come_back() -> None:
    backend = stepping()
    async with running(backend, 2) as (desk, follower):
        await desk.use_cases.close()
        with pytest.raises(BackendFailed) as failure:
            await follower.task

        assert failure.value.retry_after
        assert desk.use_cases.running == 0
        assert backend.running == 0


NO_PAUSE = CircuitConfig(first_pause=0.001, longest_pause=0.001)


@settings(max_examples=examples(40))
@given(st.integers(0, 2**32), st.integers(1, 12))
async def test_whatever_happens_nothing_is_left_behind(seed: int, calls: int) -> None:
    # What is drawn depends on how far the calls have come: nothing that may ask hypothesis itself.
    rng = random.Random(seed)  # noqa: S311 - a course of events, no secret
    backend = stepping(info=rng.choice([PLAIN, WITH_KV]))
    backend.faults = [(rng.randrange(4), BackendUnavailable("x")) for _ in range(rng.randrange(6))]
    # Without pauses between the trials of a failing replica: the calls would wait for the clock.
    async with inference(backend, circuit=NO_PAUSE) as desk:
        followers = [desk.start(f"g{n % 8}", f"a{n % 3}", max_tokens=20) for n in range(calls)]
        for _ in range(rng.randrange(40)):
            await _something(rng, desk, backend, followers)
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
        for follower in followers:
            if rng.random() < 0.5:
                follower.task.cancel()
        permit(backend, 1000)
        results = await asyncio.gather(*(each.task for each in followers), return_exceptions=True)
        await until(lambda: desk.use_cases.running == 0 and not desk.use_cases._background)

        assert all(
            each is None or isinstance(each, KernelError | asyncio.CancelledError) for each in results
        ), results
        for follower, result in zip(followers, results, strict=True):
            assert WHOLE.startswith(follower.text)
            assert result is not None or follower.text == WHOLE
        assert backend.running == 0
        assert (len(desk.use_cases._runs), desk.use_cases._loads.total) == (0, 0)
        assert all(generation._waiters == [] for generation in desk.generations)
        assert all(len(ticket.ends) == 1 for ticket in desk.dispatcher.tickets)


async def _something(rng: random.Random, desk: Desk, backend: FakeBackend, followers: list[Follower]) -> None:
    """Let one random thing happen."""
    match rng.randrange(4):
        case 0:
            permit(backend, rng.randrange(1, 9))
        case 1:
            rng.choice(followers).task.cancel()
        case 2 if desk.dispatcher.tickets:
            ticket = rng.choice(desk.dispatcher.tickets)
            if not ticket._interrupt.done():
                ticket.interrupt(rng.choice([Interrupt.PREEMPT, Interrupt.PREEMPT, Interrupt.REVOKE]))
        case _:
            await asyncio.sleep(0.001)
