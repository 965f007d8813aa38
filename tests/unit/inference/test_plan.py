"""What prompts and capabilities mean for a generation, and what becomes of one that starts over."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BackendFailed, CapabilityMissing, ConstraintUnmet, PromptTooLong
from gateway.inference.backends.native import native_message
from gateway.inference.backends.openai.dialect import estimate_chat, estimate_text
from gateway.inference.core import prompt_plan, replay
from gateway.inference.model import (
    Capabilities,
    Chat,
    Constraint,
    ConstraintKind,
    Prompt,
    PromptIds,
    ReplicaInfo,
    Stopped,
    StopReason,
    StreamItem,
    Token,
    ToolChoice,
)
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
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
