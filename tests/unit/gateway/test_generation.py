"""A generation as its readers see it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.model import (
    Admitted,
    Answer,
    Delta,
    Event,
    FinishReason,
    GenerationSpec,
    SuspendReason,
    Timings,
    Usage,
)
from gateway.inference.service.generation import MAX_DELTA_TOKENS, Generation
from services.chassis.chat import ChatMessage, Role
from services.chassis.dispatch.scheduling import CallKey
from services.chassis.rpc.errors import Cancelled
from services.chassis.runtime.clock import SystemClock


def generation(stop: tuple[str, ...] = ()) -> Generation:
    return Generation(
        key=CallKey("t", "a", "g"),
        digest="d",
        spec=GenerationSpec(prompt="p", stop=stop),
        arrived_at=0.0,
        clock=SystemClock(),
    )


def answer(text: str) -> Answer:
    return Answer(FinishReason.STOP, ChatMessage(Role.ASSISTANT, text), Usage(), Timings(), "m")


async def read(source: Generation, after: int = 0) -> list[Event]:
    return [event async for event in source.events(after)]


def text_of(events: list[Event]) -> str:
    return "".join(event.body.text for event in events if isinstance(event.body, Delta))


async def test_a_reader_that_comes_late_sees_everything() -> None:
    source = generation()
    source.admit(0.5)
    for number in range(40):
        source.append(number, f"{number} ")
    source.finish(answer(source.transcript.text))

    events = await read(source)

    assert isinstance(events[0].body, Admitted)
    assert isinstance(events[-1].body, Answer)
    assert text_of(events) == source.transcript.text
    assert events[-1].sequence == 40


async def test_a_reader_that_follows_gets_the_first_token_at_once() -> None:
    source = generation()
    source.admit(0.0)
    stream = source.events()
    await anext(stream)
    source.append(1, "hi")

    event = await asyncio.wait_for(anext(stream), 30)

    assert event.body == Delta("hi", (1,))
    await stream.aclose()


@given(st.integers(0, 60), st.lists(st.integers(1, 60), max_size=3))
async def test_every_reader_gets_exactly_the_text_after_its_position(after: int, suspends: list[int]) -> None:
    source = generation()
    source.admit(0.0)
    follower = asyncio.create_task(read(source, after))
    for number in range(60):
        source.append(number, f"<{number}>")
        if number in suspends:
            source.suspend(SuspendReason.PREEMPTED)
            source.resume(0.1)
        if number % 7 == 0:
            await asyncio.sleep(0)
    source.finish(answer(""))

    assert text_of(await follower) == "".join(f"<{number}>" for number in range(after, 60))
    sequences = [event.sequence for event in await follower]
    assert sequences == sorted(sequences)


async def test_a_slow_reader_gets_bounded_messages() -> None:
    source = generation()
    source.admit(0.0)
    for number in range(3 * MAX_DELTA_TOKENS):
        source.append(number, "x")
    source.finish(answer(""))

    deltas = [event.body for event in await read(source) if isinstance(event.body, Delta)]

    assert max(len(delta.token_ids) for delta in deltas) <= MAX_DELTA_TOKENS


async def test_an_error_comes_after_everything_that_was_produced() -> None:
    source = generation()
    source.admit(0.0)
    source.append(1, "one")
    source.fail(Cancelled("gone"))
    stream = source.events()

    assert isinstance((await anext(stream)).body, Admitted)
    assert (await anext(stream)).body == Delta("one", (1,))
    with pytest.raises(Cancelled):
        await anext(stream)


async def test_a_failed_generation_stays_failed() -> None:
    source = generation()
    source.fail(Cancelled("first"))
    source.fail(Cancelled("second"))

    with pytest.raises(Cancelled, match="first"):
        await source.answer()


async def test_a_reader_that_leaves_leaves_no_waiter_behind() -> None:
    source = generation()
    source.admit(0.0)
    task = asyncio.create_task(read(source))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert source._waiters == []
