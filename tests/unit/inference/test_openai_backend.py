"""The OpenAI driver: what it declares, what it asks of each kind of server, what it makes of the answers."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.openai.wire import EventReader, names_of, read_chunk, write_chat
from gateway.inference.core.json_text import UNREADABLE
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendUnavailable,
    PromptOverflow,
)
from gateway.inference.model import (
    BackendRequest,
    CachedPrompt,
    Chat,
    Constraint,
    ConstraintKind,
    Prompt,
    Sampling,
    Stopped,
    StreamItem,
    Token,
    ToolChoice,
)
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from tests.fakes.fake_openai import Behaviour, FakeOpenAi, fake_openai, words

USER = ChatMessage(Role.USER, "What time is it?")
CLOCK = ToolDefinition(
    "clock", "Tells the time.", '{"type": "object", "properties": {"zone": {"type": "string"}}}'
)
REGEX = Constraint(ConstraintKind.REGEX, "[0-9]+")
SCHEMA = Constraint(ConstraintKind.JSON, '{"properties": {"a": {}}}')


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAi]:
    async with fake_openai() as made:
        yield made


async def known(server: FakeOpenAi, **config: Any) -> OpenAiBackend:
    backend = OpenAiBackend(server.url, OpenAiConfig(token_timeout=2, **config))
    await backend.info()
    return backend


def chat(*messages: ChatMessage, tools: tuple[ToolDefinition, ...] = ()) -> Prompt:
    return Prompt("", 1, chat=Chat(messages or (USER,), tools))


async def run(backend: OpenAiBackend, prompt: Prompt, **fields: Any) -> list[StreamItem]:
    job = BackendRequest(
        **{"run_id": "r", "prompt": prompt, "max_new_tokens": 50, "sampling": Sampling(), **fields}
    )
    try:
        async with aclosing(backend.stream(job)) as items:
            return [item async for item in items]
    finally:
        await backend.close()


def stopped(items: list[StreamItem]) -> Stopped:
    assert isinstance(items[-1], Stopped)
    return items[-1]


def text_of(items: list[StreamItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, Token))


@pytest.mark.parametrize(
    ("owner", "window", "slots", "regexes", "continues"),
    [
        ("vllm", 2048, 64, True, True),
        ("sglang", 2048, 64, True, True),
        ("llamacpp", 2048, 4, False, True),
        ("library", 4096, 1, False, False),
        ("openai", 4096, 16, False, False),
    ],
)
async def test_each_server_is_declared_as_it_names_itself(
    server: FakeOpenAi, *, owner: str, window: int, slots: int, regexes: bool, continues: bool
) -> None:
    server.behaviour.owner, server.behaviour.window = owner, 2048
    backend = await known(server)
    info = await backend.info()
    await backend.close()

    assert (info.max_total_tokens, info.slots) == (window, slots)
    assert info.capabilities.regexes is regexes
    assert info.capabilities.continues_text is continues
    assert info.capabilities.native_tools
    assert info.capabilities.chat_prompts


async def test_configuration_goes_before_what_a_server_declares(server: FakeOpenAi) -> None:
    backend = await known(server, dialect="plain", window=100, slots=3, batch_tokens=300, native_tools=False)
    info = await backend.info()
    await backend.close()

    assert (info.max_total_tokens, info.slots, info.max_batch_total_tokens) == (100, 3, 300)
    assert not info.capabilities.native_tools
    assert not info.capabilities.continues_text


async def test_an_endpoint_may_name_one_of_several_models(server: FakeOpenAi) -> None:
    backend = OpenAiBackend(f"{server.url}#another", OpenAiConfig())
    info = await backend.info()
    await backend.close()

    assert info.model == "another"
    assert backend.name == f"127.0.0.1:{server.port}#another"


async def test_a_model_that_is_not_listed_is_a_broken_replica(server: FakeOpenAi) -> None:
    backend = OpenAiBackend(server.url, OpenAiConfig(model="gpt-99"))
    with pytest.raises(BackendBroken, match="fake-chat, another"):
        await backend.info()
    await backend.close()


async def test_a_refused_key_is_a_broken_replica(server: FakeOpenAi) -> None:
    server.behaviour.api_key = "secret"
    wrong = OpenAiBackend(server.url, OpenAiConfig(api_key="wrong"))
    with pytest.raises(BackendBroken, match="401"):
        await wrong.info()
    await wrong.close()
    right = await known(server, api_key="secret")
    await right.close()


@pytest.mark.parametrize(
    ("owner", "paths", "estimated"),
    [
        ("vllm", ["/tokenize"], False),
        ("llamacpp", ["/apply-template", "/tokenize"], False),
        ("sglang", [], True),
        ("library", [], True),
    ],
)
async def test_a_chat_is_counted_by_the_server_where_it_can(
    server: FakeOpenAi, *, owner: str, paths: list[str], estimated: bool
) -> None:
    server.behaviour.owner = owner
    backend = await known(server)
    prompt = await backend.render([USER], [CLOCK])
    await backend.close()

    assert server.seen.paths == paths
    assert prompt.estimated is estimated
    assert prompt.chat == Chat((USER,), (CLOCK,))
    assert prompt.token_count >= 4


async def test_messages_and_tools_go_through_untouched(server: FakeOpenAi) -> None:
    call = ToolCall("c1", "clock", '{"zone":"UTC"}')
    asked = ChatMessage(Role.ASSISTANT, "", (call,))
    told = ChatMessage(Role.TOOL, "12:00", tool_call_id="c1", name="clock")
    backend = await known(server)
    await run(backend, chat(USER, asked, told, tools=(CLOCK,)), tool_choice=ToolChoice.REQUIRED)

    body = server.seen.bodies[0]
    function = {"name": "clock", "arguments": '{"zone":"UTC"}'}
    assert body["messages"] == [
        {"role": "user", "content": "What time is it?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "12:00", "tool_call_id": "c1", "name": "clock"},
    ]
    assert body["tools"][0]["function"]["parameters"]["properties"] == {"zone": {"type": "string"}}
    assert body["tool_choice"] == "required"


def test_an_earlier_call_whose_arguments_are_no_object_is_told_as_one() -> None:
    calls = (ToolCall("a", "now", "{bad"), ToolCall("b", "now", '{"n": 1.50}'))
    before = Chat((ChatMessage(Role.ASSISTANT, "", calls),), ())
    written = write_chat(before, names_of(before))["messages"][0]["tool_calls"]

    told = [each["function"]["arguments"] for each in written]
    assert told == [f'{{"{UNREADABLE}": "{{bad"}}', '{"n": 1.50}']


async def test_names_that_an_api_may_not_take_go_out_by_others_and_come_back(server: FakeOpenAi) -> None:
    long, dotted = "x" * 100, "maps.find"
    tools = tuple(replace(CLOCK, name=name) for name in (long, dotted, "maps_find"))
    earlier = ChatMessage(Role.ASSISTANT, "", (ToolCall("c1", "gone.tool", "{}"),))
    answer = ChatMessage(Role.TOOL, "12:00", tool_call_id="c1", name="gone.tool")
    prompt = chat(USER, earlier, answer, tools=tools)
    names = names_of(prompt.chat or Chat((), ()))
    server.behaviour.tool_calls = [(names.shown(name), "{}") for name in (dotted, long, "maps_find")]

    forced = {"tool_choice": ToolChoice.REQUIRED, "tool_choice_name": dotted}
    items = await run(await known(server), prompt, **forced)

    body = server.seen.bodies[-1]
    shown = [tool["function"]["name"] for tool in body["tools"]]
    called = body["messages"][1]["tool_calls"][0]["function"]["name"]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in [*shown, called])
    assert body["messages"][2]["name"] == called
    assert body["tool_choice"]["function"]["name"] == shown[1]
    assert [call.name for call in stopped(items).tool_calls] == [dotted, long, "maps_find"]


async def test_the_parts_of_tool_calls_are_put_together(server: FakeOpenAi) -> None:
    server.behaviour.pieces = ["Let", " me", " see"]
    server.behaviour.tool_calls = [("clock", '{"zone": "UTC"}'), ("clock", '{"zone": "CET"}')]
    items = await run(await known(server), chat(tools=(CLOCK,)))

    assert text_of(items) == "Let me see"
    assert stopped(items).tool_calls == (
        ToolCall("tool-0", "clock", '{"zone": "UTC"}'),
        ToolCall("tool-1", "clock", '{"zone": "CET"}'),
    )
    assert sum(isinstance(item, Token) for item in items) == 3 + 6


async def test_thoughts_are_tokens_without_text(server: FakeOpenAi) -> None:
    server.behaviour.thoughts = 3
    items = await run(await known(server), chat())

    assert text_of(items) == "".join(words(8))
    assert sum(isinstance(item, Token) for item in items) == 11


@pytest.mark.parametrize("owner", ["vllm", "llamacpp"])
async def test_an_event_may_stand_for_several_tokens(server: FakeOpenAi, owner: str) -> None:
    """Told with each event, or at the end."""
    server.behaviour.owner, server.behaviour.pieces_per_event = owner, 3
    items = await run(await known(server), chat())

    assert text_of(items) == "".join(words(8))
    assert sum(isinstance(item, Token) for item in items) == 8


async def test_the_end_tells_the_usage_and_what_was_cached(server: FakeOpenAi) -> None:
    items = await run(await known(server), chat())

    assert stopped(items).prompt_tokens == 6
    assert items[-2] == CachedPrompt(1)


async def test_a_server_that_tells_nothing_of_its_cache_is_not_guessed_about(server: FakeOpenAi) -> None:
    server.behaviour.cached = None
    items = await run(await known(server), chat())

    assert not [item for item in items if isinstance(item, CachedPrompt)]


@pytest.mark.parametrize(
    ("owner", "page", "size"),
    [
        ("vllm", 'vllm:num_requests_waiting{model_name="m"} 4.0', 4),
        ("sglang", 'sglang:num_queue_reqs{model_name="m"} 2.0', 2),
        ("llamacpp", "llamacpp:requests_deferred 1", 1),
        ("llamacpp", "", None),
        ("vllm", "something_else 3", None),
        ("somebody", 'vllm:num_requests_waiting{model_name="m"} 4.0', None),
    ],
)
async def test_the_queue_is_read_where_the_dialect_says_it_is(
    server: FakeOpenAi, owner: str, page: str, size: int | None
) -> None:
    server.behaviour.owner, server.behaviour.metrics = owner, page
    backend = await known(server)
    found = await backend.queue_size()
    await backend.close()

    assert found == size


async def test_a_server_may_leave_out_usage_and_done(server: FakeOpenAi) -> None:
    server.behaviour.tells_usage = server.behaviour.says_done = False
    items = await run(await known(server, dialect="plain"), chat())

    assert text_of(items) == "".join(words(8))
    assert stopped(items).prompt_tokens == 0


@pytest.mark.parametrize(
    ("reason", "error"),
    [("abort", BackendUnavailable), ("error", BackendUnavailable), ("content_filter", BackendInvalid)],
)
async def test_an_end_that_is_none_is_an_error(
    server: FakeOpenAi, reason: str, error: type[BackendError]
) -> None:
    server.behaviour.finish_reason = reason
    with pytest.raises(error):
        await run(await known(server), chat())


@pytest.mark.parametrize(
    "told",
    [
        {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000"},
        {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096"},
        {"message": "The input (5000 tokens) is longer than the model's context length (4096 tokens)."},
        {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"},
        {"message": "too much", "code": "context_length_exceeded"},
        {"message": "too much", "type": "exceed_context_size_error", "code": 400},
    ],
)
async def test_a_prompt_that_the_server_finds_too_long_is_told_as_such(
    server: FakeOpenAi, told: dict[str, Any]
) -> None:
    server.behaviour.error = (400, {"error": told})
    with pytest.raises(PromptOverflow):
        await run(await known(server), chat())


@pytest.mark.parametrize("message", ["too many stop strings", "the length of `stop` is over its context"])
async def test_other_refusals_are_no_prompts_that_are_too_long(server: FakeOpenAi, message: str) -> None:
    server.behaviour.error = (400, {"error": {"message": message, "code": "bad_request"}})
    with pytest.raises(BackendInvalid) as refused:
        await run(await known(server), chat())

    assert not isinstance(refused.value, PromptOverflow)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"message": "engine died", "code": 500}}, BackendUnavailable),
        ({"error": {"message": "too long", "code": 400}}, BackendInvalid),
        ({"object": "error", "message": "too long", "code": 400}, BackendInvalid),
        ({"error": "out of memory"}, BackendUnavailable),
        ({"choices": 3}, BackendBroken),
    ],
)
async def test_an_error_event_has_the_type_it_tells(
    server: FakeOpenAi, event: dict[str, Any], error: type[BackendError]
) -> None:
    server.behaviour.error_after = (2, event)
    with pytest.raises(error):
        await run(await known(server), chat())


@pytest.mark.parametrize(
    ("owner", "raw", "constraint", "fields"),
    [
        ("vllm", False, REGEX, {"structured_outputs": {"regex": "[0-9]+"}, "guided_regex": "[0-9]+"}),
        ("sglang", True, REGEX, {"regex": "[0-9]+"}),
        ("llamacpp", True, SCHEMA, {"json_schema": {"properties": {"a": {}}}}),
        (
            "library",
            False,
            SCHEMA,
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"properties": {"a": {}}}, "strict": True},
                }
            },
        ),
    ],
)
async def test_a_constraint_is_written_as_the_server_reads_it(
    server: FakeOpenAi, *, owner: str, raw: bool, constraint: Constraint, fields: dict[str, Any]
) -> None:
    server.behaviour.owner = owner
    await run(await known(server), Prompt("x", 1) if raw else chat(), constraint=constraint)

    assert server.seen.bodies[0].items() >= fields.items()


@pytest.mark.parametrize(("raw", "constraint"), [(True, SCHEMA), (False, REGEX)])
async def test_what_a_server_cannot_force_is_never_sent(
    server: FakeOpenAi, *, raw: bool, constraint: Constraint
) -> None:
    server.behaviour.owner = "library"
    with pytest.raises(BackendInvalid):
        await run(await known(server), Prompt("x", 1) if raw else chat(), constraint=constraint)

    assert server.seen.bodies == []


async def test_a_model_s_own_defaults_are_switched_off(server: FakeOpenAi) -> None:
    backend = await known(server)
    sampling = Sampling(temperature=0.5, top_p=0.9, repetition_penalty=1.1, seed=7)
    await run(backend, chat(), sampling=sampling, stop=("END",))

    body = server.seen.bodies[0]
    assert (body["temperature"], body["top_p"], body["top_k"], body["min_p"]) == (0.5, 0.9, -1, 0.0)
    assert (body["repetition_penalty"], body["seed"], body["stop"]) == (1.1, 7, ["END"])


@pytest.mark.parametrize(
    ("owner", "passed", "told"), [("vllm", 4, "fox"), ("sglang", 4, "fox"), ("llamacpp", 0, ""), ("x", 0, "")]
)
async def test_stop_strings_go_to_servers_that_tell_which_one_they_met(
    server: FakeOpenAi, owner: str, passed: int, told: str
) -> None:
    server.behaviour.owner = owner
    stops = ("fox", "1", "2", "3", "4", "5")
    items = await run(await known(server), chat(), stop=stops)

    assert server.seen.bodies[0].get("stop", []) == list(stops[:passed])
    assert stopped(items).stop_string == told
    assert ("fox" in text_of(items)) == (not told)


def test_the_id_of_a_token_that_ends_answers_is_no_stop_string() -> None:
    event = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":128001}]}'

    chunk = read_chunk(orjson.loads(event))

    assert chunk is not None
    assert chunk.stop_string == ""


@pytest.mark.parametrize(
    ("owner", "raw", "open_ended", "sent"),
    [
        ("sglang", False, True, False),
        ("x", False, True, False),
        ("x", False, False, True),
        ("x", True, True, True),  # without a limit these end after a few tokens
        ("library", False, True, True),  # without one this goes on for ever
    ],
)
async def test_a_limit_that_is_a_guess_is_left_to_servers_that_know_better(
    server: FakeOpenAi, *, owner: str, raw: bool, open_ended: bool, sent: bool
) -> None:
    server.behaviour.owner = owner
    await run(await known(server), Prompt("x", 1) if raw else chat(), open_ended=open_ended)

    assert ("max_tokens" in server.seen.bodies[0]) is sent


@pytest.mark.parametrize(
    ("choice", "name", "written"),
    [
        (ToolChoice.AUTO, "", "auto"),
        (ToolChoice.REQUIRED, "", "required"),
        (ToolChoice.REQUIRED, "clock", {"type": "function", "function": {"name": "clock"}}),
    ],
)
async def test_a_tool_choice_is_written_as_the_protocol_has_it(
    server: FakeOpenAi, choice: ToolChoice, name: str, written: Any
) -> None:
    await run(await known(server), chat(tools=(CLOCK,)), tool_choice=choice, tool_choice_name=name)

    assert server.seen.bodies[0]["tool_choice"] == written


@pytest.mark.parametrize(("most", "fields"), [(0, {}), (1, {"parallel_tool_calls": False}), (2, {})])
async def test_one_call_at_a_time_is_asked_of_the_server(
    server: FakeOpenAi, most: int, fields: dict[str, Any]
) -> None:
    await run(await known(server), chat(tools=(CLOCK,)), max_tool_calls=most)
    await run(await known(server), chat(), max_tool_calls=most)

    with_tools, without = server.seen.bodies
    assert {key: with_tools[key] for key in with_tools if key == "parallel_tool_calls"} == fields
    assert "parallel_tool_calls" not in without


async def test_a_text_is_gone_on_with_by_flags(server: FakeOpenAi) -> None:
    await run(await known(server), chat(), emitted_text="The quick")

    body = server.seen.bodies[0]
    assert body["messages"][-1] == {"role": "assistant", "content": "The quick"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False


async def test_llama_cpp_goes_on_with_one_trailing_message(server: FakeOpenAi) -> None:
    server.behaviour.owner = "llamacpp"
    server.behaviour.pieces = ["Once", " upon", " a", " time"]
    prompt = chat(USER, ChatMessage(Role.ASSISTANT, "Well: "))
    items = await run(await known(server), prompt, emitted_text="Once upon")

    assert server.seen.bodies[0]["messages"][1:] == [{"role": "assistant", "content": "Well: Once upon"}]
    assert text_of(items) == " a time"


@pytest.mark.parametrize("so_far", ["a", "a\n", "a\n\n", "a\n\nb", "\n"])
async def test_white_space_that_a_template_cuts_off_is_not_said_twice(
    server: FakeOpenAi, so_far: str
) -> None:
    server.behaviour.pieces = ["a", "\n\n", "b", "\n", "c"] if so_far != "\n" else ["\n", "x"]
    whole = "".join(server.behaviour.pieces)
    items = await run(await known(server), chat(), emitted_text=so_far)

    assert so_far + text_of(items) == whole


async def test_torn_events_and_carriage_returns_are_read() -> None:
    reader = EventReader()
    stream = (
        b': hello\r\ndata: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\r\n\r\n'
        b'data:{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    chunks = [chunk for at in range(len(stream)) for chunk in reader.feed(stream[at : at + 1])]

    assert [chunk.text for chunk in chunks] == ["a", "b"]
    assert reader.finished
    assert reader.ended


@pytest.mark.parametrize(
    ("owner", "window", "longest"), [("vllm", 0, 128), ("library", 0, 0), ("library", 8192, 128)]
)
async def test_a_prompt_is_refused_by_its_length_only_where_the_window_is_known(
    owner: str, window: int, longest: int
) -> None:
    async with fake_openai(Behaviour(owner=owner)) as server:
        backend = OpenAiBackend(server.url, OpenAiConfig(window=window))
        try:
            info = await backend.info()
        finally:
            await backend.close()

    assert info.longest_token == longest
