"""`aios.AllTools`: the kernel's tools for an agent's model, however many there are."""

import json
from collections.abc import Sequence
from typing import Final

from aios.kernel import Kernel
from aios.syscalls import KernelTool, RunnableTool
from aios.toolkit import Tool
from aios.types.tools import ToolInfo

SHOWN: Final = 16
MOST: Final = 64
_FOUND: Final = 20
_WORDS: Final = 256
_LINE: Final = 200


class AllTools:
    """Stands in `Agent.tools` for every tool of the kernel that the agent may call.

    As many as `shown` are shown to the model as they are. Of more it is shown those that fit the task best,
    and two tools to reach the others: `search_tools` lists some by name and a line each, `describe_tool`
    tells one whole and lets it be called from then on. What the agent names itself goes before.
    """

    def __init__(self, *, shown: int = SHOWN) -> None:
        self._shown = max(1, min(shown, MOST))

    async def open(self, kernel: Kernel, task: str, tools: dict[str, RunnableTool]) -> None:
        """Add what the model is shown of the kernel's tools to `tools`. Raises an `AiosError`."""
        listed: Sequence[ToolInfo] = await kernel.tools.list(available_only=True, limit=self._shown + 1)
        if len(listed) > self._shown:
            for tool in (_search(kernel), _describe(kernel, tools)):
                tools.setdefault(tool.name, tool)
            listed = await kernel.tools.search(task[:_WORDS], limit=self._shown)
        for info in listed:
            tools.setdefault(info.spec.name, KernelTool(kernel, info.spec))


def _search(kernel: Kernel) -> Tool:
    async def search_tools(words: str) -> str:
        """Find more tools by what they do: names, and a line each. Then describe_tool one to call it."""
        found = await kernel.tools.search(words[:_WORDS], basic=True, limit=_FOUND)
        return "\n".join(map(_line, found)) or "nothing found: try other words"

    return Tool(search_tools)


def _describe(kernel: Kernel, tools: dict[str, RunnableTool]) -> Tool:
    async def describe_tool(name: str) -> str:
        """Tell what a tool that search_tools found does and takes; from then on it can be called."""
        info = await kernel.tools.get(name)
        if info.spec.name not in tools:
            if len(tools) >= 2 * MOST:
                raise ValueError("no more tools can be added in this run")
            tools[info.spec.name] = KernelTool(kernel, info.spec)
        told = {"name": info.spec.name, "description": info.description, "parameters": info.spec.parameters}
        return json.dumps(told, ensure_ascii=False)

    return Tool(describe_tool)


def _line(info: ToolInfo) -> str:
    lines = (info.description or info.title).splitlines()
    return f"{info.spec.name}: {lines[0][:_LINE] if lines else ''}".rstrip()
