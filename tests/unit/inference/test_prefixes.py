"""Which leading parts of a prompt other calls may share."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core import prefixes
from gateway.inference.core.prefixes import MOST, message_ends, of_chat, of_text, text_ends, token_marks
from gateway.inference.model import GenerationSpec, Prompt
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.dispatch.scheduling import Prefix

SYSTEM = ChatMessage(Role.SYSTEM, "You plan.")
TOOL = ToolDefinition("find", "Finds.", "{}")
SPEAKERS = (Role.USER, Role.ASSISTANT, Role.TOOL)


def said(*texts: str) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage(SPEAKERS[at % 3], text) for at, text in enumerate(texts))


def chat(
    messages: tuple[ChatMessage, ...], *, tenant: str = "acme", tokens: int = 1000
) -> tuple[Prefix, ...]:
    return of_chat(tenant, messages, (), Prompt("", tokens))


def keys(parts: tuple[Prefix, ...]) -> list[str]:
    return [part.key for part in parts]


messages_of = st.lists(
    st.builds(ChatMessage, st.sampled_from(SPEAKERS), st.text(max_size=30)), min_size=1, max_size=24
).map(tuple)


@given(st.booleans(), messages_of, messages_of.filter(lambda added: len(added) <= 4))
def test_a_chat_that_goes_on_shares_all_that_the_one_before_was(
    with_system: bool,  # noqa: FBT001 - drawn
    before: tuple[ChatMessage, ...],
    added: tuple[ChatMessage, ...],
) -> None:
    """A step adds an answer and the results of its tools: up to four messages keep the whole prompt known."""
    head = (SYSTEM,) if with_system else ()
    first, second = chat(head + before), chat(head + before + added)

    assert first[-1].key in keys(second)
    assert not with_system or first[0].key == second[0].key


@given(messages_of, messages_of)
def test_another_first_message_shares_nothing(
    one: tuple[ChatMessage, ...], other: tuple[ChatMessage, ...]
) -> None:
    changed = (ChatMessage(Role.USER, one[0].content + "!"), *other)

    assert not set(keys(chat(one))) & set(keys(chat(changed)))


@given(messages_of)
def test_tenants_share_nothing(messages: tuple[ChatMessage, ...]) -> None:
    assert not set(keys(chat(messages))) & set(keys(chat(messages, tenant="globex")))


@given(messages_of, st.integers(1, 100_000), st.booleans())
def test_parts_are_few_grow_and_end_with_the_whole_prompt(
    messages: tuple[ChatMessage, ...],
    tokens: int,
    with_tools: bool,  # noqa: FBT001 - drawn
) -> None:
    parts = of_chat("acme", messages, (TOOL,) if with_tools else (), Prompt("", tokens))

    assert 1 <= len(parts) <= MOST
    assert all(a.tokens <= b.tokens for a, b in pairwise(parts))
    assert len(set(keys(parts))) == len(parts)
    assert parts[-1].tokens == tokens


@given(messages_of, st.integers(0, 39))
def test_a_fork_of_a_context_shares_what_it_was_forked_from(
    messages: tuple[ChatMessage, ...], at: int
) -> None:
    """The parent called the model at that point, or near it."""
    at = min(at, len(messages) - 1) + 1
    fork = (*messages[:at], ChatMessage(Role.USER, "and if not?"))

    assert chat(messages[:at])[-1].key in keys(chat(fork))


def test_any_field_of_a_message_tells_prompts_apart() -> None:
    call = ToolCall("c1", "find", "{}")
    kinds = [
        ChatMessage(Role.USER, "ab"),
        ChatMessage(Role.ASSISTANT, "ab"),
        ChatMessage(Role.USER, "ab", name="eve"),
        ChatMessage(Role.TOOL, "ab", tool_call_id="c1"),
        ChatMessage(Role.ASSISTANT, "ab", (call,)),
        ChatMessage(Role.ASSISTANT, "ab", (call, call)),
    ]
    assert len({chat((each,))[-1].key for each in kinds}) == len(kinds)
    assert chat(said("ab", "c"))[-1].key != chat(said("a", "bc"))[-1].key


def test_tools_are_a_part_of_their_own_and_come_before_the_messages() -> None:
    one = of_chat("acme", said("hi"), (TOOL,), Prompt("", 10))
    other = of_chat("acme", said("ho"), (TOOL,), Prompt("", 10))

    assert one[0] == other[0]
    assert one[0].tokens < 10
    assert one[-1].key != other[-1].key
    assert chat(said("hi"))[-1].key != one[-1].key


def test_lengths_are_those_that_the_backend_told() -> None:
    """The system prompt, then each message, in tokens of the rendered text."""
    prompt = Prompt("", 50, marks=(12, 30, 45))
    messages = (SYSTEM, *said("hello", "hi"))

    assert [part.tokens for part in of_chat("acme", messages, (), prompt)] == [12, 30, 50]


def test_tools_that_became_a_message_keep_the_marks_in_step() -> None:
    prompt = Prompt("", 50, marks=(12, 30, 45))

    assert [part.tokens for part in of_chat("acme", said("hello", "hi"), (TOOL,), prompt)] == [12, 30, 50]


def test_what_was_not_found_is_estimated_in_proportion() -> None:
    messages = said("x" * 84, "y" * 184)
    marked = of_chat("acme", messages, (), Prompt("", 300, marks=(0, 299)))
    unmarked = of_chat("acme", messages, (), Prompt("", 300))

    assert [part.tokens for part in marked] == [part.tokens for part in unmarked]
    assert 80 <= unmarked[0].tokens <= 120


@given(st.text(min_size=1, max_size=5000), st.text(max_size=5000), st.integers(1, 5))
def test_a_raw_prompt_that_goes_on_shares_its_first_parts(text: str, more: str, times: int) -> None:
    longer = text + more * times
    first, second = of_text("acme", Prompt(text, 100)), of_text("acme", Prompt(longer, 900))
    shared = [end for end in text_ends(len(text)) if end in text_ends(len(longer))]

    assert len(set(keys(first)) & set(keys(second))) >= len(shared)
    assert len(first) <= MOST
    assert first[-1].tokens == 100


def test_a_long_raw_prompt_that_goes_on_shares_at_least_half() -> None:
    text = "".join(chr(97 + at % 26) for at in range(9000))
    first, second = of_text("acme", Prompt(text, 3000)), of_text("acme", Prompt(text + "z" * 500, 3200))
    common = [part.tokens for part in second if part.key in keys(first)]

    assert max(common) >= 1500
    assert of_text("acme", Prompt("b" + text, 3000))[0].key not in keys(first)


def test_a_raw_prompt_and_a_chat_of_the_same_text_are_different_things() -> None:
    assert of_text("acme", Prompt("hi", 5))[-1].key not in keys(chat(said("hi")))


def test_messages_are_found_in_the_rendered_text() -> None:
    text = "<s>sys: Be brief.\nuser: hi there\nassistant:"
    ends = list(message_ends(text, [" Be brief. ", "hi there", "gone"]))

    assert ends == [text.index(".") + 1, text.index("there") + 5, -1]
    stops = [3, 8, ends[0], ends[0] + 1, ends[1] - 5, ends[1], len(text)]
    assert token_marks(stops, ends) == (3, 6, 0)


@pytest.mark.parametrize(("length", "ends"), [(1, ()), (512, ()), (513, (512,)), (3000, (512, 1024, 2048))])
def test_a_raw_prompt_is_cut_at_growing_lengths(length: int, ends: tuple[int, ...]) -> None:
    assert text_ends(length) == ends


def test_very_long_prompts_have_no_more_parts() -> None:
    assert len(text_ends(10**9)) == MOST - 1
    assert len(chat(tuple(said(*("m" for _ in range(1000)))))) <= MOST


def test_an_empty_prompt_has_no_parts_without_tokens() -> None:
    assert of_text("acme", Prompt("", 0)) == ()
    assert prefixes.of_chat("acme", (ChatMessage(Role.USER, ""),), (), Prompt("", 0)) == ()


@given(messages_of, st.text(min_size=1, max_size=128))
def test_an_affinity_stands_before_the_parts_and_changes_none_of_them(
    messages: tuple[ChatMessage, ...], key: str
) -> None:
    prompt, spec = Prompt("", 1000), GenerationSpec(messages=messages)
    first, *parts = prefixes.of("acme", replace(spec, affinity_key=key), prompt)

    assert tuple(parts) == prefixes.of("acme", spec, prompt)
    assert first == prefixes.affinity("acme", key)
    assert first.tokens == 0


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_an_affinity_means_nothing_outside_its_tenant_and_is_no_part_of_a_prompt(
    one: str, other: str, key: str
) -> None:
    same = prefixes.affinity(one, key) == prefixes.affinity(other, key)
    parts = chat((ChatMessage(Role.USER, key),), tenant=one) + of_text(one, Prompt(key, 100))

    assert same is (one == other)
    assert prefixes.affinity(one, key).key not in keys(parts)
