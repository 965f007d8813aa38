"""Constraints at the engine's own door: what unrolls to too much is refused, and holds nobody up."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from gateway.inference.core.answer_form import calls_or_answer
from gateway.inference.core.tool_schemas import forced_call_constraint, within_engines
from services.chassis.chat import ToolDefinition
from services.tgi_local.adapters.compiler import ProcessCompiler, engine_library
from services.tgi_local.core.grammar import constraint_of
from services.tgi_local.errors import InvalidRequest
from tests.fakes.gguf_model import write_random_model
from tests.fakes.tgi_local import http, tgi_local
from tests.fakes.tool_schemas import WRITTEN
from tests.fakes.waiting import until

MANY = {
    "type": "array",
    "items": {"type": "object", "properties": {"b": {"type": "string"}}},
    "maxItems": 1_000_000_000,
}
MILLION = {"type": "array", "items": {"type": "array", "maxItems": 1_000}, "maxItems": 1_000}
LIBRARY = engine_library()
HOSTILE = "tests.fakes.worker_handlers:hostile_compiling"
SELF = json.dumps(
    {
        "$defs": {"node": {"properties": {"a": {"type": "string"}, "in": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
        "required": ["a"],
        "additionalProperties": True,
    }
)
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


@pytest.fixture
async def compiler(model: Path) -> AsyncIterator[ProcessCompiler]:
    made = ProcessCompiler(LIBRARY, model)
    yield made
    await made.close()


@pytest.fixture
async def web(model: Path, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with tgi_local(model, tmp_path / "data") as server, http(server) as session:
        yield session


def asking(grammar: Any, tokens: int = 8) -> dict[str, Any]:
    return {"inputs": "hello", "parameters": {"max_new_tokens": tokens, "grammar": grammar}}


def schema(inner: Any, **beside: Any) -> dict[str, Any]:
    value = {"type": "object", "properties": {"a": inner}, "required": ["a"], **beside}
    return {"type": "json", "value": value}


async def generate(web: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with web.post("/generate", json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    "grammar",
    [
        schema(MANY),
        schema({"$ref": "#/$defs/m"}, **{"$defs": {"m": MANY}}),
        schema({"anyOf": [{"type": "string"}, MANY]}),
        schema({"allOf": [{"pattern": f"a.{{{n}}}b"} for n in range(30)]}),
        schema(MILLION),
        schema({"type": "array", "maxItems": 1e308}),
        {"type": "json", "value": json.dumps(schema(MANY)["value"])},
        {"type": "json_schema", "value": {"schema": schema(MANY)["value"]}},
        {"type": "regex", "value": "(([a-z]{1000}){1000}){1000}"},
        {"type": "regex", "value": "a)|(?:.*"},
    ],
)
async def test_a_small_constraint_that_stands_for_a_large_one_is_refused(
    web: aiohttp.ClientSession, grammar: dict[str, Any]
) -> None:
    before = psutil.Process().memory_info().rss
    status, answer = await generate(web, asking(grammar))

    assert (status, answer["error_type"]) == (422, "validation")
    assert "grammar is not valid" in answer["error"]
    assert psutil.Process().memory_info().rss - before < 64 * MEGABYTE
    assert (await generate(web, {"inputs": "hello"} | {"parameters": {"max_new_tokens": 2}}))[0] == 200


@pytest.mark.parametrize(
    "inner",
    [
        {"not": {"type": "string"}},
        {"type": "array", "contains": {"type": "integer"}},
        {"type": "string", "format": "no-such-format"},
        {
            "type": "object",
            "properties": {"b": {"enum": [{"n": n} for n in range(3_000)]}},
            "required": ["b"],
        },
    ],
)
async def test_what_the_engine_would_let_go_of_is_refused(web: aiohttp.ClientSession, inner: Any) -> None:
    status, answer = await generate(web, asking(schema(inner)))

    assert (status, answer["error_type"]) == (422, "validation")
    assert "grammar is not valid" in answer["error"]


async def test_a_stream_is_refused_by_an_event_before_any_token(web: aiohttp.ClientSession) -> None:
    async with web.post("/generate_stream", json=asking(schema({"not": {}}))) as response:
        events = [json.loads(line[5:]) async for line in response.content if line.startswith(b"data:")]

    assert [event["error_type"] for event in events] == ["validation"]


async def test_a_constraint_within_its_bounds_binds_the_output(web: aiohttp.ClientSession) -> None:
    grammar = schema({"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2_000})
    status, answer = await generate(web, asking(grammar, 20))

    assert status == 200
    assert answer["generated_text"].startswith(('{"a": [', '{"'))


async def test_output_that_left_its_constraint_is_not_passed_off_as_cut_short(
    web: aiohttp.ClientSession,
) -> None:
    tangled = "((([a-z ]{0,20}[b-y]){0,20}[a-z]){0,10}[a-e]){0,1}"  # too many ways to be at the same place
    body = asking({"type": "regex", "value": tangled}, 30)
    body["parameters"] |= {"temperature": 1.0, "seed": 3}
    status, answer = await generate(web, body)

    assert (status, answer["error_type"]) == (422, "validation")
    assert "too complex" in answer["error"]


async def test_output_that_keeps_its_constraint_may_be_cut_short(web: aiohttp.ClientSession) -> None:
    status, answer = await generate(web, asking({"type": "regex", "value": "[a-z]{50,400}"}, 40))

    assert status == 200
    assert answer["generated_text"].isalpha()


def compiling() -> set[int]:
    """Return this process's workers that compile; those of other kinds come and go beside them."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(HOSTILE in word for word in child.cmdline()):
                found.add(child.pid)
    return found


async def test_calls_of_tools_as_others_write_them_can_be_forced(compiler: ProcessCompiler) -> None:
    tools = [ToolDefinition(each.name, "", json.dumps(each.schema)) for each in WRITTEN]
    forced = constraint_of({"type": "json", "value": within_engines(forced_call_constraint(tools)).text})
    assert forced is not None

    await compiler.check(forced)

    for written in WRITTEN:
        call = json.dumps({"tool_calls": [{"name": written.name, "arguments": written.good}]})
        assert forced.accepts(call)
        await compiler.check_beginning(forced, call[:-1].encode())


@pytest.mark.parametrize("form", ['{"properties": {"a": {"type": "string"}}, "required": ["a"]}', "{}", SELF])
async def test_the_engine_keeps_a_choice_between_calls_and_an_answer_in_its_form(
    compiler: ProcessCompiler, form: str
) -> None:
    tools = [ToolDefinition(each.name, "", json.dumps(each.schema)) for each in WRITTEN]
    whole, kept = calls_or_answer(tools, form)
    either = constraint_of({"type": "json", "value": kept.text})
    assert either is not None

    await compiler.check(either)

    called = json.dumps({"tool_calls": [{"name": WRITTEN[0].name, "arguments": WRITTEN[0].good}]})
    for output in (called, '{"a": "x"}'):
        assert either.accepts(output)
        await compiler.check_beginning(either, output[:-1].encode())
    if form != "{}":
        with pytest.raises(InvalidRequest):
            await compiler.check_beginning(either, b'{"tool_calls": [{"name": "other')
    assert len(whole.text) >= len(kept.text)


async def test_a_compilation_under_way_is_stopped_by_its_caller_and_others_are_answered_meanwhile(
    model: Path, tmp_path: Path
) -> None:
    compiler = ProcessCompiler(LIBRARY, target=HOSTILE)
    async with (
        tgi_local(model, tmp_path / "data", compiler=compiler, slots=1) as server,
        http(server) as web,
    ):
        held = asyncio.create_task(generate(web, asking({"type": "regex", "value": "slow"})))
        await until(lambda: bool(compiling()))
        mine = compiling()
        statuses = [
            (await generate(web, asking({"type": "regex", "value": "[ab]{3}"})))[0],
            (await generate(web, {"inputs": "hello", "parameters": {"max_new_tokens": 2}}))[0],
        ]
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        await until(lambda: not mine <= compiling())

    assert mine
    assert statuses == [200, 200]


async def test_the_same_constraint_is_compiled_apart_once(
    model: Path, tmp_path: Path, compiler: ProcessCompiler
) -> None:
    grammar = schema({"enum": [1]}, additionalProperties=False)
    async with tgi_local(model, tmp_path / "data", compiler=compiler) as server, http(server) as web:
        answers = [await generate(web, asking(grammar, 60)) for _ in range(3)]

    assert [answer["generated_text"] for _, answer in answers] == ['{"a": 1}'] * 3
    assert compiler.compiled == 1
