"""What the scheduler learns of prompts and caches, and what becomes of a generation whose replicas fail."""

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import BackendFailed
from gateway.inference.core.circuit import CircuitConfig, CircuitState
from gateway.inference.errors import BackendBroken, BackendStalled, BackendUnavailable, UnmarkedEnd
from gateway.inference.model import Answer, Capabilities, FinishReason
from services.chassis.chat import ChatMessage, Role
from services.chassis.dispatch.scheduling import Interrupt
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.inference import QUICK, inference
from tests.fakes.waiting import until

PIECES = [f"w{number} " for number in range(20)]
WHOLE = "".join(PIECES)


async def test_what_a_backend_had_cached_is_told_for_each_run_and_the_callers_usage_is_the_first() -> None:
    backend = FakeBackend(pieces=PIECES)
    permits = asyncio.Semaphore(5)
    backend.cached, backend.permits = 2, permits
    async with inference(backend) as desk:
        follower = desk.start()
        await until(lambda: desk.ticket.tokens == 4 if desk.dispatcher.tickets else False)
        backend.cached = 7
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        for _ in PIECES:
            permits.release()
        await follower.task
        answer = follower.events[-1].body

        assert desk.ticket.cached == [2, 7]
        assert desk.ticket.ends[-1][1] == len(PIECES)
        assert isinstance(answer, Answer)
        assert answer.usage.cached_prompt_tokens == 2


async def test_a_backend_that_tells_nothing_of_its_cache_is_not_guessed_about() -> None:
    async with inference(FakeBackend(pieces=PIECES)) as desk:
        await desk.start().task

        assert desk.ticket.cached == []


async def test_the_scheduler_is_told_the_parts_of_the_prompt() -> None:
    async with inference(FakeBackend(pieces=PIECES)) as desk:
        await desk.start("g1").task
        first = desk.ticket.call
        longer = (
            ChatMessage(Role.USER, "hello"),
            ChatMessage(Role.ASSISTANT, "hi"),
            ChatMessage(Role.USER, "more"),
        )
        await desk.start("g2", messages=longer).task
        second = desk.ticket.call

        assert first.prefixes[-1].tokens == first.prompt_tokens
        assert first.prefixes[-1].key in {part.key for part in second.prefixes}


async def test_a_stall_in_the_middle_goes_on_elsewhere_and_repeats_nothing() -> None:
    """The driver raises BackendStalled when no token came in time."""
    first, second = FakeBackend("r0", pieces=PIECES), FakeBackend("r1", pieces=PIECES)
    first.faults = [(6, BackendStalled("no token in time"))]
    async with inference(first, second, replica=None) as desk:
        follower = desk.start()
        ticket = await desk.submitted()
        ticket.grant("r0")
        await until(lambda: len(ticket.yields) == 1)
        ticket.grant("r1")
        await follower.task

        assert follower.text == WHOLE
        assert [job.emitted_text for job in second.jobs] == ["".join(PIECES[:6])]
        assert desk.ticket.yields == [(6, True, "")]


async def test_a_generation_that_fails_on_every_replica_ends_after_so_many_tries() -> None:
    backends = [FakeBackend(name, pieces=PIECES) for name in ("r0", "r1")]
    for backend in backends:
        backend.faults = [(0, BackendUnavailable("status 500"))] * 100
    async with inference(*backends, replica=None) as desk:
        follower = desk.start()
        ticket = await desk.submitted()
        for turn in range(QUICK.max_failures):
            await until(lambda: len(ticket.yields) == turn)  # noqa: B023 - awaited at once
            ticket.grant(f"r{turn % 2}")
        with pytest.raises(BackendFailed, match="status 500"):
            await follower.task

        assert sum(len(backend.jobs) for backend in backends) == QUICK.max_failures
        assert desk.pool.circuit("r0") is CircuitState.CLOSED


async def test_an_oddly_answered_call_ends_with_its_cause_and_its_replica_goes_on() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(2, BackendBroken("an event of the stream makes no sense"))]
    async with inference(backend) as desk:
        follower = desk.start("g1")
        with pytest.raises(BackendFailed, match="makes no sense"):
            await follower.task
        other = desk.start("g2", "another")
        await other.task

        assert other.text == WHOLE
        assert len(backend.jobs) == 2
        assert desk.dispatcher.announced == [("r0", True)]


async def test_a_call_whose_replica_has_lost_its_key_goes_on_elsewhere() -> None:
    first, second = FakeBackend("r0", pieces=PIECES), FakeBackend("r1", pieces=PIECES)
    async with inference(first, second, replica=None) as desk:
        first.faults = [(3, BackendBroken("status 401"))]
        first.broken = BackendBroken("status 401")
        follower = desk.start()
        ticket = await desk.submitted()
        ticket.grant("r0")
        await until(lambda: len(ticket.yields) == 1)
        out = [each.backend.name for each in desk.pool.live()]
        ticket.grant("r1")
        await follower.task

        assert out == ["r1"]
        assert follower.text == WHOLE


async def test_a_preempted_run_that_brought_tokens_ends_a_trial_and_one_without_tells_nothing() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.permits = asyncio.Semaphore(0)
    async with inference(backend, circuit=CircuitConfig(quarantine=0.001)) as desk:
        for source in "abab":
            desk.pool.failed("r0", BackendBroken("no JSON"), source)
        await until(lambda: bool(desk.pool.live()))
        states = [desk.pool.circuit("r0")]
        follower = desk.start()
        for tokens in (0, 3):
            await until(lambda: backend.running == 1)
            for _ in range(tokens):
                backend.permits.release()
            await until(lambda: desk.ticket.tokens >= tokens - 1)  # noqa: B023 - awaited at once
            yields = len(desk.ticket.yields)
            desk.ticket.interrupt(Interrupt.PREEMPT)
            await until(lambda: len(desk.ticket.yields) > yields)  # noqa: B023 - awaited at once
            states.append(desk.pool.circuit("r0"))
        await follower.leave()

    assert states == [CircuitState.HALF_OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]


async def test_an_answer_that_ends_twice_at_one_place_without_a_mark_is_whole() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(5, UnmarkedEnd("no mark")), (0, UnmarkedEnd("no mark"))]
    async with inference(backend) as desk:
        follower = desk.start()
        await follower.task
        answer = follower.events[-1].body

        assert isinstance(answer, Answer)
        assert (answer.message.content, answer.reason) == ("".join(PIECES[:5]), FinishReason.STOP)
        assert len(backend.jobs) == 2


async def test_an_answer_that_goes_on_after_an_end_without_a_mark_was_not_whole() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(5, UnmarkedEnd("no mark")), (3, UnmarkedEnd("no mark"))]
    async with inference(backend) as desk:
        follower = desk.start()
        await follower.task

        assert follower.text == WHOLE


@pytest.mark.parametrize(("again", "answer"), [(5, "".join(PIECES[:5])), (3, WHOLE)])
async def test_an_answer_that_starts_over_is_whole_when_it_ends_at_the_same_place(
    again: int, answer: str
) -> None:
    backend = FakeBackend(pieces=PIECES, info=replace(PLAIN, capabilities=Capabilities(continues_text=False)))
    backend.faults = [(5, UnmarkedEnd("no mark")), (again, UnmarkedEnd("no mark"))]
    async with inference(backend) as desk:
        follower = desk.start()
        await follower.task

        assert follower.text == answer


async def test_a_stream_without_any_token_is_no_answer() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(0, UnmarkedEnd("no mark"))] * 10
    async with inference(backend) as desk:
        follower = desk.start()
        with pytest.raises(BackendFailed, match="no mark"):
            await follower.task


async def test_runs_that_bring_no_text_are_no_progress() -> None:
    backend = FakeBackend(pieces=["", "", "", "answer"])
    backend.faults = [(2, BackendUnavailable("broke off"))] * 10
    async with inference(backend) as desk:
        follower = desk.start()
        with pytest.raises(BackendFailed):
            await follower.task

        assert len(backend.jobs) == QUICK.max_failures
