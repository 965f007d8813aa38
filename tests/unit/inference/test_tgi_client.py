"""The pooled client against a fake TGI on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
import pytest
from text_generation.types import Grammar, GrammarType

from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.backends.tgi.client import AiosOptions, PooledAsyncClient, Suspended, TokenEvent
from gateway.inference.backends.tgi.wire import read_event
from gateway.inference.core.evidence import account
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendOverloaded,
    BackendStalled,
    BackendUnavailable,
    ConstraintRefused,
    NotRunning,
    PromptOverflow,
)
from gateway.inference.model import Alternative
from tests.fakes.fake_tgi import FakeTgi, fake_tgi, word
from tests.fakes.waiting import until


@pytest.fixture
async def tgi() -> AsyncIterator[FakeTgi]:
    async with fake_tgi() as server:
        yield server


@pytest.fixture
async def client(tgi: FakeTgi) -> AsyncIterator[PooledAsyncClient]:
    made = PooledAsyncClient(tgi.url, silence_timeout=5, token_timeout=5)
    yield made
    await made.close()


async def collect(client: PooledAsyncClient, **options: object) -> list[TokenEvent]:
    """Read a stream to its end; the events so far stay readable through the list."""
    events: list[TokenEvent] = []
    await read_into(events, client, **options)
    return events


async def read_into(events: list[TokenEvent], client: PooledAsyncClient, **options: object) -> None:
    stream = client.generate_stream("a b c", **options)  # type: ignore[arg-type]  # options are per test
    async with aclosing(stream) as items:
        async for item in items:
            assert isinstance(item, TokenEvent)
            events.append(item)


async def test_a_unary_generation_tells_text_usage_and_tokens(client: PooledAsyncClient) -> None:
    answer = await client.generate("a b c", max_new_tokens=3)

    assert answer.generated_text == "the quick brown "
    assert (answer.finish_reason, answer.generated_tokens, answer.input_length) == ("length", 3, 3)
    assert [token.id for token in answer.tokens] == [0, 1, 2]


async def test_a_stream_ends_with_text_usage_and_reason(client: PooledAsyncClient) -> None:
    events = await collect(client, max_new_tokens=4)

    assert "".join(event.text for event in events) == "the quick brown fox "
    assert [event.generated_text for event in events[:-1]] == [None, None, None]
    last = events[-1]
    assert (last.generated_text, last.finish_reason) == ("the quick brown fox ", "length")
    assert (last.generated_tokens, last.input_length) == (4, 3)


async def test_options_reach_the_server_under_its_names(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    await client.generate(
        "x",
        stop_sequences=["END"],
        temperature=0.5,
        frequency_penalty=-1.0,
        adapter_id="a",
        grammar=Grammar(type=GrammarType.Regex, value="a+"),
    )

    assert tgi.seen.bodies[0] == {
        "inputs": "x",
        "parameters": {
            "stop": ["END"],
            "temperature": 0.5,
            "frequency_penalty": -1.0,
            "adapter_id": "a",
            "grammar": {"type": "regex", "value": "a+"},
            "details": True,
        },
    }


async def test_text_that_is_no_unicode_is_invalid(client: PooledAsyncClient) -> None:
    with pytest.raises(BackendInvalid, match="cannot be written as JSON"):
        await client.generate("half a pair: \ud83d")
    with pytest.raises(BackendInvalid, match="cannot be written as JSON"):
        await client.tokenize("half a pair: \ud83d")


def test_alternatives_are_read() -> None:
    top = b'[{"id":3,"text":"x","logprob":-1.5,"special":false}]'
    token = b'{"id":1,"text":"a","logprob":-0.5,"special":false}'
    event = b'{"token":%b,"top_tokens":%b,"generated_text":null,"details":null}' % (token, top)

    expected = TokenEvent(id=1, text="a", special=False, logprob=-0.5, top=(Alternative(3, "x", -1.5),))
    assert read_event(orjson.loads(event)) == expected


async def test_connections_are_reused(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    for _ in range(5):
        await client.generate("x")

    assert len(tgi.seen.connections) == 1


async def test_events_torn_into_single_bytes_are_put_together(
    client: PooledAsyncClient, tgi: FakeTgi
) -> None:
    tgi.behaviour.split_writes = True

    events = await collect(client, max_new_tokens=3)

    assert [event.id for event in events] == [0, 1, 2]


async def test_closing_a_stream_frees_the_slot_at_once(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    tgi.behaviour.token_delay = 0.02
    tgi.behaviour.tokens = 10_000
    async with aclosing(client.generate_stream("x", max_new_tokens=10_000)) as items:
        await anext(items)
    await until(lambda: tgi.seen.running == 0)

    assert tgi.seen.dropped == 1


async def test_cancelling_the_reader_frees_the_slot(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    tgi.behaviour.latency = 60
    task = asyncio.create_task(collect(client))
    await until(lambda: tgi.seen.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: tgi.seen.running == 0)

    assert tgi.seen.dropped == 1


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (422, "validation", "Input validation error: grammar is not valid: unknown keyword"),
        (422, "validation", "Input validation error: grammar is not supported"),
        (424, "generation", "Request failed during generation: the output does not satisfy the grammar"),
    ],
)
async def test_a_constraint_that_cannot_be_kept_is_the_request_s_fault(
    client: PooledAsyncClient, tgi: FakeTgi, status: int, kind: str, message: str
) -> None:
    tgi.behaviour.error = (status, message, kind)

    with pytest.raises(ConstraintRefused):
        await client.generate("x")


@pytest.mark.parametrize(
    "message",
    [
        "Input validation error: `inputs` must have less than 2047 tokens. Given: at least 2734",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2000",
    ],
)
async def test_a_prompt_that_the_server_finds_too_long_is_told_as_such(
    client: PooledAsyncClient, tgi: FakeTgi, message: str
) -> None:
    tgi.behaviour.error = (422, message, "validation")

    with pytest.raises(PromptOverflow):
        await client.generate("x")


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (422, "validation", BackendInvalid),
        (422, "template_error", BackendInvalid),
        (429, "overloaded", BackendOverloaded),
        (424, "generation", BackendUnavailable),
        (500, "incomplete_generation", BackendUnavailable),
        (503, "healthcheck", BackendUnavailable),
        (503, "never heard of it", BackendUnavailable),
        (418, "never heard of it", BackendBroken),
    ],
)
async def test_each_error_of_the_server_has_its_type(
    client: PooledAsyncClient, tgi: FakeTgi, status: int, kind: str, expected: type[BackendError]
) -> None:
    tgi.behaviour.error = (status, "what happened", kind)

    with pytest.raises(expected) as caught:
        await client.generate("x")
    assert type(caught.value) is expected
    # A refusal is the caller's business; what a server says of its own failure is the operator's.
    assert ("what happened" in str(caught.value)) == issubclass(expected, BackendInvalid)
    assert "what happened" in account(caught.value)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("validation", BackendInvalid),
        ("overloaded", BackendOverloaded),
        ("incomplete_generation_stream", BackendUnavailable),
    ],
)
async def test_an_error_event_has_the_type_it_names(
    client: PooledAsyncClient, tgi: FakeTgi, kind: str, expected: type[BackendError]
) -> None:
    tgi.behaviour.error = (200, "what happened", kind)

    with pytest.raises(expected) as caught:
        await collect(client)
    assert "what happened" in account(caught.value)


async def test_past_its_places_the_server_is_overloaded(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    tgi.behaviour.max_concurrent = 0

    with pytest.raises(BackendOverloaded):
        await collect(client)


@pytest.mark.parametrize("fault", ["die_after", "end_after", "half_line_after"])
async def test_a_stream_that_breaks_off_is_an_error_after_its_tokens(
    client: PooledAsyncClient, tgi: FakeTgi, fault: str
) -> None:
    setattr(tgi.behaviour, fault, 3)
    events: list[TokenEvent] = []

    with pytest.raises(BackendUnavailable):
        await read_into(events, client, max_new_tokens=8)
    assert [event.id for event in events] == [0, 1, 2]


async def test_an_event_that_is_not_json_is_broken(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    tgi.behaviour.malformed_after = 2

    with pytest.raises(BackendBroken):
        await collect(client)


async def test_keep_alive_comments_do_not_hide_a_stalled_model(
    client: PooledAsyncClient, tgi: FakeTgi
) -> None:
    tgi.behaviour.stall_after = 2
    tgi.behaviour.keep_alive = 0.01
    events: list[TokenEvent] = []

    with pytest.raises(BackendStalled):
        await read_into(events, client, token_timeout=1.5)
    assert len(events) == 2


async def test_a_silent_connection_is_stalled(tgi: FakeTgi) -> None:
    tgi.behaviour.latency = 60
    client = PooledAsyncClient(tgi.url, silence_timeout=0.05)

    with pytest.raises(BackendStalled):
        await collect(client)
    await client.close()


async def test_nobody_listening_is_unavailable() -> None:
    async with fake_tgi() as server:
        url = server.url
    client = PooledAsyncClient(url)

    with pytest.raises(BackendUnavailable):
        await client.generate("x")
    with pytest.raises(BackendUnavailable):
        await collect(client)
    assert await client.health() is False
    await client.close()


async def test_a_server_that_is_not_tgi_is_broken() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    client = PooledAsyncClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    with pytest.raises(BackendBroken):
        await client.info()
    await client.close()
    server.close()
    await server.wait_closed()


async def test_info_tells_the_capabilities(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    own = await client.info()
    tgi.behaviour.kv_snapshot = False
    plain = await client.info()

    assert (own.kv_snapshot, own.token_prompts, own.slots, own.max_total_tokens) == (True, True, 8, 4096)
    assert (plain.kv_snapshot, plain.token_prompts, plain.slots) == (False, False, None)


async def test_health_follows_the_server(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    healthy = await client.health()
    tgi.behaviour.healthy = False

    assert healthy is True
    assert await client.health() is False


async def test_the_length_of_its_queue_is_read_off_its_metrics(
    client: PooledAsyncClient, tgi: FakeTgi
) -> None:
    untold = await client.queue_size()
    tgi.behaviour.waiting = 3

    assert untold is None
    assert await client.queue_size() == 3


async def test_what_was_cached_comes_with_the_first_token_of_who_asks(
    client: PooledAsyncClient, tgi: FakeTgi
) -> None:
    tgi.behaviour.cached = 5
    asked = [event async for event in client.generate_stream("a b", aios=AiosOptions(request_id="r"))]
    plain = [event async for event in client.generate_stream("a b")]

    assert [event.cached_tokens for event in asked if isinstance(event, TokenEvent)][:2] == [5, None]
    assert not [event for event in plain if isinstance(event, TokenEvent) and event.cached_tokens is not None]


async def test_texts_and_chats_are_tokenised(client: PooledAsyncClient) -> None:
    tokens = await client.tokenize("one two")
    chat, text = await client.chat_tokenize([{"role": "user", "content": "hi"}])

    assert [(t.text, t.start, t.stop) for t in tokens] == [("one ", 0, 4), ("two", 4, 7)]
    assert text == "<|user|> hi\n<|assistant|> "
    assert "".join(t.text for t in chat) == text


async def test_a_suspended_stream_continues_where_it_stopped(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    tgi.behaviour.token_delay = 0.02
    tgi.behaviour.tokens = 12
    options = AiosOptions(request_id="r1", prompt_ids=[7, 8])
    events: list[TokenEvent | Suspended] = []
    async with aclosing(client.generate_stream(aios=options, max_new_tokens=12)) as items:
        async for item in items:
            events.append(item)
            if len(events) == 3:
                suspending = asyncio.create_task(client.suspend("r1"))
    state = await suspending
    tokens = [event for event in events if isinstance(event, TokenEvent)]
    resumed = AiosOptions(
        prompt_ids=[*state.prompt_ids, *state.token_ids],
        produced=len(state.token_ids),
        kv_handle=state.kv_handle or "",
    )
    rest = [event async for event in client.generate_stream(aios=resumed, max_new_tokens=12)]

    assert isinstance(events[-1], Suspended)
    assert tokens[0].prompt_ids == (7, 8)
    assert list(state.token_ids) == [token.id for token in tokens]
    assert state.text == "".join(token.text for token in tokens)
    produced = [*state.token_ids, *(event.id for event in rest if isinstance(event, TokenEvent))]
    assert produced == list(range(12))


async def test_suspending_what_does_not_run_is_told(client: PooledAsyncClient) -> None:
    with pytest.raises(NotRunning):
        await client.suspend("nobody")


async def test_dropping_a_snapshot_twice_is_fine(client: PooledAsyncClient) -> None:
    await client.drop_snapshot("kv-1")
    await client.drop_snapshot("kv-1")


async def test_many_streams_at_once_share_the_slots(client: PooledAsyncClient, tgi: FakeTgi) -> None:
    tgi.behaviour.token_delay = 0.001

    streams = await asyncio.gather(*(collect(client, max_new_tokens=5) for _ in range(40)))

    assert all("".join(e.text for e in s) == "".join(word(n) for n in range(5)) for s in streams)
    assert tgi.seen.most_running == 8


async def test_an_answer_of_more_tokens_than_fit_is_not_read(client: PooledAsyncClient) -> None:
    text = 'a "id": b\\"id": c'
    tokens = await client.tokenize(text, most_tokens=4)

    assert len(tokens) == 4
    for question in (
        client.tokenize(text, most_tokens=3),
        client.chat_tokenize([{"role": "user", "content": text}], most_tokens=4),
    ):
        with pytest.raises(PromptOverflow):
            await question


async def test_what_a_server_tells_of_its_longest_token_and_revision_is_passed_on(tgi: FakeTgi) -> None:
    backends = [TgiBackend(tgi.url, TgiConfig()), TgiBackend(tgi.url, TgiConfig(longest_token=300))]
    try:
        plain = [await each.info() for each in backends]
        tgi.behaviour.longest_token = 13
        told = [await each.info() for each in backends]
    finally:
        for each in backends:
            await each.close()

    assert [info.longest_token for info in plain] == [128, 300]
    assert [info.longest_token for info in told] == [13, 13]
    assert told[0].revision == "0" * 40
