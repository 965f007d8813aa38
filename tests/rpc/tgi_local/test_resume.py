"""Suspending and resuming on the real engine: no token lost, repeated or changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.inference.backends.tgi.client import (
    AiosOptions,
    PooledAsyncClient,
    Suspended,
    Suspension,
    TokenEvent,
)
from gateway.inference.errors import NotRunning
from services.tgi_local.adapters.xllama import XllamaEngine
from services.tgi_local.core.engine import EngineRequest
from services.tgi_local.core.layout import Layout
from services.tgi_local.core.parameters import Sampling
from tests.fakes.gguf_model import write_random_model
from tests.fakes.tgi_local import tgi_local

PROMPT = tuple(b"hello there, world")
LENGTH = 40
LONG = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


@pytest.fixture
async def engine(model: Path, tmp_path: Path) -> AsyncIterator[XllamaEngine]:
    opened = await XllamaEngine.open(
        model, Layout(2, 512, exact=True), threads=1, data_dir=tmp_path, snapshots=tmp_path
    )
    yield opened
    await opened.close()


@pytest.fixture
async def client(model: Path, tmp_path: Path) -> AsyncIterator[PooledAsyncClient]:
    async with tgi_local(model, tmp_path / "data") as server:
        made = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
        yield made
        await made.close()


async def tokens(engine: XllamaEngine, prompt: tuple[int, ...], count: int, slot: int = 0) -> list[int]:
    job = EngineRequest(prompt=prompt, slot=slot, max_tokens=count, sampling=Sampling(), seed=1)
    async with aclosing(engine.generate(job)) as run:
        return [token.id for batch in [b async for b in run] for token in batch]


async def test_the_engine_continues_exactly_at_every_cut_with_and_without_the_saved_state(
    engine: XllamaEngine,
) -> None:
    whole = await tokens(engine, PROMPT, LENGTH)
    for cut in range(1, LENGTH):
        first = await tokens(engine, PROMPT, cut)
        await engine.save(0, "cut.bin")
        await tokens(engine, (1, 2, 3), 5)
        prompt = (*PROMPT, *first)
        plain = await tokens(engine, prompt, LENGTH - cut, slot=1)
        await engine.restore(0, "cut.bin")
        restored = await tokens(engine, prompt, LENGTH - cut)

        assert [*first, *plain] == whole, cut
        assert [*first, *restored] == whole, cut


async def one_turn(
    client: PooledAsyncClient, options: AiosOptions, left: int, suspend_after: int
) -> tuple[list[TokenEvent], Suspension | None]:
    """Read a stream, asking for its suspension on the way; it may end first."""
    seen: list[TokenEvent] = []
    suspending: asyncio.Task[Suspension] | None = None
    async with aclosing(client.generate_stream(aios=options, max_new_tokens=left)) as events:
        async for event in events:
            if isinstance(event, Suspended):
                break
            seen.append(event)
            if len(seen) == suspend_after:
                suspending = asyncio.create_task(client.suspend(options.request_id))
    if suspending is None or seen[-1].generated_text is not None:
        with contextlib.suppress(NotRunning):
            await (suspending or asyncio.sleep(0))
        return seen, None
    return seen, await suspending


async def suspended_run(
    client: PooledAsyncClient, prompt: list[int], after: int
) -> tuple[list[int], str, int]:
    """Run to the end with a suspension every few tokens. Returns ids, text and how often it was suspended."""
    produced: list[int] = []
    text, handle, turns = "", "", 0
    while True:
        options = AiosOptions(
            request_id=f"run-{prompt[-1]}-{turns}",
            prompt_ids=[*prompt, *produced],
            produced=len(produced),
            kv_handle=handle,
        )
        seen, state = await one_turn(client, options, LONG - len(produced), after)
        produced += [event.id for event in seen]
        text += "".join(event.text for event in seen if not event.special)
        if state is None:
            return produced, text, turns

        assert list(state.token_ids) == [event.id for event in seen]
        assert state.kv_handle
        assert state.bytes > 0
        handle, turns = state.kv_handle, turns + 1


async def test_runs_suspended_again_and_again_end_as_if_never_stopped(client: PooledAsyncClient) -> None:
    prompts = [[*PROMPT, 60 + number] for number in range(6)]
    whole = []
    for prompt in prompts:
        stream = client.generate_stream(aios=AiosOptions(prompt_ids=prompt), max_new_tokens=LONG)
        whole.append([event async for event in stream if isinstance(event, TokenEvent)])
    results = await asyncio.gather(
        *(suspended_run(client, prompt, after=3 + 7 * n) for n, prompt in enumerate(prompts))
    )

    assert sum(turns for _, _, turns in results) >= 6
    for (produced, text, _), events in zip(results, whole, strict=True):
        assert produced == [event.id for event in events]
        assert text == events[-1].generated_text


async def test_each_run_tells_what_it_found_cached(client: PooledAsyncClient) -> None:
    async def first_of(ids: tuple[int, ...]) -> TokenEvent:
        options = AiosOptions(prompt_ids=ids)
        stream = client.generate_stream("", aios=options, max_new_tokens=8, do_sample=False)
        async with aclosing(stream) as events:
            event = await anext(aiter(events))
            assert isinstance(event, TokenEvent)
            return event

    prompt = tuple(b"a prompt that nobody has sent before")
    fresh = await first_of(prompt)
    longer = await first_of((*prompt, *b" and its next step"))

    assert fresh.cached_tokens == 0
    assert longer.cached_tokens is not None
    assert longer.cached_tokens >= len(prompt) - 1
