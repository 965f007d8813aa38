"""What a call asks for beyond its text: room, stop strings, tools, likelihoods; also through crashes."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import CapabilityMissing, PromptTooLong
from gateway.inference.errors import BackendUnavailable
from gateway.inference.model import (
    Alternative,
    Capabilities,
    Chat,
    FinishReason,
    Place,
    Prompt,
    ResumePoint,
    Sampling,
    Stopped,
    StopReason,
    Token,
    ToolChoice,
)
from services.chassis.chat import ToolCall, ToolDefinition
from services.chassis.dispatch.scheduling import Interrupt
from services.chassis.rpc.errors import IdempotencyMismatch, InvalidRequest
from tests.fakes.backend import PLAIN, WITH_KV, FakeBackend, likely
from tests.fakes.inference import Follower, ask, inference
from tests.fakes.stepping import PIECES, PLANNER, WHOLE, answer_of, delivered, finish, running, stepping
from tests.fakes.waiting import until

TOOL = ToolDefinition("t", "", "")
OTHER = ToolDefinition("u", "", "")
STOPS = ("no", "ENDS", "END", "w99")


@pytest.mark.parametrize(("asked", "gets"), [(0, 998), (998, 998), (5_000, 998), (20, 20)])
async def test_a_ceiling_is_met_by_what_the_window_leaves_and_that_is_what_is_reserved(
    asked: int, gets: int
) -> None:
    async with inference(FakeBackend()) as desk:
        follower = desk.start(max_tokens=asked, fit_max_tokens=True)
        await follower.task

        assert desk.ticket.call.prompt_tokens == 2
        assert desk.ticket.call.max_new_tokens == gets
        assert answer_of(follower).message.content == "a b c "


async def test_a_ceiling_needs_room_for_one_token_and_a_number_for_all_of_it() -> None:
    long = "word " * 999
    async with inference(FakeBackend()) as desk:
        fits = desk.start("g1", messages=(), prompt=long, max_tokens=0, fit_max_tokens=True)
        await fits.task
        assert answer_of(fits).reason is FinishReason.LENGTH
        assert answer_of(fits).usage.completion_tokens == 1

        full = desk.start("g2", messages=(), prompt=long + "word ", max_tokens=9, fit_max_tokens=True)
        number = desk.start("g3", messages=(), prompt=long, max_tokens=2)
        for refused in (full, number):
            with pytest.raises(PromptTooLong):
                await refused.task


async def test_a_ceiling_holds_through_a_preemption_and_for_the_gateway_that_goes_on() -> None:
    backend = stepping(info=replace(PLAIN, max_total_tokens=17, max_batch_total_tokens=0))
    async with running(backend, 8, max_tokens=0, fit_max_tokens=True) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await until(lambda: bool(desk.checkpoints.saved))
        assert [job.max_new_tokens for job in backend.jobs] == [15, 7]
        saved = desk.checkpoints.saved["g1"]
        await follower.leave()
    async with inference(FakeBackend(pieces=PIECES, info=backend.details)) as desk:
        desk.checkpoints.saved["g1"] = saved
        spec = ask(max_tokens=0, fit_max_tokens=True)
        resumed = Follower(desk, spec, "g1", PLANNER, ResumePoint(0))
        await resumed.task

        assert resumed.text == "".join(PIECES[:15])
        assert answer_of(resumed).reason is FinishReason.LENGTH


@pytest.mark.parametrize("order", [("r0", "r1"), ("r1", "r0")])
async def test_a_ceiling_is_met_by_the_smallest_window_that_may_be_granted(order: tuple[str, str]) -> None:
    windows = {"r0": 1000, "r1": 60}
    backends = [FakeBackend(name, info=replace(PLAIN, max_total_tokens=windows[name])) for name in order]
    async with inference(*backends, replica="r1") as desk:
        for number in range(2):
            follower = desk.start(f"g{number}", max_tokens=0, fit_max_tokens=True)
            await follower.task
            assert desk.ticket.call.max_new_tokens == 58
    async with inference(*backends, replica="r0") as desk:
        for number in range(2):
            spec: dict[str, Any] = {"messages": (), "prompt": "word " * 100}
            await desk.start(f"g{number}", max_tokens=0, fit_max_tokens=True, **spec).task
            assert desk.ticket.call.max_new_tokens == 900


async def test_a_ceiling_is_part_of_what_a_request_id_stands_for() -> None:
    async with inference(FakeBackend()) as desk:
        await desk.start(max_tokens=20).task
        for changed in ({"fit_max_tokens": True}, {"logprobs": True}, {"affinity_key": "k"}):
            with pytest.raises(IdempotencyMismatch):
                await desk.start(max_tokens=20, **changed).task


async def test_no_more_is_delivered_than_was_asked_for_whatever_the_backend_gives() -> None:
    class Generous(FakeBackend):
        def stream(self, job: Any) -> Any:
            return super().stream(replace(job, max_new_tokens=1_000))

    async with inference(Generous(pieces=PIECES)) as desk:
        follower = desk.start(max_tokens=5)
        await follower.task

        assert follower.text == "".join(PIECES[:5])
        assert answer_of(follower).reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("fits", "tokens", "open_ended"), [(True, 600, True), (True, 10, False), (False, 600, False)]
)
async def test_a_server_that_counts_itself_may_be_left_to_say_what_its_window_leaves(
    fits: bool,  # noqa: FBT001 - drawn from a table
    tokens: int,
    open_ended: bool,  # noqa: FBT001 - drawn from a table
) -> None:
    class Guessing(FakeBackend):
        async def render(self, messages: Any, tools: Any = ()) -> Prompt:
            return replace(await super().render(messages, tools), token_count=tokens, estimated=True)

    backend = Guessing()
    async with inference(backend) as desk:
        await desk.start(max_tokens=300, fit_max_tokens=fits).task

    assert [job.open_ended for job in backend.jobs] == [open_ended]


async def test_the_stop_string_that_was_met_is_told() -> None:
    async with inference(FakeBackend(pieces=["a ", "EN", "DS", " never"])) as desk:
        follower = desk.start(stop=STOPS)
        await follower.task

        assert follower.text == "a "
        assert answer_of(follower).stop_string == "END"
        assert answer_of(follower).reason is FinishReason.STOP


@pytest.mark.parametrize("info", [PLAIN, WITH_KV])
async def test_the_stop_string_is_told_when_a_preemption_parts_it(info: Any) -> None:
    backend = stepping(pieces=["a ", "EN", "D", " never"], info=info)
    async with running(backend, 2, stop=STOPS) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await until(lambda: len(backend.jobs) == 2)
        await finish(backend, follower)

        assert answer_of(follower).stop_string == "END"
        assert follower.text == answer_of(follower).message.content == "a "


async def test_the_stop_string_is_told_by_the_gateway_that_goes_on() -> None:
    backend = stepping(pieces=["a ", "b ", "c ", "EN", "D", " never"])
    async with running(backend, 4, stop=STOPS) as (desk, follower):
        await until(lambda: bool(desk.checkpoints.saved))
        saved = desk.checkpoints.saved["g1"]
        await follower.leave()
    async with inference(FakeBackend(pieces=["a ", "b ", "c ", "EN", "D", " never"])) as desk:
        desk.checkpoints.saved["g1"] = saved
        resumed = Follower(desk, ask(stop=STOPS), "g1", PLANNER, ResumePoint(0))
        await resumed.task

        assert saved.pieces[-1] == "EN"
        assert answer_of(resumed).stop_string == "END"
        assert resumed.text == "a b c "


async def test_what_a_caller_brings_back_up_to_a_stop_string_is_not_gone_on_with() -> None:
    backend = FakeBackend(pieces=["a ", "END", " never"])
    async with inference(backend) as desk:
        resume = ResumePoint(2, (0, 1), "a END")
        resumed = Follower(desk, ask(stop=STOPS), "g1", PLANNER, resume)
        await resumed.task

        assert backend.jobs == []
        assert answer_of(resumed).stop_string == "END"
        assert answer_of(resumed).message.content == "a "


async def test_an_answer_whose_stop_string_was_met_is_whole_although_its_run_could_not_be_stopped() -> None:
    """The run ends by itself while the backend is asked to stop it and does not answer."""
    backend = stepping(pieces=["a ", "END", " never"], info=WITH_KV)

    async def hang(run_id: str) -> None:
        del run_id
        permit_all()
        await until(lambda: False)

    def permit_all() -> None:
        assert backend.permits is not None
        for _ in range(9):
            backend.permits.release()

    backend.suspend = hang  # type: ignore[method-assign]  # it never answers
    async with running(backend, 1, stop=STOPS) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await follower.task

        assert len(backend.jobs) == 1
        assert answer_of(follower).stop_string == "END"


@pytest.mark.parametrize(("told", "stop"), [("END", "END"), ("elsewhere", ""), ("", "")])
async def test_a_stop_string_that_the_backend_cut_off_is_told_if_it_is_one_of_the_call(
    told: str, stop: str
) -> None:
    class Cutting(FakeBackend):
        async def stream(self, job: Any) -> Any:
            del job
            yield Token(0, "a ")
            yield Stopped(StopReason.END, 3, (), told)

    async with inference(Cutting()) as desk:
        follower = desk.start(stop=STOPS)
        await follower.task

        assert answer_of(follower).stop_string == stop
        assert answer_of(follower).reason is FinishReason.STOP


async def test_chosen_tokens_reach_the_caller_and_the_gateway_that_goes_on() -> None:
    backend = stepping()
    async with running(backend, 10, logprobs=True) as (desk, follower):
        await until(lambda: len(delivered(follower)) == 10 and bool(desk.checkpoints.saved))
        saved = desk.checkpoints.saved["g1"]
        await follower.leave()
    async with inference(FakeBackend(pieces=PIECES)) as desk:
        desk.checkpoints.saved["g1"] = saved
        resumed = Follower(desk, ask(logprobs=True), "g1", PLANNER, ResumePoint(0))
        await resumed.task

        expected = [Place(n + 1, (), Alternative(n, PIECES[n], -0.25)) for n in range(20)]
        assert delivered(resumed) == expected
        assert saved.places == tuple(expected[: len(saved.pieces)])


async def test_alternatives_tell_the_chosen_token_too() -> None:
    async with inference(FakeBackend(pieces=["a "])) as desk:
        follower = desk.start(top_alternatives=1)
        await follower.task

        assert delivered(follower) == [Place(1, likely(0, 1), Alternative(0, "a ", -0.25))]


CALLS = '<tool_call>{"name": "t", "arguments": {"n": 1}}</tool_call>\n<tool_call>{"name": "u"}</tool_call>'


@pytest.mark.parametrize(("most", "names"), [(0, ["t", "u"]), (1, ["t"]), (2, ["t", "u"])])
async def test_calls_beyond_the_number_asked_for_are_not_delivered(most: int, names: list[str]) -> None:
    async with inference(FakeBackend(pieces=[CALLS])) as desk:
        follower = desk.start(tools=(TOOL, OTHER), max_tool_calls=most)
        await follower.task

        message = answer_of(follower).message
        assert [call.name for call in message.tool_calls] == names
        assert message.content == ""


class Native(FakeBackend):
    """Takes chats and tools as they are, and calls both tools."""

    async def render(self, messages: Any, tools: Any = ()) -> Prompt:
        return Prompt("", 3, chat=Chat(tuple(messages), tuple(tools)))

    async def stream(self, job: Any) -> Any:
        self.jobs.append(job)
        yield Token(0, "")
        yield Stopped(StopReason.END, 3, (ToolCall("1", "t", "{}"), ToolCall("2", "u", "{}")))


NATIVE = replace(PLAIN, capabilities=Capabilities(chat_prompts=True, native_tools=True))


async def test_a_backend_with_tools_of_its_own_is_told_what_may_be_called() -> None:
    backend = Native(info=NATIVE)
    async with inference(backend) as desk:
        follower = desk.start(
            tools=(TOOL, OTHER),
            tool_choice=ToolChoice.REQUIRED,
            tool_choice_name="t",
            max_tool_calls=1,
        )
        await follower.task

        assert (backend.jobs[0].tool_choice_name, backend.jobs[0].max_tool_calls) == ("t", 1)
        assert [call.name for call in answer_of(follower).message.tool_calls] == ["t"]


async def test_a_request_that_names_no_tool_of_its_own_never_reaches_the_queue() -> None:
    async with inference(FakeBackend()) as desk:
        with pytest.raises(InvalidRequest):
            await desk.start(tools=(TOOL,), tool_choice=ToolChoice.REQUIRED, tool_choice_name="u").task

        assert desk.dispatcher.tickets == []


async def test_a_penalty_goes_with_every_run_or_is_refused_before_the_queue() -> None:
    backend = stepping()
    penalties = Sampling(frequency_penalty=0.5, presence_penalty=-0.5)
    async with running(backend, 3, sampling=penalties) as (desk, follower):
        desk.ticket.interrupt(Interrupt.PREEMPT)
        await finish(backend, follower)
        assert follower.text == WHOLE
    assert {job.sampling for job in backend.jobs} == {penalties}

    lacking = replace(PLAIN, capabilities=Capabilities(presence_penalty=False))
    async with inference(FakeBackend(info=lacking)) as desk:
        with pytest.raises(CapabilityMissing):
            await desk.start(sampling=penalties).task
        assert desk.dispatcher.tickets == []


async def test_an_affinity_goes_to_the_scheduler_with_the_parts_of_the_prompt() -> None:
    async with inference(FakeBackend()) as desk:
        await desk.start("g1", affinity_key="k").task
        await desk.start("g2", messages=(), prompt="other", affinity_key="k").task
        await desk.start("g3").task
        first, second, third = [ticket.call.prefixes for ticket in desk.dispatcher.tickets]

    assert first[0] == second[0]
    assert first[0].tokens == 0
    assert first[1:] == third


async def test_a_lost_run_goes_on_with_all_that_was_asked_for() -> None:
    backend = FakeBackend(pieces=PIECES)
    backend.faults = [(5, BackendUnavailable("gone"))]
    async with inference(backend) as desk:
        spec: dict[str, Any] = {"stop": STOPS, "logprobs": True, "max_tokens": 0, "fit_max_tokens": True}
        follower = desk.start(**spec)
        await follower.task

        first, second = backend.jobs
        assert follower.text == WHOLE
        assert (second.stop, second.logprobs) == (first.stop, first.logprobs) == (STOPS, True)
        assert second.max_new_tokens == first.max_new_tokens - 5


async def test_a_prompt_whose_ids_are_known_is_asked_for_by_them_from_the_first_run_on() -> None:
    class Split(FakeBackend):
        async def render(self, messages: Any, tools: Any = ()) -> Prompt:
            return replace(await super().render(messages, tools), ids=(5, 6))

    backend = Split(info=WITH_KV)
    async with inference(backend) as desk:
        await desk.start().task

    assert backend.jobs[0].prompt_ids == (5, 6)
    assert backend.jobs[0].emitted_ids == ()


async def test_special_tokens_that_a_caller_claims_to_have_received_are_not_gone_on_from() -> None:
    info = replace(WITH_KV, special_ids=frozenset({9}))
    for ids, goes_on in (((0, 1), True), ((0, 9), False)):
        backend = FakeBackend(info=info)
        async with inference(backend) as desk:
            resumed = Follower(desk, ask(), "g1", PLANNER, ResumePoint(2, ids, "a b "))
            await resumed.task

        assert bool(backend.jobs[0].emitted_text) is goes_on
        assert answer_of(resumed).message.content == "a b c "
