"""The committed demo model, judged through the engine that serves it."""

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.tgi_local.demo_model.chat import Call, Param, Tool, parse_calls, render, system_content
from services.tgi_local.demo_model.evaluate import (
    EVAL_SET,
    MODEL,
    Engine,
    Row,
    generate,
    judge,
    load_rows,
    tokenize,
)

SEEN_ROWS = 40
TEXTS = (
    '<|im_start|>assistant\n<tool_call>{"name": "clock", "arguments": {}}</tool_call><|im_end|>\n',
    "Remember that zorbat_7 is “déjà vu” — 100 % naïve 漢字 🙂\n\n\ttabs  and  spaces ",
    "notes/2031-04-05.txt: a, b; (c) 'd' `e`",
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    served = Engine(MODEL, slots=8)
    yield served
    served.close()


def seen_rows() -> list[Row]:
    """Rows in distribution, spread evenly over the tasks."""
    rows = [row for row in load_rows() if row["set"] in {"plain", "seen"}]
    return [rows[i * len(rows) // SEEN_ROWS] for i in range(SEEN_ROWS)]


def test_at_least_seven_in_ten_rows_in_distribution_are_right(engine: Engine) -> None:
    rows = seen_rows()

    results = asyncio.run(judge(engine, rows))

    wrong = [(row["kind"], said) for row, (_, _, said) in zip(rows, results, strict=True) if said]
    # The card reports 82 to 86 % on 650 rows; these forty are fewer and harder. Guards against a broken file.
    assert len(wrong) <= SEEN_ROWS * 3 // 10, wrong


@pytest.mark.parametrize("text", TEXTS)
def test_the_tokenizer_gives_every_text_back(engine: Engine, text: str) -> None:
    ids, back = asyncio.run(tokenize(engine, text))

    assert back == text
    assert len(ids) < len(text.encode())


def test_special_tokens_are_single_ids(engine: Engine) -> None:
    for token in ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>"):
        ids, _ = asyncio.run(tokenize(engine, token))

        assert len(ids) == 1, token


def test_digits_are_single_tokens_and_words_keep_their_tokens_after_a_space(engine: Engine) -> None:
    digits, _ = asyncio.run(tokenize(engine, "1234567"))
    bare, _ = asyncio.run(tokenize(engine, "zorbatin"))
    after_space, _ = asyncio.run(tokenize(engine, "x zorbatin"))
    after_quote, _ = asyncio.run(tokenize(engine, 'x "zorbatin"'))

    assert len(digits) == 7
    assert after_space[-len(bare) :] == bare
    assert after_quote[-len(bare) - 1 : -1] == bare


def test_the_stored_chat_template_renders_what_training_rendered(engine: Engine) -> None:
    messages = [
        {"role": "system", "content": "You are a helpful agent."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! How can I help?"},
        {"role": "tool", "content": "ok"},
    ]

    rendered = asyncio.run(engine.apply_template(messages))

    assert rendered == render(messages, generation_prompt=True)


def test_an_answer_ends_at_the_end_of_turn(engine: Engine) -> None:
    async def ask() -> str:
        async with engine.session() as session:
            return await generate(
                session, render([{"role": "user", "content": "Hello"}], generation_prompt=True)
            )

    text = asyncio.run(ask())

    assert text == "Hello! How can I help?"


def test_the_tool_list_is_rendered_as_the_model_was_trained_on_it() -> None:
    tool = Tool("recall", (Param("key"), Param("agent", optional=True)), "Read a note.")

    content = system_content("You are a planner.", [tool])

    assert content == (
        "You are a planner.\n\n# Tools\nrecall(key: string, agent?: string): Read a note.\n"
        'Reply with <tool_call>{"name": ..., "arguments": {...}}</tool_call> to call a tool; '
        "several calls may follow one another."
    )


def test_calls_survive_rendering_and_parsing() -> None:
    calls = [Call("clock", {}), Call("remember", {"key": "a", "value": 'says "hi"'})]

    parsed = parse_calls("\n".join(map(str, calls)))

    assert parsed == [{"name": call.name, "arguments": call.arguments} for call in calls]
    assert str(calls[0]) == '<tool_call>{"name": "clock", "arguments": {}}</tool_call>'


def test_the_files_are_small_and_of_the_right_kind() -> None:
    magic, version = struct.unpack("<4sI", Path(MODEL).read_bytes()[:8])

    assert (magic, version) == (b"GGUF", 3)
    assert MODEL.stat().st_size <= 5_000_000
    assert EVAL_SET.stat().st_size <= 300_000
