"""The engine's compiler judges constraints in worker processes: what ends one costs its own call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.tgi_local.adapters.compiler import EXTRA_BYTES, ProcessCompiler, engine_library
from services.tgi_local.core.grammar import Constraint, JsonConstraint, RegexConstraint
from services.tgi_local.errors import InvalidRequest, Overloaded
from tests.fakes.gguf_model import write_random_model
from tests.fakes.waiting import until

KEPT = JsonConstraint({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
LIBRARY = engine_library()
INTERSECTION = {"allOf": [{"type": "string", "pattern": f"a.{{{n}}}b"} for n in range(30)]}


HOSTILE = "tests.fakes.worker_handlers:hostile_compiling"
LONG = {"type": "object", "properties": {f"p{number}": {} for number in range(10_000)}}
"""Takes seconds and little memory."""
CLOSED = {"additionalProperties": False}


def schema(inner: Any, **beside: Any) -> Constraint:
    return JsonConstraint({"type": "object", "properties": {"a": inner}, "required": ["a"], **beside})


async def refusal(compiler: ProcessCompiler, constraint: Constraint) -> str:
    with pytest.raises(InvalidRequest) as refused:
        await compiler.check(constraint)
    return str(refused.value)


@pytest.fixture
async def compiler(tmp_path: Path) -> AsyncIterator[ProcessCompiler]:
    made = ProcessCompiler(LIBRARY, write_random_model(tmp_path / "random.gguf"))
    yield made
    await made.close()


@pytest.fixture
async def hostile() -> AsyncIterator[ProcessCompiler]:
    made = ProcessCompiler(LIBRARY, target=HOSTILE)
    yield made
    await made.close()


def pids(compiler: ProcessCompiler) -> set[int]:
    return {worker.pid for worker in compiler._pool._live}


@pytest.mark.parametrize(
    "constraint",
    [
        KEPT,
        RegexConstraint("[0-9]{3}-[a-c]{2}"),
        RegexConstraint("^a/b\n\tc[/x]\\/$"),
        schema({"type": "array", "items": {"type": "integer"}, "maxItems": 5_000}),
        schema({"enum": [f"v{n}" for n in range(1_000)]}),
        schema({"type": "string", "pattern": "^[a-z@]{2,8}$", "format": "email"}),
    ],
)
async def test_what_the_engine_compiles_passes(compiler: ProcessCompiler, constraint: Constraint) -> None:
    await compiler.check(constraint)


@pytest.mark.parametrize(
    "inner",
    [
        {"not": {"type": "string"}},
        {"type": "array", "contains": {"type": "integer"}},
        {"type": "array", "uniqueItems": True},
        {"if": {"type": "integer"}, "then": {"minimum": 3}},
        {"type": "object", "dependentSchemas": {"a": {"type": "object"}}},
        {"type": "object", "propertyNames": {"pattern": "^a"}},
        {"type": "string", "format": "idn-email"},
        {"oneOf": [{"type": "number"}, {"type": "integer"}]},
        {"type": "array", "minItems": 3, "maxItems": 1},
        {"type": "string", "pattern": "^a$|b\\B"},
    ],
)
async def test_what_the_engine_would_ignore_is_refused(
    compiler: ProcessCompiler, inner: dict[str, Any]
) -> None:
    assert "grammar is not valid" in await refusal(compiler, schema(inner))


@pytest.mark.parametrize("pattern", ["a)|(?:.*", "(?=a)b", r"(a)\1", "("])
async def test_patterns_that_nobody_judged_before_are_refused_here_too(
    compiler: ProcessCompiler, pattern: str
) -> None:
    assert "grammar is not valid" in await refusal(compiler, RegexConstraint(pattern))


@pytest.mark.parametrize(
    "inner",
    [
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(600)}},
        {"enum": [{"n": n} for n in range(3_000)]},
    ],
)
async def test_what_compiles_and_is_too_complex_to_follow_is_refused(
    compiler: ProcessCompiler, inner: dict[str, Any]
) -> None:
    late = schema({"type": "object", "properties": {"b": inner}, "required": ["b"]} | CLOSED, **CLOSED)

    assert "grammar is not valid" in await refusal(compiler, late)


@pytest.mark.parametrize("inner", [{"type": "array", "maxItems": 1_000_000_000}, INTERSECTION])
async def test_a_compilation_without_end_reaches_its_limits_and_the_next_is_served(
    compiler: ProcessCompiler, inner: Any
) -> None:
    assert "too much memory or time" in await refusal(compiler, schema(inner))
    await compiler.check(KEPT)


@pytest.mark.parametrize(
    "inner",
    [
        {"type": "array", "maxItems": 1_000_000_000},
        pytest.param(INTERSECTION, marks=pytest.mark.torture),
        pytest.param(LONG, marks=pytest.mark.torture),
    ],
)
async def test_what_ended_two_processes_is_compiled_no_more(compiler: ProcessCompiler, inner: Any) -> None:
    for _ in range(2):
        assert "too much memory or time" in await refusal(compiler, schema(inner))
    started = compiler._pool.started

    assert "again and again" in await refusal(compiler, schema(inner))
    assert compiler._pool.started <= started + 1


@pytest.mark.torture
async def test_what_many_compilations_leave_behind_is_no_memory(compiler: ProcessCompiler) -> None:
    sizes = []
    for number in range(200):
        await compiler.check(schema({"enum": [f"{number} {n}" for n in range(500)]}))
        if number in {20, 199}:
            sizes.append(sum(psutil.Process(pid).memory_info().rss for pid in pids(compiler)))

    assert sizes[1] - sizes[0] < EXTRA_BYTES / 8


async def test_a_verdict_is_remembered_whatever_it_is(compiler: ProcessCompiler) -> None:
    for _ in range(3):
        await compiler.check(KEPT)
        await refusal(compiler, schema({"not": {}}))

    assert compiler.compiled == 2


async def test_the_same_constraint_at_once_is_compiled_once(compiler: ProcessCompiler) -> None:
    await asyncio.gather(*(compiler.check(KEPT) for _ in range(8)))

    assert compiler.compiled == 1


async def test_cancelling_a_call_ends_its_compilation_and_leaves_the_place_to_others(
    hostile: ProcessCompiler,
) -> None:
    await hostile.check(KEPT)
    first, second = (asyncio.create_task(hostile.check(RegexConstraint(f"slow{n}"))) for n in range(2))
    await until(lambda: len(pids(hostile)) == 2 and not hostile._pool._idle)
    await asyncio.sleep(0.2)  # until they have got it: who has nothing yet is not ended
    before = pids(hostile)
    for call in (first, second):
        call.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await hostile.check(RegexConstraint("a"))

    await until(lambda: not any(map(psutil.pid_exists, before)))


async def test_a_cancelled_compilation_leaves_no_verdict(hostile: ProcessCompiler) -> None:
    first = asyncio.create_task(hostile.check(RegexConstraint("slow")))
    second = asyncio.create_task(hostile.check(RegexConstraint("slow")))
    await until(lambda: hostile.compiled == 1)
    first.cancel()
    await until(lambda: hostile.compiled == 2)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)

    assert first.cancelled()


@pytest.mark.parametrize("end", ["abort", "leave", "babble"])
async def test_a_process_that_ends_in_any_other_way_has_not_judged(
    hostile: ProcessCompiler, end: str
) -> None:
    assert "too much" in await refusal(hostile, RegexConstraint(end))
    await hostile.check(KEPT)


async def test_without_the_engines_compiler_no_constraint_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty.so").write_bytes(b"")

    for name in ("empty.so", "missing.so"):
        compiler = ProcessCompiler(tmp_path / name)
        assert "not supported" in await refusal(compiler, KEPT)
        await compiler.close()
    assert "not supported" in await refusal(ProcessCompiler(None), KEPT)


async def test_a_process_that_cannot_start_is_an_overload(
    compiler: ProcessCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(Overloaded):
        await compiler.check(KEPT)


@pytest.mark.parametrize("output", [b"", b"{", b'{"a": 1', b'{"a": 12}', b'{"a'])
async def test_a_beginning_of_what_is_allowed_is_kept(compiler: ProcessCompiler, output: bytes) -> None:
    await compiler.check_beginning(KEPT, output)


@pytest.mark.parametrize("output", [b"x", b'{"b', b'{"a": "', b'{"a": 1} and more', "é".encode()[:1]])
async def test_output_that_left_the_constraint_is_found(compiler: ProcessCompiler, output: bytes) -> None:
    with pytest.raises(InvalidRequest, match="grammar is not supported"):
        await compiler.check_beginning(KEPT, output)


async def test_a_constraint_is_judged_by_the_words_of_the_model(
    compiler: ProcessCompiler, tmp_path: Path
) -> None:
    """A model that has none it can read has no constraints either."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    wordless = ProcessCompiler(LIBRARY, broken)
    try:
        assert "not supported" in await refusal(wordless, KEPT)
        await compiler.check(KEPT)
    finally:
        await wordless.close()
