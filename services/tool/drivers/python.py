"""Runs tools that are a function of Python: in the sandbox, each call in an interpreter of its own."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from services.chassis.auth.identity import Scope
from services.chassis.json_text import read_json
from services.tool.core.sandboxing import Limits, SandboxJob
from services.tool.core.schemas import MAX_JSON_BYTES
from services.tool.drivers.programs import SPARE_SECONDS, Telling, check, last_words
from services.tool.errors import CapabilityMissing, SandboxUnavailable, ToolFailed
from services.tool.model import PythonCode, Tool, ToolOutcome, UnreadableResult
from services.tool.ports import Job, Sandbox

FUNCTION: Final = Path(__file__).with_name("python_function.py").read_text()
_LARGE: Final = 16_384
_ANSWER_ROOM: Final = 1024
"""What an answer is longer than its result."""


class PythonDriver:
    """Runs a tool's function with its arguments by name. It has no files, no network and no secrets."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def prepare(self, _scope: Scope, tool: Tool) -> Tool:
        """Return the tool as it is: what it can do is pure, so no claim of its effect is too low.

        Nothing is compiled here: sources can crash a compiler. Raises CapabilityMissing without a source.
        """
        _code(tool)
        return tool

    def problem(self, _scope: Scope, _tool: Tool) -> str:
        """Return SANDBOX_UNAVAILABLE while nothing can be run."""
        return SandboxUnavailable.reason if self._sandbox.problem else ""

    async def run(self, job: Job) -> ToolOutcome:
        """Run the function. Raises ToolFailed, ToolTimeout, SandboxUnavailable, SandboxLost."""
        code = _code(job.tool)
        limits = Limits(
            memory_bytes=code.memory_bytes,
            scratch_bytes=code.scratch_bytes,
            cpu_seconds=job.seconds if code.cpu_seconds is None else min(code.cpu_seconds, job.seconds),
            wall_seconds=job.seconds + SPARE_SECONDS,
            answer_bytes=MAX_JSON_BYTES + _ANSWER_ROOM,
            processes=1,
        )
        told = {"source": code.source, "function": code.function, "arguments": job.arguments}
        work = SandboxJob(argv=(), python=FUNCTION, stdin=json.dumps(told).encode(), limits=limits)
        end = await self._sandbox.run(work, Telling(job.tell).heard)
        check(end, limits)
        if not end.answer:
            raise last_words(end)
        large = len(end.answer) > _LARGE
        return await asyncio.to_thread(_outcome, end.answer) if large else _outcome(end.answer)


def _code(tool: Tool) -> PythonCode:
    if tool.driver.python is None:
        raise CapabilityMissing("the tool has no source")
    return tool.driver.python


def _outcome(answer: bytes) -> ToolOutcome:
    """Read an answer, which may be anything: the tool could write there too. Raises ToolFailed."""
    try:
        told: Any = read_json(answer.decode(), once=False)
    except ValueError as error:
        return ToolOutcome(value=UnreadableResult(f"the answer cannot be read: {error}"))
    match told:
        case {"value": value}:
            return ToolOutcome(value=value)
        case {"error": str(why)}:
            raise ToolFailed(why[:2000])
        case {"unreadable": str(why)}:
            return ToolOutcome(value=UnreadableResult(why[:2000]))
    return ToolOutcome(value=UnreadableResult("the answer is none"))
