"""What renders and splits texts works apart from the engine: what a chat does to it costs that chat."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.workers import WorkerPool
from services.tgi_local.adapters.compiler import engine_library
from services.tgi_local.adapters.tokenizer_worker import splitting
from services.tgi_local.adapters.vocabulary import read_vocabulary
from services.tgi_local.adapters.xllama import XllamaEngine
from services.tgi_local.core.engine import EngineError, PoisonedText, TemplateError
from services.tgi_local.core.layout import Layout
from tests.fakes.gguf_model import write_random_model

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}{{ call.function.arguments | tojson }}{% endfor %}"
    "{% if m.role == 'tool' %}{% for again in range(200) %}{{ m.content }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
)
"""It looks into arguments, as templates with tools do, and repeats some of what it is given."""
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]


@asynccontextmanager
async def engine_of(model: Path) -> AsyncIterator[XllamaEngine]:
    engine = await XllamaEngine.open(
        model, Layout(1, 512, exact=True), threads=1, data_dir=model.parent, snapshots=model.parent
    )
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[XllamaEngine]:
    async with engine_of(write_random_model(tmp_path / "m.gguf", template=TEMPLATE)) as opened:
        yield opened


def called(arguments: str) -> list[dict[str, Any]]:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [{"role": "assistant", "content": "", "tool_calls": [call]}, *HELLO]


async def test_a_chat_that_ends_what_renders_it_costs_its_call_and_twice_it_is_refused(
    engine: XllamaEngine,
) -> None:
    deep = called('{"a":' * 100_000 + "1" + "}" * 100_000)
    for _ in range(2):
        with pytest.raises(EngineError, match="could not be rendered"):
            await engine.render(deep)
    started = engine._renderer.started
    with pytest.raises(PoisonedText):
        await engine.render(deep)

    assert "<|im_start|>user\nhello" in await engine.render(HELLO)
    assert '{"a": {"b": 1}}' in await engine.render(called('{"a":{"b":1}}'))
    assert await engine.healthy()
    assert engine._renderer.started <= started + 1


@pytest.mark.torture
async def test_a_chat_that_becomes_too_long_is_refused_and_one_that_is_wrong_says_why(
    engine: XllamaEngine,
) -> None:
    with pytest.raises(EngineError, match="could not be rendered"):
        await engine.render([{"role": "tool", "content": "x" * 100_000}])
    with pytest.raises(TemplateError, match="Missing 'role'"):
        await engine.render([{"content": "x"}])

    assert await engine.render(HELLO)


@pytest.mark.torture
async def test_a_chat_that_takes_too_long_is_cut_off(engine: XllamaEngine) -> None:
    spec = replace(engine._renderer.spec, target="tests.fakes.worker_handlers:hostile_rendering", cpu=0.2)
    await engine._renderer.close()
    engine._renderer = WorkerPool(spec, poison=PoisonList())
    with pytest.raises(EngineError, match="could not be rendered"):
        await engine.render([{"role": "user", "content": "spin"}])

    assert await engine.render(HELLO)


@pytest.mark.parametrize("blank", ["", " "])
def test_parts_that_go_on_get_no_blank_of_their_own(tmp_path: Path, blank: str) -> None:
    """One stands before a text, and behind a special token, where the vocabulary is of SentencePiece."""
    model = write_random_model(tmp_path / "m.gguf", sentence_piece=bool(blank))
    split, pieces = splitting(str(engine_library()), str(model)), read_vocabulary(model).pieces
    texts = [("<|im_start|>the", True), ("the", False), (" th", False), ("e<|im_end|>", False)]
    texts += [("<|im_end|>", True), ("the", False), ("\ufdd3é", False)]
    found: list[list[int]] = json.loads(split(json.dumps((texts, False)).encode()))

    assert [b"".join(pieces[each] for each in ids).decode() for ids in found] == [
        f"<|im_start|>{blank}the",
        "the",
        " th",
        "e<|im_end|>",
        "<|im_end|>",
        f"{blank}the",
        "\ufdd3é",
    ]
