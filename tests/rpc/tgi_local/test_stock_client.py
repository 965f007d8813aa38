"""The stock `text-generation` client talks to tgi-local as to TGI."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from text_generation import AsyncClient
from text_generation.errors import OverloadedError, ValidationError
from text_generation.types import Grammar, GrammarType

from tests.fakes.gguf_model import write_random_model
from tests.fakes.tgi_local import tgi_local

pytestmark = pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


@pytest.fixture
async def client(model: Path, tmp_path: Path) -> AsyncIterator[Any]:
    async with tgi_local(model, tmp_path / "data") as server:
        yield AsyncClient(f"http://127.0.0.1:{server.port}")


async def test_it_generates(client: Any) -> None:
    answer = await client.generate("hello", max_new_tokens=8, decoder_input_details=True, top_n_tokens=2)

    assert answer.details.generated_tokens == len(answer.details.tokens) == 8
    assert answer.details.finish_reason == "length"
    assert len(answer.details.prefill) == 5
    assert (
        "".join(token.text for token in answer.details.tokens if not token.special) == answer.generated_text
    )


async def test_it_streams(client: Any) -> None:
    events = [event async for event in client.generate_stream("hello", max_new_tokens=8)]
    unary = await client.generate("hello", max_new_tokens=8)

    assert len(events) == 8
    assert events[-1].generated_text == unary.generated_text
    assert events[-1].details.generated_tokens == 8
    assert "".join(event.token.text for event in events if not event.token.special) == unary.generated_text


async def test_it_samples_repeatably(client: Any) -> None:
    answers = [await client.generate("x", temperature=1.0, seed=5, max_new_tokens=12) for _ in range(3)]

    assert len({answer.generated_text for answer in answers}) == 1
    assert answers[0].details.seed == 5


async def test_best_of_brings_every_attempt(client: Any) -> None:
    answer = await client.generate("x", do_sample=True, best_of=2, max_new_tokens=6)

    assert len(answer.details.best_of_sequences) == 1


async def test_it_keeps_to_a_grammar(client: Any) -> None:
    grammar = Grammar(type=GrammarType.Regex, value="[0-9]{3}-[a-c]{2}")
    answer = await client.generate("call", max_new_tokens=20, grammar=grammar)

    assert len(answer.generated_text) == 6
    assert answer.details.finish_reason == "eos_token"


async def test_refusals_have_their_types(client: Any) -> None:
    with pytest.raises(ValidationError, match="inputs` tokens"):
        await client.generate("x" * 600)
    grammar = Grammar(type=GrammarType.Json, value={"type": "object"})
    with pytest.raises(ValidationError, match="grammar is not valid"):
        await anext(client.generate_stream("x", grammar=grammar))


async def test_overload_has_its_type(model: Path, tmp_path: Path) -> None:
    async with tgi_local(model, tmp_path / "data", max_concurrent=4) as server:
        client = AsyncClient(f"http://127.0.0.1:{server.port}")
        streams = [client.generate_stream("x", max_new_tokens=400) for _ in range(4)]
        await asyncio.gather(*(anext(stream) for stream in streams))

        with pytest.raises(OverloadedError):
            await client.generate("x")
        for stream in streams:
            await stream.aclose()
