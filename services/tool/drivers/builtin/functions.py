"""The built-in tools: their registration, and the functions behind them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from typing import Any

from services.chassis.auth.identity import Scope
from services.chassis.runtime.clock import Clock
from services.tool.drivers.builtin.calculator import BadExpression, calculate
from services.tool.drivers.builtin.units import BadUnit, convert
from services.tool.errors import CapabilityMissing, ToolFailed
from services.tool.model import Driver, DriverKind, Effect, Tool, ToolOutcome
from services.tool.ports import FileSearch, Job

SEARCH_LIMIT = 20

_STRING: Mapping[str, Any] = {"type": "string", "maxLength": 4096}
_NUMBER: Mapping[str, Any] = {"type": "number"}


def _object(**properties: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    )


def _tool(name: str, title: str, description: str, schema: str, effect: Effect) -> Tool:
    return Tool(
        id=name,
        title=title,
        description=description,
        parameters_schema=schema,
        effect=effect,
        max_concurrency=64,
        timeout_seconds=10.0,
        driver=Driver(DriverKind.BUILTIN, name),
    )


TOOLS = (
    _tool(
        "calculator",
        "Calculator",
        "Evaluate an arithmetic expression.\n+ - * / // % **, parentheses, sqrt, round, min, max and so on.",
        _object(expression=_STRING),
        Effect.PURE,
    ),
    _tool("clock", "Clock", "Tell the current time.\nUTC, as ISO 8601.", _object(), Effect.IDEMPOTENT),
    _tool(
        "convert_units",
        "Unit converter",
        "Convert a value from one unit to another.\nLength, mass, time, volume, area, speed, data, heat.",
        _object(**{"value": _NUMBER, "from": _STRING, "to": _STRING}),
        Effect.PURE,
    ),
    _tool(
        "search_files",
        "File search",
        "Search the agent's files.\nFull text; returns the paths that match, best first.",
        _object(query=_STRING),
        Effect.IDEMPOTENT,
    ),
)
"""What every tenant finds registered."""


class BuiltinDriver:
    """Runs the tools that come with the kernel, and those that tenants make of the same functions."""

    def __init__(self, clock: Clock, files: FileSearch) -> None:
        self._clock = clock
        self._files = files
        self._functions: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "calculator": _calculator,
            "clock": self._tell_time,
            "convert_units": _convert_units,
            "search_files": self._search_files,
        }

    async def prepare(self, _scope: Scope, tool: Tool) -> Tool:
        """Raise CapabilityMissing unless there is such a function."""
        if tool.driver.function not in self._functions:
            raise CapabilityMissing(f"there is no built-in function {tool.driver.function!r}")
        return tool

    def problem(self, _scope: Scope, tool: Tool) -> str:
        """Return nothing: what comes with the kernel can be called, if it still comes with it."""
        return "" if tool.driver.function in self._functions else CapabilityMissing.reason

    async def run(self, job: Job) -> ToolOutcome:
        """Run one for the calling agent. Raises ToolFailed, or what a peer refuses."""
        function = self._functions.get(job.tool.driver.function)
        if function is None:
            raise CapabilityMissing(f"there is no built-in function {job.tool.driver.function!r}")
        return ToolOutcome(value={"result": await function(job.arguments)})

    async def _tell_time(self, _arguments: Mapping[str, Any]) -> str:
        return self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def _search_files(self, arguments: Mapping[str, Any]) -> str:
        paths = await self._files.search(arguments["query"], SEARCH_LIMIT)
        return "\n".join(paths) or "nothing found"


async def _calculator(arguments: Mapping[str, Any]) -> int | float:
    try:
        # Bounded, but big numbers take milliseconds: not on the event loop.
        return await asyncio.to_thread(calculate, arguments["expression"])
    except BadExpression as error:
        raise ToolFailed(str(error)) from error


async def _convert_units(arguments: Mapping[str, Any]) -> str:
    try:
        return convert(arguments["value"], arguments["from"], arguments["to"])
    except BadUnit as error:
        raise ToolFailed(str(error)) from error
