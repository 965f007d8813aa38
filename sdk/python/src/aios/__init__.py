"""AIOS: an operating system for LLM agents. This package is its Python client.

    async with aios.connect() as kernel:
        agent = kernel.as_agent(await kernel.agents.register("planner"))
        print((await agent.llm.chat("Hello")).text)

Names are loaded on first use, so that `import aios` is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios._retry import RetryPolicy
    from aios.agent import Agent, AgentResult, AgentStream, UsageLimits
    from aios.errors import AiosError
    from aios.kernel import Kernel, connect
    from aios.sync import SyncKernel, connect_sync
    from aios.toolbox import AllTools
    from aios.toolkit import Tool, tool
    from aios.types.agents import AgentHandle, AgentInfo, Caps, Credential, Hints
    from aios.types.branches import Branch
    from aios.types.llm import Answer, Gang, Message, ToolCall, ToolSpec
    from aios.types.runs import RunContext

__all__ = [
    "Agent",
    "AgentHandle",
    "AgentInfo",
    "AgentResult",
    "AgentStream",
    "AiosError",
    "AllTools",
    "Answer",
    "Branch",
    "Caps",
    "Credential",
    "Gang",
    "Hints",
    "Kernel",
    "Message",
    "RetryPolicy",
    "RunContext",
    "SyncKernel",
    "Tool",
    "ToolCall",
    "ToolSpec",
    "UsageLimits",
    "connect",
    "connect_sync",
    "tool",
]

_HOMES = {
    "aios._retry": ("RetryPolicy",),
    "aios.agent": ("Agent", "AgentResult", "AgentStream", "UsageLimits"),
    "aios.errors": ("AiosError",),
    "aios.kernel": ("Kernel", "connect"),
    "aios.sync": ("SyncKernel", "connect_sync"),
    "aios.toolbox": ("AllTools",),
    "aios.toolkit": ("Tool", "tool"),
    "aios.types.agents": ("AgentHandle", "AgentInfo", "Caps", "Credential", "Hints"),
    "aios.types.branches": ("Branch",),
    "aios.types.llm": ("Answer", "Gang", "Message", "ToolCall", "ToolSpec"),
    "aios.types.runs": ("RunContext",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
