"""Calls of built-in tools, as their driver gets them: arguments held against the tool's schema before."""

import asyncio
import json
from typing import Any

from services.chassis.auth.identity import Scope
from services.chassis.runtime.clock import SystemClock
from services.chassis.sandbox.nowhere import Nowhere
from services.tool.core.schemas import check_arguments
from services.tool.drivers.builtin import csv_worker, text_worker
from services.tool.drivers.builtin.catalog import TOOLS
from services.tool.drivers.builtin.functions import BuiltinDriver
from services.tool.drivers.builtin.messages import Refused, answered, packed
from services.tool.drivers.builtin.workers import Workers
from services.tool.errors import ToolFailed
from services.tool.model import ToolOutcome
from services.tool.ports import Egress, Job, Sandbox
from tests.fakes.files import MemoryFiles
from tests.fakes.tool import FakeFiles
from tests.fakes.web import way_out

PLANNER = Scope("acme", "planner")
_TOOLS = {tool.id: tool for tool in TOOLS}


class HereWorkers(Workers):
    """The handlers of the worker processes in this process: what they answer, without what keeps them in."""

    def __init__(self) -> None:
        self._handlers = text_worker.reading(), csv_worker.querying()

    async def read(self, _scope: Scope, asked: Any, texts: Any) -> Any:
        """Search texts, or query a JSON text."""
        return self._told(self._handlers[0](packed(asked, texts)))

    async def query(self, _scope: Scope, asked: Any, files: Any) -> Any:
        """Ask CSV files."""
        return self._told(await asyncio.to_thread(self._handlers[1], packed(asked, files)))

    async def close(self) -> None:
        """Nothing was started."""

    @staticmethod
    def _told(answer: bytes) -> Any:
        try:
            return json.loads(answered(answer))
        except Refused as error:
            raise ToolFailed(str(error)) from error


class Bench:
    """The built-in tools on files in memory."""

    def __init__(
        self,
        files: MemoryFiles | None = None,
        workers: Workers | None = None,
        egress: Egress | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.files = files or MemoryFiles()
        guard = egress or way_out().guard
        self.driver = BuiltinDriver(
            SystemClock(),
            FakeFiles(),
            self.files,
            workers or HereWorkers(),
            guard,
            sandbox=sandbox or Nowhere("tests"),
        )
        self._calls = 0

    async def outcome(self, name: str, call_id: str = "", **arguments: Any) -> ToolOutcome:
        """Call a tool with arguments that its schema takes."""
        tool = _TOOLS[name]
        check_arguments(tool.parameters_schema, arguments)
        self._calls += 1
        job = Job(
            scope=PLANNER,
            call_id=call_id or f"c{self._calls}",
            tool=tool,
            arguments=arguments,
            seconds=tool.timeout_seconds,
            tell=lambda _progress: None,
        )
        return await self.driver.run(job)

    async def __call__(self, name: str, call_id: str = "", **arguments: Any) -> Any:
        """Call a tool and return what it returns."""
        return (await self.outcome(name, call_id, **arguments)).value
