"""What the gateway still holds of a generation once it has ended: little, and never its request."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    CapabilityMissing,
    ConstraintInvalid,
    GenerationNotFound,
    ModelNotFound,
    PromptTooLong,
)
from gateway.inference.core.kept import MIB, KeepLimits, KeptGenerations
from gateway.inference.model import (
    Answer,
    Capabilities,
    Constraint,
    ConstraintKind,
    FinishReason,
    GenerationSpec,
    ResumePoint,
    Timings,
    Usage,
)
from gateway.inference.service.generation import Generation
from services.chassis.auth.identity import Caller
from services.chassis.chat import ChatMessage, Role, ToolDefinition
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.dispatch.scheduling import CallKey
from services.chassis.rpc.errors import AgentInactive, Cancelled, KernelError
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.clock import FakeClock
from tests.fakes.inference import Desk, ask, inference
from tests.fakes.waiting import until

LARGE = 2**20
ROOMY = replace(PLAIN, max_total_tokens=2_000_000, max_batch_total_tokens=8_000_000)
SMALL = replace(PLAIN, longest_token=128)
UNABLE = replace(ROOMY, capabilities=Capabilities(regexes=False))


def large(number: int) -> str:
    """Return a text of a megabyte that no other request shares."""
    return f"{number} " + "x" * LARGE


def held_requests() -> int:
    """Count the large requests that anything still refers to."""
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, GenerationSpec)]
    texts = [text for spec in found for text in (spec.prompt, *(each.content for each in spec.messages))]
    return sum(len(text) >= LARGE for text in texts)


@dataclass
class Refusal:
    """A way to be refused."""

    error: type[KernelError]
    spec: dict[str, Any]
    backend: Callable[[], FakeBackend] = lambda: FakeBackend(info=ROOMY)
    queue: KernelError | None = None


BAD_REGEX = Constraint(ConstraintKind.REGEX, "(")
REGEX = Constraint(ConstraintKind.REGEX, "a+")
REFUSALS = {
    "a constraint that a group is not closed": Refusal(ConstraintInvalid, {"constraint": BAD_REGEX}),
    "a model that nobody serves": Refusal(ModelNotFound, {"model": "other"}),
    "a prompt that does not fit": Refusal(PromptTooLong, {}, lambda: FakeBackend(info=SMALL)),
    "a backend that cannot do it": Refusal(
        CapabilityMissing, {"constraint": REGEX}, lambda: FakeBackend(info=UNABLE)
    ),
    "a full queue": Refusal(QueueFull, {}, queue=QueueFull("full")),
    "an agent that was killed": Refusal(AgentInactive, {}, queue=AgentInactive("killed")),
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_refused_generations_of_a_megabyte_leave_next_to_nothing(how: str) -> None:
    refusal = REFUSALS[how]
    async with inference(refusal.backend(), replica=None) as desk:
        await refused(desk, refusal, range(2))  # what is loaded once is none of theirs
        before = held_requests()
        tracemalloc.start()
        try:
            await refused(desk, refusal, range(2, 42))
            gc.collect()
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert held_requests() == before == 0  # of forty megabytes
        assert desk.use_cases.running == 0
        assert grown < 2 * LARGE
        assert desk.use_cases.kept.bytes < 2 * LARGE


async def refused(desk: Desk, refusal: Refusal, numbers: range) -> None:
    for number in numbers:
        spec = ask(messages=(ChatMessage(Role.USER, large(number)),), **refusal.spec)
        sent = len(desk.dispatcher.tickets)
        call = asyncio.create_task(desk.use_cases.generate(Caller("mal", "acme"), spec, f"g{number}", None))
        if refusal.queue is not None:
            (await desk.submitted(sent + 1)).refuse(refusal.queue)
        (error,) = await asyncio.gather(call, return_exceptions=True)
        assert type(error) is refusal.error
        del call, spec, error
    await quiet(desk)


async def quiet(desk: Desk) -> None:
    """Wait until every run is over and the event loop has let go of it."""
    await until(lambda: desk.use_cases.running == 0)
    await asyncio.sleep(0.01)


async def test_what_a_refused_caller_brought_back_is_not_kept_either() -> None:
    async with inference(FakeBackend(info=ROOMY), replica=None) as desk:
        seen = ResumePoint(3, (1, 2, 3), large(0))
        spec = ask(max_tokens=100)
        call = asyncio.create_task(desk.use_cases.generate(Caller("mal", "acme"), spec, "g1", seen))
        ticket = await desk.submitted()
        charged = desk.use_cases._loads.total
        ticket.refuse(QueueFull("full"))
        await asyncio.gather(call, return_exceptions=True)
        await quiet(desk)

        assert charged > LARGE
        assert ticket.call.tokens_done == 3
        assert desk.use_cases.kept.bytes < LARGE // 10


async def test_a_refused_generation_can_still_be_asked_for_its_error() -> None:
    async with inference(FakeBackend(info=ROOMY)) as desk:
        spec = ask(constraint=BAD_REGEX)
        with suppress(ConstraintInvalid):
            await desk.use_cases.generate(Caller("mal", "acme"), spec, "g1", None)

        for _ in range(2):
            with pytest.raises(ConstraintInvalid, match="a group is not closed"):
                async for _event in desk.use_cases.watch("acme", "mal", "g1", 0):
                    pass


async def test_the_reading_of_an_error_adds_nothing_to_it() -> None:
    """Each raising of one exception object would hang the frames of one more caller on it."""
    async with inference(FakeBackend(info=ROOMY)) as desk:
        spec = ask(prompt=large(0), messages=(), constraint=BAD_REGEX)
        with suppress(ConstraintInvalid):
            await desk.use_cases.generate(Caller("mal", "acme"), spec, "g1", None)
        del spec
        await quiet(desk)
        seen = []
        for _ in range(3):
            try:
                async for _event in desk.use_cases.watch("acme", "mal", "g1", 0):
                    pass
            except ConstraintInvalid as error:
                seen.append(error)

        assert len({id(each) for each in seen}) == 3
        assert all(each.__cause__ is None and each.__context__ is None for each in seen)
        assert held_requests() == 0


async def test_a_finished_generation_keeps_its_answer_and_lets_its_request_go() -> None:
    async with inference(FakeBackend(info=ROOMY, pieces=["a ", "b "])) as desk:
        tool = ToolDefinition("look", "d" * LARGE, "")
        spec = ask(messages=(ChatMessage(Role.USER, large(0)),), tools=(tool,))
        _, answer = await desk.use_cases.generate(Caller("amy", "acme"), spec, "g1", None)
        again = await desk.use_cases.generate(Caller("amy", "acme"), spec, "g1", None)
        del spec, tool
        await until(lambda: desk.use_cases.running == 0)
        late = [event async for event in desk.use_cases.watch("acme", "amy", "g1", 1)]

        assert again[1] is answer
        assert [type(event.body).__name__ for event in late] == ["Admitted", "Delta", "Answer"]
        assert len(desk.dispatcher.tickets) == 1
        assert held_requests() == 0
        assert desk.use_cases.kept.agent_bytes("acme", "amy") < LARGE // 10


async def test_what_an_agent_has_finished_is_bounded_in_bytes_and_its_oldest_go_first() -> None:
    pieces = [f"{number:>1000}" for number in range(20)]
    keep = KeepLimits(agent_bytes=100_000, tenant_bytes=10 * MIB, total_bytes=10 * MIB)
    async with inference(FakeBackend(pieces=pieces), keep=keep) as desk:
        await desk.start("theirs", "amy").task
        for number in range(12):
            await desk.start(f"g{number}", "mal").task
        await until(lambda: desk.use_cases.running == 0)
        with pytest.raises(GenerationNotFound):
            desk.use_cases.cancel("acme", "mal", "g0")

        assert desk.use_cases.kept.agent_bytes("acme", "mal") <= 100_000
        assert desk.use_cases.cancel("acme", "mal", "g11") is False
        assert desk.use_cases.cancel("acme", "amy", "theirs") is False


async def test_an_answer_larger_than_the_share_of_its_agent_reaches_its_reader_all_the_same() -> None:
    keep = KeepLimits(agent_bytes=1_000)
    async with inference(FakeBackend(), keep=keep) as desk:
        follower = desk.start()
        await follower.task
        await until(lambda: desk.use_cases.running == 0)

        assert follower.text == "a b c "
        assert len(desk.use_cases.kept) == 0


async def test_requests_under_way_are_bounded_in_bytes() -> None:
    async with inference(FakeBackend(info=ROOMY), replica=None, bytes_per_program=3 * LARGE) as desk:
        followers = [
            desk.start(f"g{n}", "mal", messages=(ChatMessage(Role.USER, large(n)),)) for n in range(2)
        ]
        await desk.submitted(2)
        for follower in [desk.start("g2", "mal", messages=(ChatMessage(Role.USER, large(2)),))]:
            with pytest.raises(TooManyCalls):
                await follower.task
        other = desk.start("g3", "amy", messages=(ChatMessage(Role.USER, large(3)),))
        await desk.submitted(3)
        for follower in (*followers, other):
            await follower.leave()
        await until(lambda: desk.use_cases.running == 0)

        assert desk.use_cases._loads.total == 0


async def test_the_gateway_as_a_whole_is_bounded_too() -> None:
    async with inference(FakeBackend(info=ROOMY), replica=None, bytes_under_way=3 * LARGE) as desk:
        followers = [desk.start("g", f"a{n}", messages=(ChatMessage(Role.USER, large(n)),)) for n in range(2)]
        await desk.submitted(2)
        with pytest.raises(QueueFull):
            await desk.start("g", "a2", messages=(ChatMessage(Role.USER, large(2)),)).task
        for follower in followers:
            await follower.leave()


def ended(tenant: str, agent: str, call: str, *, tokens: int, clock: FakeClock | None = None) -> Generation:
    """Return a generation that has ended with so many tokens of ten characters."""
    made = Generation(
        key=CallKey(tenant, agent, call), digest="", spec=ask(), arrived_at=0.0, clock=clock or FakeClock()
    )
    for number in range(tokens):
        made.append(1000 + number, f"{number:>10}")
    if tokens:
        message = ChatMessage(Role.ASSISTANT, made.transcript.text)
        made.finish(Answer(FinishReason.STOP, message, Usage(), Timings(), "m"))
    else:
        made.fail(Cancelled("left"))
    made.release()
    return made


@pytest.mark.parametrize("tokens", [0, 50, 5_000])
def test_the_size_of_a_generation_is_near_what_it_takes(tokens: int) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        made = [ended("acme", "amy", f"g{n}", tokens=tokens) for n in range(20)]
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    told = sum(each.size for each in made)

    assert 0.7 * told < taken + 20 * 1_500
    assert taken < 1.3 * told


_OWNERS = st.tuples(st.sampled_from(["t0", "t1"]), st.sampled_from(["a0", "a1", "a2"]))


@given(st.lists(st.tuples(_OWNERS, st.integers(0, 9), st.integers(0, 40)), max_size=60))
def test_no_account_is_ever_above_its_limit_and_all_add_up(
    steps: list[tuple[tuple[str, str], int, int]],
) -> None:
    limits = KeepLimits(agent_bytes=12_000, tenant_bytes=20_000, total_bytes=30_000)
    kept = KeptGenerations(limits)
    for (tenant, agent), call, tokens in steps:
        kept.add(ended(tenant, agent, f"g{call}", tokens=tokens))
        generations = list(kept)

        assert kept.bytes == sum(each.size for each in generations) <= limits.total_bytes
        for name in ("t0", "t1"):
            of_tenant = [each for each in generations if each.key.tenant == name]
            assert sum(each.size for each in of_tenant) <= limits.tenant_bytes
        for owner in {(each.key.tenant, each.key.agent) for each in generations}:
            of_agent = sum(each.size for each in generations if (each.key.tenant, each.key.agent) == owner)
            assert kept.agent_bytes(*owner) == of_agent <= limits.agent_bytes


def test_what_is_too_old_goes() -> None:
    clock = FakeClock()
    kept = KeptGenerations(KeepLimits(seconds=10.0))
    kept.add(ended("t", "a", "old", tokens=1, clock=clock))
    clock.advance(8.0)
    kept.add(ended("t", "a", "new", tokens=1, clock=clock))
    clock.advance(3.0)
    kept.expire(clock.monotonic())

    assert [each.key.call for each in kept] == ["new"]
