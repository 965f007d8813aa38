"""What long texts may cost: they are refused by their length, or split while generations go on."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.main import Server
from services.tgi_local.service.inference import COUNTED_BYTES, PIECE_TOKENS, SPLITS_AT_ONCE, with_offsets
from tests.fakes.fake_engine import VOCABULARY, FakeEngine
from tests.fakes.tgi_local import http, tgi_local
from tests.fakes.waiting import until

MEGABYTE = "word " * 200_000


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    return FakeEngine(tmp_path / "data" / "snapshots")


@pytest.fixture
async def server(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Server]:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    async with tgi_local(model, tmp_path / "data", engine, slots=2, max_concurrent=4, ctx=2048) as started:
        yield started


@pytest.fixture
async def web(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with http(server) as session:
        yield session


async def post(web: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    async with web.post(path, json=body) as response:
        return response.status, await response.read()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", {"inputs": MEGABYTE}),
        ("/generate", {"inputs": MEGABYTE}),
        ("/generate_stream", {"inputs": MEGABYTE}),
        ("/tokenize", {"inputs": MEGABYTE}),
        ("/chat_tokenize", {"messages": [{"role": "user", "content": MEGABYTE}]}),
    ],
)
async def test_a_text_that_cannot_fit_is_refused_and_never_split(
    web: aiohttp.ClientSession, engine: FakeEngine, path: str, body: dict[str, Any]
) -> None:
    status, answer = await post(web, path, body)
    error = orjson.loads(answer.removeprefix(b"data:"))

    assert status == (200 if path == "/generate_stream" else 422)
    assert error["error_type"] == "validation"
    assert "must have less than 2047 tokens. Given: at least" in error["error"]
    assert engine.split == []


async def test_a_prompt_that_is_cut_to_its_end_may_be_longer(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    body = {"inputs": "x" * 30_000, "parameters": {"truncate": 100, "max_new_tokens": 1}}
    status, _ = await post(web, "/generate", body)

    assert status == 200
    assert len(engine.jobs[0].prompt) == 100


async def test_the_bound_is_the_longest_token_s_and_told(web: aiohttp.ClientSession) -> None:
    longest = max(map(len, VOCABULARY.pieces))
    async with web.get("/info") as response:
        told = orjson.loads(await response.read())["aios"]["longest_token_bytes"]
    fits, _ = await post(web, "/generate", {"inputs": "x" * (2047 * longest)})
    _, refused = await post(web, "/generate", {"inputs": "x" * (2047 * longest + 1)})

    assert told == longest
    assert fits == 422  # by its tokens
    assert "Given: at least 2048" in orjson.loads(refused)["error"]


async def test_a_generation_takes_steps_between_the_pieces_of_a_long_text(
    web: aiohttp.ClientSession, server: Server, engine: FakeEngine
) -> None:
    service = server.routes._service
    text = "x" * COUNTED_BYTES
    steps: list[int] = []
    async with web.post("/generate_stream", json={"inputs": "hi", "parameters": {"max_new_tokens": 2000}}):
        await until(lambda: len(engine.busy) == 1)
        async for piece in service.tokenize(text):
            assert len(piece) <= PIECE_TOKENS
            steps.append(engine.produced)

    between = [after - before for before, after in pairwise(steps)]
    assert len(steps) == COUNTED_BYTES // PIECE_TOKENS
    assert sum(each > 0 for each in between) > len(between) // 4


async def test_only_few_texts_are_split_at_once_and_a_crowd_is_refused(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.split_gate = asyncio.Event()
    calls = [asyncio.create_task(post(web, "/tokenize", {"inputs": f"text {n}"})) for n in range(6)]
    await until(lambda: sum(call.done() for call in calls) == 2)
    at_once = engine.splitting
    engine.split_gate.set()
    answers = await asyncio.gather(*calls)

    assert at_once == SPLITS_AT_ONCE
    assert sorted(status for status, _ in answers) == [200] * 4 + [429] * 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_the_characters_of_all_tokens_together_are_the_text(text: str) -> None:
    ids = list(text.encode())
    tokens = list(with_offsets(text, ids, VOCABULARY))
    ends = {token.stop: token for token in tokens}

    assert [token.id for token in tokens] == ids
    assert all(token.text == text[token.start : token.stop] for token in tokens)
    assert "".join(ends[end].text for end in sorted(ends)) == text
