"""The driver of the tools that come with the kernel."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.runtime.clock import Clock
from services.tool.drivers.builtin.answers import Answer, Function
from services.tool.drivers.builtin.calculator import BadExpression, calculate
from services.tool.drivers.builtin.catalog import TOOLS
from services.tool.drivers.builtin.file_tools import FileTools
from services.tool.drivers.builtin.program_tools import ProgramTools
from services.tool.drivers.builtin.query_tools import QueryTools
from services.tool.drivers.builtin.units import BadUnit, convert
from services.tool.drivers.builtin.web_tools import WebTools
from services.tool.drivers.builtin.workers import Workers
from services.tool.errors import CapabilityMissing, EgressDenied, SandboxUnavailable, ToolFailed
from services.tool.model import Effect, Tool, ToolOutcome
from services.tool.ports import Egress, Files, FileSearch, Job, Sandbox

SEARCH_LIMIT: Final = 20
_GIVEN: Final = {tool.driver.function: tool for tool in TOOLS}
_weight: Final = list(Effect).index


class BuiltinDriver:
    """Runs the built-in tools."""

    def __init__(
        self,
        clock: Clock,
        search: FileSearch,
        files: Files,
        workers: Workers,
        egress: Egress,
        *,
        sandbox: Sandbox,
    ) -> None:
        self._clock = clock
        self._search = search
        self._web = WebTools(egress, workers)
        self._programs = ProgramTools(sandbox, files)
        self._functions: Mapping[str, Function] = {
            "calculator": _calculator,
            "clock": self._tell_time,
            "convert_units": _convert_units,
            "search_files": self._search_files,
            **FileTools(files).functions,
            **QueryTools(files, workers).functions,
            **self._web.functions,
            **self._programs.functions,
        }

    async def prepare(self, _scope: Scope, tool: Tool) -> Tool:
        """Return a further name of a function, with its arguments and no weaker effect than it has.

        Raises CapabilityMissing unless there is such a function.
        """
        given = _GIVEN.get(tool.driver.function)
        if given is None:
            raise CapabilityMissing(f"there is no built-in function {tool.driver.function!r}")
        return replace(
            tool,
            parameters_schema=given.parameters_schema,
            effect=max(tool.effect, given.effect, key=_weight),
            returns_untrusted=tool.returns_untrusted or given.returns_untrusted,
        )

    def problem(self, scope: Scope, tool: Tool) -> str:
        """Return why it cannot be called: it is no more, may send nowhere, or nothing isolates it."""
        function = tool.driver.function
        if function in self._web.functions and not self._web.reached(scope):
            return EgressDenied.reason
        if self._programs.lacks(function):
            return SandboxUnavailable.reason
        return "" if function in self._functions else CapabilityMissing.reason

    async def run(self, job: Job) -> ToolOutcome:
        """Run one for the calling agent. Raises ToolFailed, or what a peer refuses."""
        function = self._functions.get(job.tool.driver.function)
        if function is None:
            raise CapabilityMissing(f"there is no built-in function {job.tool.driver.function!r}")
        answer = await function(job)
        return ToolOutcome(value=answer.value, untrusted=answer.untrusted)

    async def _tell_time(self, _job: Job) -> Answer:
        return Answer(self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    async def _search_files(self, job: Job) -> Answer:
        found = await self._search.search(job.arguments["query"], SEARCH_LIMIT)
        paths = "\n".join(file.path for file in found.files)
        return Answer(paths or "nothing found", untrusted=found.untrusted)


async def _calculator(job: Job) -> Answer:
    try:
        # Bounded, but big numbers take milliseconds: not on the event loop.
        return Answer(await asyncio.to_thread(calculate, job.arguments["expression"]))
    except BadExpression as error:
        raise ToolFailed(str(error)) from error


async def _convert_units(job: Job) -> Answer:
    try:
        asked = job.arguments
        return Answer(convert(asked["value"], asked["from"], asked["to"]))
    except BadUnit as error:
        raise ToolFailed(str(error)) from error
