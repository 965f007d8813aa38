"""Runs the tools that a model calls, each within its time, and tells what came of it."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, runtime_checkable

from aios import errors
from aios._containment import describe
from aios.agent.results import ToolRun
from aios.syscalls import RunnableTool, attempt, text_of_error
from aios.types.llm import ToolCall
from aios.types.runs import RunContext

AT_ONCE: Final = 16
"""Most tools of one answer that run at the same time; more of them take turns."""

_log = logging.getLogger("aios.agent")


@runtime_checkable
class TakesContext(Protocol):
    """A tool that may know of the run."""

    async def run_within(self, context: RunContext[Any], arguments: Mapping[str, Any]) -> Any:
        """Run it. Raises whatever goes wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call that has ended."""

    number: int
    """Which of the answer's calls."""

    run: ToolRun
    """What the model is told."""

    error: BaseException | None = None
    """What it raised."""


class ToolCalls:
    """The tool calls of one answer."""

    def __init__(
        self,
        tools: Mapping[str, RunnableTool],
        context: RunContext[Any],
        timeout: float | None,
        on_error: Callable[[ToolRun, BaseException], None] | None,
    ) -> None:
        self._tools = tools
        self._context = context
        self._timeout = timeout
        self._on_error = on_error
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, calls: Sequence[ToolCall]) -> AsyncGenerator[Called, None]:
        """Run all calls at once and yield each when it has ended. Closing it cancels what still runs."""
        tasks = [asyncio.ensure_future(self._one(number, call)) for number, call in enumerate(calls)]
        try:
            for ended in asyncio.as_completed(tasks):
                yield await ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, number: int, call: ToolCall) -> Called:
        async with self._room:
            begun = time.monotonic()
            text, error = await self._outcome(call)
            run = ToolRun(call.name, call.arguments_json or json.dumps({}), text, time.monotonic() - begun)
        if error is not None:
            self._tell(run, error)
        return Called(number, run, error)

    async def _outcome(self, call: ToolCall) -> tuple[str, BaseException | None]:
        tool = self._tools.get(call.name)
        if tool is None:
            return f"error: unknown tool {call.name}", None
        try:
            arguments: dict[str, Any] = call.arguments
        except ValueError as error:
            return f"error: the arguments are no JSON object ({error})", None
        own: float | None = getattr(tool, "timeout", None)
        seconds = self._timeout if own is None else own
        try:
            async with asyncio.timeout(seconds) as limit:
                return await attempt(lambda: self._run(tool, call, arguments))
        except TimeoutError:
            if not limit.expired():
                raise
            error_of = errors.ToolTimeout(f"it took longer than {seconds:g} s and was stopped")
            return text_of_error(error_of), error_of

    async def _run(self, tool: RunnableTool, call: ToolCall, arguments: dict[str, Any]) -> Any:
        if isinstance(tool, TakesContext):
            context = replace(self._context, tool_name=call.name, tool_call_id=call.id)
            return await tool.run_within(context, arguments)
        return await tool.run(arguments)

    def _tell(self, run: ToolRun, error: BaseException) -> None:
        """Log a failure, with its traceback where it is a defect of the tool, and tell whoever listens."""
        if isinstance(error, errors.AiosError):
            _log.info("tool %s failed: %s", run.name, error)
        else:
            _log.warning("tool %s raised %s", run.name, describe(error), exc_info=error)
        if self._on_error is not None:
            self._on_error(run, error)
