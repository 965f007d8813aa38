"""Changes of registered tools, held against the calls that are under way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from services.chassis.auth.identity import Scope
from services.tool.core.schema_changes import breaking_parameters, breaking_result
from services.tool.errors import ToolInUse
from services.tool.model import Tool
from services.tool.service.dependencies import Dependencies


@dataclass(frozen=True, slots=True)
class Breach:
    """In what a changed tool breaks with what it was."""

    field: str
    """Which of its schemas."""
    why: str


class ToolChanges:
    """Knows which changes of tools break calls that wait or run."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._count: Callable[[str, str], int] = lambda _tenant, _tool: 0
        self._tell: Callable[[str, Tool], None] = lambda _tenant, _tool: None

    def watch(self, count: Callable[[str, str], int], tell: Callable[[str, Tool], None]) -> None:
        """Count a tool's calls by `count(tenant, tool)`, and call `tell(tenant, tool)` after a breach."""
        self._count = count
        self._tell = tell

    async def breach(self, scope: Scope, tool: Tool, etag: str) -> Breach | None:
        """Say in what a tool breaks with the version that it is to replace; None: in nothing."""
        old = await self._deps.store.read(scope, lambda tx: tx.tool(tool.id))
        if old is None or etag != str(old.version):  # refused, or made before by the same request
            return None
        return await asyncio.to_thread(_breach, old, tool)

    def refusal(self, scope: Scope, tool: Tool, breach: Breach | None) -> ToolInUse | None:
        """Return the error for a breach while calls of the tool wait or run, else None."""
        calls = 0 if breach is None else self._count(scope.tenant, tool.id)
        if breach is None or not calls:
            return None
        name = f"tools/{tool.id}"
        return ToolInUse(
            f"{calls} calls of {name} wait or run, and its new {breach.field} may break them: {breach.why}; "
            "register it under a new name, wait, or allow it to break",
            metadata={"tool": name, "calls": str(calls), "field": f"tool.{breach.field}", "why": breach.why},
        )

    def has_broken(self, scope: Scope, tool: Tool) -> None:
        """End the calls that wait for what the tool was."""
        self._tell(scope.tenant, tool)


def _breach(old: Tool, new: Tool) -> Breach | None:
    if why := breaking_parameters(old.parameters_schema, new.parameters_schema):
        return Breach("parameters_schema", why)
    if why := breaking_result(old.result_schema, new.result_schema):
        return Breach("result_schema", why)
    return None
