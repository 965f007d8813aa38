"""What prompts and capabilities mean for a generation, and what becomes of one that starts over."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BackendFailed, CapabilityMissing, ConstraintUnmet, PromptTooLong
from gateway.inference.backends.native import native_message
from gateway.inference.backends.openai.dialect import estimate_chat, estimate_text
from gateway.inference.core import prompt_plan, replay
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.prompt_length import check_length
from gateway.inference.model import (
    MOST_TOKENS,
    Capabilities,
    Chat,
    Constraint,
    ConstraintKind,
    Prompt,
    PromptIds,
    ReplicaInfo,
    Sampling,
    Stopped,
    StopReason,
    StreamItem,
    Token,
    ToolChoice,
)
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.rpc.errors import InvalidRequest
from tests.fakes.inference import ask

INFO = ReplicaInfo(model="m", max_total_tokens=100, slots=1, max_batch_total_tokens=100)
FORGETFUL = replace(INFO, capabilities=Capabilities(continues_text=False, regexes=False))
TEXT = Prompt("hello", 10)
CHAT = Prompt("", 10, chat=Chat((ChatMessage(Role.USER, "hi"),)))
TOOLS = Prompt("", 10, chat=Chat((ChatMessage(Role.USER, "hi"),), (ToolDefinition("t", "", ""),)))
SCHEMA = Constraint(ConstraintKind.JSON, "{}")
REGEX = Constraint(ConstraintKind.REGEX, "a")


@pytest.mark.parametrize(
    ("prompt", "constraint", "info", "may"),
    [
        (TEXT, None, INFO, True),
        (CHAT, None, INFO, True),
        (TOOLS, None, INFO, False),
        (TEXT, SCHEMA, INFO, False),
        (TEXT, None, FORGETFUL, False),
    ],
)
def test_only_what_goes_on_cheaply_is_preempted(
    prompt: Prompt, constraint: Constraint | None, *, info: ReplicaInfo, may: bool
) -> None:
    assert prompt_plan.preemptible(prompt, constraint, info) is may


@pytest.mark.parametrize(
    ("prompt", "constraint", "text", "info", "goes_on"),
    [
        (TEXT, None, "", INFO, True),
        (TEXT, None, "a", None, True),
        (CHAT, None, "a", INFO, True),
        (CHAT, None, "", INFO, False),
        (TOOLS, None, "a", INFO, True),
        (CHAT, None, "a", FORGETFUL, False),
        (TEXT, SCHEMA, "a", INFO, False),
    ],
)
def test_a_generation_goes_on_where_its_text_is_enough(
    prompt: Prompt, constraint: Constraint | None, *, text: str, info: ReplicaInfo | None, goes_on: bool
) -> None:
    assert prompt_plan.can_continue(prompt, constraint, text, info) is goes_on


def test_a_constraint_that_the_backend_cannot_keep_is_refused() -> None:
    prompt_plan.check_constraint(REGEX, INFO)
    prompt_plan.check_constraint(SCHEMA, FORGETFUL)
    prompt_plan.check_constraint(None, FORGETFUL)
    with pytest.raises(CapabilityMissing):
        prompt_plan.check_constraint(REGEX, FORGETFUL)


def test_a_counted_prompt_that_does_not_fit_is_refused_and_an_estimated_one_is_cut() -> None:
    with pytest.raises(PromptTooLong):
        prompt_plan.fitted(Prompt("x", 95), ask(max_tokens=10), 50, INFO)
    prompt, answer = prompt_plan.fitted(Prompt("x", 500, estimated=True), ask(max_tokens=10), 50, INFO)

    assert (prompt.token_count, answer) == (90, 10)
    assert prompt_plan.fitted(Prompt("x", 10), ask(max_tokens=0), 50, INFO)[1] == 50
    assert prompt_plan.fitted(Prompt("x", 90), ask(max_tokens=0), 50, INFO)[1] == 10


@given(st.integers(1, 120), st.integers(0, 200), st.sampled_from([0, 100, 160, 1000]), st.booleans())
def test_a_ceiling_gives_what_the_window_and_the_budget_leave(
    tokens: int,
    asked: int,
    budget: int,
    estimated: bool,  # noqa: FBT001 - drawn
) -> None:
    info, spec = replace(INFO, max_batch_total_tokens=budget), ask(max_tokens=asked, fit_max_tokens=True)
    if tokens >= 100 and not estimated:
        with pytest.raises(PromptTooLong):
            prompt_plan.fitted(Prompt("x", tokens), spec, 50, info)
        return
    prompt, answer = prompt_plan.fitted(Prompt("x", tokens, estimated=estimated), spec, 50, info)

    room = 100 - prompt.token_count
    grantable = max(1, int(budget * 0.95) - prompt.token_count) if budget else room
    assert prompt.token_count == min(tokens, 99)
    assert answer == min(asked or room, room, grantable)


def test_a_ceiling_is_at_most_the_largest_answer() -> None:
    info = replace(INFO, max_total_tokens=1_000_000, max_batch_total_tokens=0)

    assert prompt_plan.fitted(TEXT, ask(max_tokens=0, fit_max_tokens=True), 50, info)[1] == MOST_TOKENS


@pytest.mark.parametrize(("asked", "fits"), [(0, True), (95, True), (5, True), (95, False)])
def test_a_prompt_that_cannot_fit_is_refused_by_its_length_as_the_answer_needs(
    asked: int,
    fits: bool,  # noqa: FBT001 - drawn
) -> None:
    spec = ask(messages=(), prompt="x" * 60, max_tokens=asked, fit_max_tokens=fits)
    info = replace(INFO, longest_token=1)
    if fits:
        check_length(spec, info)
        return
    with pytest.raises(PromptTooLong):
        check_length(spec, info)


def test_only_a_guess_near_the_window_may_overflow_it() -> None:
    guess = Prompt("x", 30, estimated=True)

    assert prompt_plan.may_overflow(guess, 41, INFO)
    assert not prompt_plan.may_overflow(guess, 40, INFO)
    assert not prompt_plan.may_overflow(Prompt("x", 30), 70, INFO)


T = ToolDefinition("t", "", "")
U = ToolDefinition("u", "", "")


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"messages": ()}, "messages"),
        ({"prompt": "x"}, "messages"),
        ({"constraint": Constraint(ConstraintKind.REGEX, "a"), "tools": (T,)}, "constraint.regex"),
        ({"tools": (T,), "tool_choice_name": "t"}, "tool_choice_name"),
        ({"tools": (T,), "tool_choice": ToolChoice.NONE, "tool_choice_name": "t"}, "tool_choice_name"),
        ({"tools": (T,), "tool_choice": ToolChoice.REQUIRED, "tool_choice_name": "u"}, "tool_choice_name"),
        ({"tool_choice": ToolChoice.REQUIRED, "tool_choice_name": "t"}, "tool_choice_name"),
    ],
)
def test_a_request_whose_fields_exclude_one_another_is_refused(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        prompt_plan.check_request(ask(**fields))

    assert refused.value.violations[0].field == at


def test_a_named_tool_is_the_only_one_that_may_be_called_and_the_others_are_shown() -> None:
    spec = ask(tools=(T, U), tool_choice=ToolChoice.REQUIRED, tool_choice_name="u")
    prompt_plan.check_request(spec)
    bound = prompt_plan.bind(CompilingChecker(), spec, spec.tools)

    assert prompt_plan.shown_tools(spec) == (T, U)
    assert bound.accepts is not None
    assert bound.accepts('{"tool_calls": [{"name": "u", "arguments": {}}]}')
    assert not bound.accepts('{"tool_calls": [{"name": "t", "arguments": {}}]}')


@pytest.mark.parametrize(("most", "calls", "kept"), [(1, 1, True), (1, 2, False), (2, 2, True), (0, 8, True)])
def test_a_forced_output_holds_no_more_calls_than_were_asked_for(
    most: int, calls: int, *, kept: bool
) -> None:
    spec = ask(tools=(T,), tool_choice=ToolChoice.REQUIRED, max_tool_calls=most)
    bound = prompt_plan.bind(CompilingChecker(), spec, spec.tools)
    output = json.dumps({"tool_calls": [{"name": "t", "arguments": {}}] * calls})

    assert bound.accepts is not None
    assert bound.accepts(output) is kept


def test_a_penalty_that_the_backend_lacks_is_refused_unless_it_is_zero() -> None:
    without = replace(INFO, capabilities=Capabilities(presence_penalty=False))
    prompt_plan.check_penalties(Sampling(presence_penalty=1.0), INFO)
    prompt_plan.check_penalties(Sampling(frequency_penalty=1.0), without)
    with pytest.raises(CapabilityMissing) as refused:
        prompt_plan.check_penalties(Sampling(presence_penalty=-0.5), without)

    assert refused.value.metadata["capability"] == "presence_penalty"


@given(st.text(max_size=200))
def test_an_estimate_counts_every_text(text: str) -> None:
    count = estimate_text(text)

    assert count >= 1
    assert count <= max(1, len(text.encode(errors="replace")))


def test_an_estimate_counts_tools_and_calls() -> None:
    call = ChatMessage(Role.ASSISTANT, "", (ToolCall("c", "name", '{"a": 1}' * 10),))
    plain = estimate_chat(Chat((ChatMessage(Role.USER, "hi"),)))

    assert (
        estimate_chat(Chat((ChatMessage(Role.USER, "hi"),), (ToolDefinition("t", "d" * 400, ""),)))
        >= plain + 100
    )
    assert estimate_chat(Chat((ChatMessage(Role.USER, "hi"), call))) >= plain + 20


async def stream(*pieces: str) -> AsyncGenerator[StreamItem, None]:
    yield PromptIds((1,))
    for piece in pieces:
        yield Token(0, piece)
    yield Stopped(StopReason.END)


async def text_after(known: str, pieces: list[str]) -> str:
    items = [item async for item in replay.skip_known_prefix(known, stream(*pieces))]
    assert isinstance(items[-1], Stopped)
    return "".join(item.text for item in items if isinstance(item, Token))


@given(st.text(alphabet="ab", max_size=12), st.integers(0, 12), st.integers(1, 4))
async def test_whatever_the_pieces_only_the_rest_is_new(text: str, cut: int, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    assert await text_after(text[:cut], pieces) == text[cut:]


@pytest.mark.parametrize("pieces", [["ab", "x"], ["abc"], []])
async def test_another_text_than_the_known_one_fails_the_call(pieces: list[str]) -> None:
    with pytest.raises(BackendFailed):
        await text_after("abcd", pieces)


def test_calls_beyond_the_number_asked_for_are_left_out_unread() -> None:
    good, bad = ToolCall("c", "t", '{"a": 1}'), ToolCall("d", "t", "no json")
    message = native_message("ok", [good, bad], ToolChoice.AUTO, complete=True, most=1)

    assert message.tool_calls == (good,)
    with pytest.raises(ConstraintUnmet):
        native_message("ok", [good, bad], ToolChoice.AUTO, complete=True)


def test_a_call_of_another_tool_than_the_named_one_is_not_taken() -> None:
    call = ToolCall("c", "t", "{}")
    taken = native_message("", [call], ToolChoice.REQUIRED, complete=True, named="t")

    assert taken.tool_calls == (call,)
    with pytest.raises(ConstraintUnmet):
        native_message("", [call], ToolChoice.REQUIRED, complete=True, named="u")


def test_calls_of_a_whole_answer_are_taken_and_of_a_cut_one_left_out() -> None:
    call = ToolCall("c", "t", '{"a": 1}')
    whole = native_message("ok", [call], ToolChoice.AUTO, complete=True)
    cut = native_message("ok", [call], ToolChoice.AUTO, complete=False)

    assert whole == ChatMessage(Role.ASSISTANT, "ok", (call,))
    assert cut == ChatMessage(Role.ASSISTANT, "ok")


@pytest.mark.parametrize("arguments", ["[1]", "{", "3"])
def test_arguments_that_are_no_object_are_unmet(arguments: str) -> None:
    with pytest.raises(ConstraintUnmet):
        native_message("", [ToolCall("c", "t", arguments)], ToolChoice.AUTO, complete=True)


def test_a_required_call_that_is_missing_is_unmet() -> None:
    with pytest.raises(ConstraintUnmet):
        native_message("no", [], ToolChoice.REQUIRED, complete=True)
