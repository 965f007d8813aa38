"""Native parsers run in processes: whatever they are given costs one call, and nobody else's."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest

from services.access.adapters.policy_process import PolicyProcess
from services.access.core.policy_text import outline
from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.worker_process import Blame
from services.chassis.runtime.workers import WorkerError
from services.tgi_local.adapters import text_workers
from services.tgi_local.adapters.compiler import ProcessCompiler, engine_library
from services.tgi_local.config import DEMO_MODEL
from services.tgi_local.core.grammar import RegexConstraint, constraint_of
from services.tgi_local.errors import TgiError
from services.tool.drivers.builtin.workers import Workers
from services.tool.errors import ToolFailed
from tests.fuzz.chats import CHATS
from tests.fuzz.constraints import CONSTRAINTS
from tests.fuzz.long_run import SECONDS, seed_chosen
from tests.fuzz.mutating import mutated
from tests.fuzz.texts import TEXTS

LIBRARY: Final = engine_library()
HARMLESS: Final = "permit(principal, action, resource);"
MOST: Final = 20_000

pytestmark = [pytest.mark.torture, pytest.mark.timeout(300)]


def mutations(corpus: Sequence[bytes]) -> Iterator[str]:
    """Yield texts for as long as a target is fuzzed."""
    seed = seed_chosen()
    print(f"AIOS_FUZZ_SEED={seed}")  # noqa: T201 - shown with a failure
    random_, ends = random.Random(seed), time.monotonic() + SECONDS  # noqa: S311 - repeatable, no secret
    while time.monotonic() < ends:
        yield mutated(random_, random_.choice(corpus), corpus, MOST).decode(errors="replace")


async def test_no_policy_that_its_outline_lets_pass_ends_the_process_that_judges_it() -> None:
    ended: list[str] = []
    judge = PolicyProcess(told=lambda _name, cause: ended.append(cause))
    try:
        for text in mutations(TEXTS["policy_outline"].corpus()):
            with contextlib.suppress(KernelError):
                outline(text)
                await judge.findings(text)
            assert not ended, text
        assert await judge.findings(HARMLESS) == []
    finally:
        await judge.close()


async def test_no_constraint_that_is_let_pass_keeps_the_compiler_from_the_next() -> None:
    compiler = ProcessCompiler(LIBRARY)
    corpus = CONSTRAINTS["json_schema"].corpus() + CONSTRAINTS["regex"].corpus()
    try:
        for text in mutations(corpus):
            kind = "json" if text.lstrip().startswith("{") else "regex"
            try:
                constraint = constraint_of({"type": kind, "value": text})
                if constraint is not None:
                    await compiler.check(constraint)
            except TgiError:
                continue
        await compiler.check(RegexConstraint("[a-z]+"))
    finally:
        await compiler.close()


async def test_no_text_ends_the_process_that_splits_it() -> None:
    ended: list[str] = []
    told: Blame = lambda _name, cause: ended.append(cause)  # noqa: E731 - one line
    pool = await asyncio.to_thread(text_workers.splitting_pool, DEMO_MODEL, told)
    corpus = CHATS["markers"].corpus() + CHATS["template_parts"].corpus()
    try:
        for text in mutations(corpus):
            with contextlib.suppress(WorkerError):
                ids = json.loads(await pool.call(json.dumps([[[text, True], [text, False]], True]).encode()))
                assert len(ids) == 2
            assert not ended, text
        assert json.loads(await pool.call(b'[[["hello",false]],false]'))[0]
    finally:
        await pool.close()


async def test_no_text_ends_the_process_that_renders_it(tmp_path: Path) -> None:
    ended: list[str] = []
    told: Blame = lambda _name, cause: ended.append(cause)  # noqa: E731 - one line
    pool = await asyncio.to_thread(text_workers.rendering_pool, DEMO_MODEL, tmp_path, told)
    corpus = CHATS["markers"].corpus() + CHATS["template_parts"].corpus()
    try:
        for text in mutations(corpus):
            chat = [{"role": role, "content": text} for role in ("system", "user", "tool")]
            with contextlib.suppress(WorkerError):
                assert await pool.call(json.dumps(chat).encode())
            assert not ended, text
    finally:
        await pool.close()


async def test_no_question_about_a_file_keeps_the_next_from_its_answer() -> None:
    processes = Workers()
    kinds = {kind: TEXTS[f"{kind}_question"].corpus() for kind in ("json", "grep", "csv")}
    texts = mutations([each for corpus in kinds.values() for each in corpus])
    try:
        for number, (kind, text) in enumerate(zip(cycle(kinds), texts, strict=False)):
            question, _, file = text.partition("\n")
            scope = Scope("acme", f"a{number}")
            with contextlib.suppress(ToolFailed):
                await asked_of(processes, scope, kind, question, file.encode())
        harmless = {"json": ("@", b"1"), "grep": ("a", b"a"), "csv": ("SELECT 1", b"a\n1")}
        for kind, (question, data) in harmless.items():
            assert await asked_of(processes, Scope("acme", "planner"), kind, question, data)
    finally:
        await processes.close()


async def asked_of(processes: Workers, scope: Scope, kind: str, question: str, data: bytes) -> object:
    if kind == "csv":
        asked = {"tables": ["t"], "sql": question, "delimiter": ",", "limit": 100}
        return await processes.query(scope, asked, [data])
    more = {"query": question} if kind == "json" else {"pattern": question, "ignore_case": True, "limit": 9}
    return await processes.read(scope, {"kind": kind, **more}, [data])
