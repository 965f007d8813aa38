"""The engine's compiler judges constraints in processes that end with the call, or at their limits."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.tgi_local.adapters import compile_probe
from services.tgi_local.adapters.compiler import ProcessCompiler, engine_library
from services.tgi_local.core.grammar import Constraint, JsonConstraint, RegexConstraint
from services.tgi_local.errors import InvalidRequest, Overloaded
from tests.fakes.waiting import until

KEPT = JsonConstraint({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
LIBRARY = engine_library()
INTERSECTION = {"allOf": [{"type": "string", "pattern": f"a.{{{n}}}b"} for n in range(30)]}


ENDLESS = """import os, pathlib, time
pathlib.Path({note!r}).write_text(str(os.getpid()))
time.sleep(600)
"""


LONG = {"type": "object", "properties": {f"p{number}": {} for number in range(10_000)}}
"""Takes seconds and little memory."""
CLOSED = {"additionalProperties": False}


def schema(inner: Any, **beside: Any) -> Constraint:
    return JsonConstraint({"type": "object", "properties": {"a": inner}, "required": ["a"], **beside})


async def refusal(compiler: ProcessCompiler, constraint: Constraint) -> str:
    with pytest.raises(InvalidRequest) as refused:
        await compiler.check(constraint)
    return str(refused.value)


def program(directory: Path, text: str) -> Path:
    """Write a program to run in place of the probe."""
    path = directory / "program.py"
    path.write_text(text)
    return path


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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
async def test_what_the_engine_compiles_passes(constraint: Constraint) -> None:
    await ProcessCompiler(LIBRARY).check(constraint)


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
async def test_what_the_engine_would_ignore_is_refused(inner: dict[str, Any]) -> None:
    assert "grammar is not valid" in await refusal(ProcessCompiler(LIBRARY), schema(inner))


@pytest.mark.parametrize("pattern", ["a)|(?:.*", "(?=a)b", r"(a)\1", "("])
async def test_patterns_that_nobody_judged_before_are_refused_here_too(pattern: str) -> None:
    assert "grammar is not valid" in await refusal(ProcessCompiler(LIBRARY), RegexConstraint(pattern))


@pytest.mark.parametrize(
    "inner",
    [
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(600)}},
        {"enum": [{"n": n} for n in range(3_000)]},
    ],
)
async def test_what_compiles_and_is_too_complex_to_follow_is_refused(inner: dict[str, Any]) -> None:
    late = schema({"type": "object", "properties": {"b": inner}, "required": ["b"]} | CLOSED, **CLOSED)

    assert "grammar is not valid" in await refusal(ProcessCompiler(LIBRARY), late)


@pytest.mark.parametrize("inner", [{"type": "array", "maxItems": 1_000_000_000}, INTERSECTION])
async def test_a_compilation_without_end_reaches_its_limits_and_the_next_is_served(inner: Any) -> None:
    compiler = ProcessCompiler(LIBRARY)

    assert "too much memory or time" in await refusal(compiler, schema(inner))
    await compiler.check(KEPT)


MEASURED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdin=sys.stdin.buffer, stderr=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a program and tells its status and memory. Apart from the tests, whose own memory would be counted."""


@pytest.mark.parametrize("inner", [{"type": "array", "maxItems": 1_000_000_000}, INTERSECTION, LONG])
def test_memory_and_time_of_a_compilation_are_bounded(inner: Any) -> None:
    grammar = schema(inner).grammar.encode()
    command = [sys.executable, "-I", "-S", compile_probe.__file__, str(LIBRARY)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURED, *command],
        input=b"%d\n%b" % (len(grammar), grammar),
        stdout=subprocess.PIPE,
        check=True,
    )
    status, kilobytes = map(int, done.stdout.split())

    assert status < 0
    assert kilobytes * 1024 < compile_probe.EXTRA_BYTES + 64 * 1024 * 1024


async def test_a_verdict_is_remembered_whatever_it_is() -> None:
    compiler = ProcessCompiler(LIBRARY)
    for _ in range(3):
        await compiler.check(KEPT)
        await refusal(compiler, schema({"not": {}}))

    assert compiler.started == 2


async def test_the_same_constraint_at_once_is_compiled_once() -> None:
    compiler = ProcessCompiler(LIBRARY)
    await asyncio.gather(*(compiler.check(KEPT) for _ in range(8)))

    assert compiler.started == 1


async def test_cancelling_a_call_kills_its_compilation_and_leaves_the_place_to_others(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    endless = program(tmp_path, ENDLESS.format(note=str(note)))
    compiler = ProcessCompiler(LIBRARY, endless)
    calls = [asyncio.create_task(compiler.check(RegexConstraint(f"a{n}"))) for n in range(3)]
    await until(lambda: compiler.started == 2 and note.exists() and note.read_text() != "")
    pid = int(note.read_text())
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert not running(pid)
    program(tmp_path, "")
    await compiler.check(RegexConstraint("a"))


async def test_a_cancelled_compilation_leaves_no_verdict(tmp_path: Path) -> None:
    compiler = ProcessCompiler(LIBRARY, program(tmp_path, "import time\ntime.sleep(600)\n"))
    first = asyncio.create_task(compiler.check(KEPT))
    second = asyncio.create_task(compiler.check(KEPT))
    await until(lambda: compiler.started == 1)
    program(tmp_path, "")
    first.cancel()
    await second

    assert first.cancelled()
    assert compiler.started == 2


def test_a_limit_of_less_than_a_second_ends_a_process_that_computes_longer() -> None:
    burns = (
        f"import runpy, sys, time; probe = runpy.run_path({compile_probe.__file__!r}, run_name='probe')\n"
        "probe['_limit'](0.1)\n"
        "while time.process_time() < 0.8: pass"
    )

    assert subprocess.run([sys.executable, "-I", "-c", burns], check=False).returncode == -signal.SIGPROF


@pytest.mark.parametrize(
    "end", ["raise SystemExit(1)", "raise SystemExit(3)", "import os\nos.abort()", "1/0"]
)
async def test_a_process_that_ends_in_any_other_way_has_not_judged(tmp_path: Path, end: str) -> None:
    assert "too much" in await refusal(ProcessCompiler(LIBRARY, program(tmp_path, end)), KEPT)


async def test_without_the_engines_compiler_no_constraint_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty.so").write_bytes(b"")

    assert "not supported" in await refusal(ProcessCompiler(tmp_path / "empty.so"), KEPT)
    assert "not supported" in await refusal(ProcessCompiler(tmp_path / "missing.so"), KEPT)


async def test_a_process_that_cannot_start_is_an_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(Overloaded):
        await ProcessCompiler(LIBRARY).check(KEPT)


@pytest.mark.parametrize("output", [b"", b"{", b'{"a": 1', b'{"a": 12}', b'{"a'])
async def test_a_beginning_of_what_is_allowed_is_kept(output: bytes) -> None:
    await ProcessCompiler(LIBRARY).check_beginning(KEPT, output)


@pytest.mark.parametrize("output", [b"x", b'{"b', b'{"a": "', b'{"a": 1} and more', "é".encode()[:1]])
async def test_output_that_left_the_constraint_is_found(output: bytes) -> None:
    with pytest.raises(InvalidRequest, match="grammar is not supported"):
        await ProcessCompiler(LIBRARY).check_beginning(KEPT, output)
