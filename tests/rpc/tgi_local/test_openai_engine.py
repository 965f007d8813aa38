"""The OpenAI driver on a real engine: llama.cpp's own server with the demo model."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import xllamacpp

from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.errors import BackendInvalid
from gateway.inference.model import (
    BackendRequest,
    Constraint,
    ConstraintKind,
    Prompt,
    Sampling,
    Stopped,
    StopReason,
    StreamItem,
    Token,
)
from services.chassis.chat import ChatMessage, Role

MODEL = Path(__file__).parents[3] / "services/tgi_local/demo_model/aios-demo.gguf"
SCHEMA = '{"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}'
CHAT = [ChatMessage(Role.USER, "What is 12 plus 30?")]


@pytest.fixture(scope="module")
def engine() -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(MODEL)
    params.n_parallel, params.n_ctx = 2, 1024
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib, params.verbosity = 0, -1
    params.hostnames, params.port = ["127.0.0.1"], 0
    return xllamacpp.Server(params)


@pytest.fixture
async def backend(engine: Any) -> AsyncIterator[OpenAiBackend]:
    made = OpenAiBackend(engine.listening_address, OpenAiConfig(token_timeout=20))
    await made.info()
    yield made
    await made.close()


async def run(backend: OpenAiBackend, prompt: Prompt, **fields: Any) -> list[StreamItem]:
    job = BackendRequest(
        **{"run_id": "r", "prompt": prompt, "max_new_tokens": 24, "sampling": Sampling(), **fields}
    )
    async with aclosing(backend.stream(job)) as items:
        return [item async for item in items]


def pieces(items: list[StreamItem]) -> list[str]:
    return [item.text for item in items if isinstance(item, Token)]


async def test_the_engine_tells_what_it_serves(backend: OpenAiBackend) -> None:
    info = await backend.info()

    assert info.model.endswith("aios-demo.gguf")
    assert (info.max_total_tokens, info.slots) == (512, 2)
    assert info.capabilities.continues_text
    assert await backend.healthy()


async def test_a_chat_is_counted_and_answered(backend: OpenAiBackend) -> None:
    prompt = await backend.render(CHAT)
    items = await run(backend, prompt)

    end = items[-1]
    assert isinstance(end, Stopped)
    assert end.reason in {StopReason.END, StopReason.LENGTH}
    assert end.prompt_tokens == prompt.token_count
    assert 1 <= len(pieces(items)) <= 24


async def test_an_answer_goes_on_from_its_text(backend: OpenAiBackend) -> None:
    prompt = await backend.render(CHAT)
    whole = pieces(await run(backend, prompt))
    for cut in range(1, len(whole)):
        so_far = "".join(whole[:cut])
        rest = pieces(await run(backend, prompt, emitted_text=so_far, max_new_tokens=24 - cut))

        assert so_far + "".join(rest) == "".join(whole)


@pytest.mark.parametrize("raw", [False, True])
async def test_an_answer_is_forced_into_a_schema(backend: OpenAiBackend, *, raw: bool) -> None:
    prompt = await backend.measure("hello") if raw else await backend.render(CHAT)
    items = await run(backend, prompt, max_new_tokens=60, constraint=Constraint(ConstraintKind.JSON, SCHEMA))

    # This engine allows any white space inside, and a tiny model may never leave it.
    assert "".join("".join(pieces(items)).split()).startswith('{"a"')


async def test_a_prompt_that_is_too_long_is_invalid(backend: OpenAiBackend) -> None:
    with pytest.raises(BackendInvalid, match="context size"):
        await run(backend, await backend.render([ChatMessage(Role.USER, "x " * 2000)]))
