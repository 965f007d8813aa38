"""The TGI-shaped server with the simulator's timing: its prompts, its protocol, its queue."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.errors import BackendInvalid, BackendOverloaded
from gateway.inference.model import BackendRequest, Sampling, Stopped, StopReason, Token
from tests.bench.live.clients import DirectAgents, Overloaded, play
from tests.bench.live.generations import Generations
from tests.bench.live.plays import Sample, compressed, simulated, summary
from tests.bench.live.prompts import FILLER, PromptUnreadable, answer, decode, messages, text_tokens
from tests.bench.live.tgi import TimedConfig, TimedTgi
from tests.bench.sched.drivers import PassThrough
from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.server import Shape
from tests.bench.sched.workloads import Program, Step, mint
from tests.fakes.waiting import until


def encode(given: Sequence[Block], output: int) -> str:
    return "".join(messages(given, output))


FAST = Shape(slots=2, budget=20_000).faster(200.0)

blocks = st.lists(
    st.builds(Block, st.text("abc-7", min_size=1, max_size=20), st.integers(1, 300)), min_size=1, max_size=6
)


@asynccontextmanager
async def timed(*, max_concurrent: int = 128, shape: Shape = FAST) -> AsyncIterator[TimedTgi]:
    server = TimedTgi(TimedConfig(shape=shape, max_concurrent=max_concurrent))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def direct(server: TimedTgi) -> AsyncIterator[DirectAgents]:
    agents = DirectAgents(server.url)
    try:
        yield agents
    finally:
        await agents.close()


def program(name: str, output: int, prompt: int = 50) -> Program:
    return Program(name, 0.0, (Step((Block(name, prompt),), output),), "kind")


@given(blocks, st.integers(1, 1024), st.integers(0, 40))
def test_a_prompt_says_what_it_stands_for(given_blocks: list[Block], output: int, done: int) -> None:
    ask = decode(encode(given_blocks, output) + answer(done))

    assert (list(ask.blocks), ask.output, ask.done) == (given_blocks, output, done)


@given(blocks)
def test_a_prompt_has_the_tokens_of_its_blocks_and_one_more(given_blocks: list[Block]) -> None:
    text = encode(given_blocks, 5)

    tokens = orjson.loads(text_tokens(text))

    assert len(tokens) == sum(block.tokens for block in given_blocks) + 1
    assert "".join(token["text"] for token in tokens) == text
    assert messages(given_blocks, 5)[:-1] == messages(given_blocks, 9)[:-1]
    assert all(text[token["start"] : token["stop"]] == token["text"] for token in tokens)


@pytest.mark.parametrize(
    "text", ["", "hello\n", "=12\n", '["a",5]\n', encode([Block("a", 5)], 3) + " 0", '["a",5]\n' + FILLER]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(PromptUnreadable):
        decode(text)


async def test_a_request_takes_the_time_of_the_model() -> None:
    generations = Generations(FAST)

    alone = generations.submit((Block("a", 900),), 40, 1024)
    while not alone.over:
        await alone.progress()

    took = generations.server.clock - alone.request.sent_at
    assert took == pytest.approx(FAST.alone(900, 40))
    assert alone.generated == 40


async def test_what_does_not_fit_waits_in_the_servers_queue() -> None:
    generations = Generations(FAST)
    running = [generations.submit((Block(f"r{n}", 10),), 500, 1024) for n in range(2)]

    waiting = generations.submit((Block("w", 10),), 5, 1024)
    generations.stop(running[0])
    while not waiting.over:
        await waiting.progress()

    assert waiting.request.admitted_at > waiting.request.sent_at
    assert not running[1].over


async def test_agents_get_their_tokens_and_the_simulator_agrees_on_how_many() -> None:
    programs = compressed(mint(3, 4), 200.0)
    async with timed() as server, direct(server) as agents:
        samples = await play(programs, agents)

    model = simulated(programs, FAST, PassThrough())
    assert summary(samples, 1.0)["tokens"] == summary(model, 1.0)["tokens"]
    assert all(s.arrived < s.first_token <= s.finished for s in samples)


async def test_a_request_too_many_is_refused_and_the_others_go_on() -> None:
    async with timed(max_concurrent=1) as server, direct(server) as agents:
        first = asyncio.create_task(agents.call(Sample(program("a", 400), 0, 0.0)))
        await until(lambda: len(server.generations) == 1)

        with pytest.raises(Overloaded):
            await agents.call(Sample(program("b", 5), 0, 0.0))

        assert await first == answer(400)
        assert server.counts.overloaded == 1


async def test_closing_a_stream_frees_its_slot() -> None:
    async with timed() as server, direct(server) as agents:
        leaving = asyncio.create_task(agents.call(Sample(program("a", 1000), 0, 0.0)))
        await until(lambda: len(server.generations) == 1)
        leaving.cancel()
        await asyncio.wait({leaving})

        await until(lambda: len(server.generations) == 0)

        assert server.counts.dropped == 1
        assert await agents.call(Sample(program("b", 3), 0, 0.0)) == answer(3)


async def test_the_gateways_driver_reads_it_as_a_plain_tgi() -> None:
    async with timed() as server:
        backend = TgiBackend(server.url, TgiConfig(slots=2, batch_tokens=20_000))
        info = await backend.info()
        prompt = await backend.measure(encode((Block("a", 70),), 9))
        job = BackendRequest(run_id="r", prompt=prompt, max_new_tokens=1024, sampling=Sampling())
        whole = await _stream(backend, job)
        rest = await _stream(
            backend,
            BackendRequest(
                run_id="r", prompt=prompt, emitted_text=answer(4), max_new_tokens=1020, sampling=Sampling()
            ),
        )
        await backend.close()

    assert (info.slots, info.max_batch_total_tokens, info.capabilities.kv_snapshot) == (2, 20_000, False)
    assert prompt.token_count == 71
    assert whole == (answer(9), StopReason.END)
    assert answer(4) + rest[0] == answer(9)


async def test_a_prompt_that_holds_its_whole_answer_gets_the_end_alone() -> None:
    """A generation that is stopped just before its end goes on with nothing but that."""
    async with timed() as server:
        backend = TgiBackend(server.url, TgiConfig())
        prompt = await backend.measure(encode((Block("a", 70),), 9))
        rest = await _stream(
            backend,
            BackendRequest(
                run_id="r", prompt=prompt, emitted_text=answer(9), max_new_tokens=50, sampling=Sampling()
            ),
        )
        await backend.close()

    assert rest == ("", StopReason.END)


async def test_it_refuses_as_tgi_does() -> None:
    async with timed(max_concurrent=0) as server:
        backend = TgiBackend(server.url, TgiConfig())
        prompt = await backend.measure(encode((Block("a", 70),), 9))
        job = BackendRequest(run_id="r", prompt=prompt, max_new_tokens=10, sampling=Sampling())
        with pytest.raises(BackendOverloaded):
            await _stream(backend, job)
        server.config = TimedConfig(shape=FAST)
        with pytest.raises(BackendInvalid, match="must be <= 32768"):
            await _stream(
                backend, BackendRequest(run_id="r", prompt=prompt, max_new_tokens=40_000, sampling=Sampling())
            )
        await backend.close()


async def test_its_metrics_have_tgis_names() -> None:
    async with timed() as server, direct(server) as agents:
        await agents.call(Sample(program("a", 3), 0, 0.0))
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as response:
            text = await response.text()

    assert "tgi_queue_size 0\n" in text
    assert "tgi_batch_current_size 0\n" in text
    assert "tgi_request_success 1\n" in text


async def _stream(backend: TgiBackend, job: BackendRequest) -> tuple[str, StopReason | None]:
    text, reason = "", None
    async with aclosing(backend.stream(job)) as items:
        async for item in items:
            if isinstance(item, Token):
                text += item.text
            elif isinstance(item, Stopped):
                reason = item.reason
    return text, reason
