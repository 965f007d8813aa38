"""Agents that work with others: handoffs, and agents that are called as tools."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aios.agent.limits import Meter
from aios.schema import to_json
from aios.syscalls import AnyTool, RunnableTool, resolve
from aios.toolkit import Tool
from aios.types.llm import ToolSpec
from aios.types.runs import RunContext

if TYPE_CHECKING:
    from aios.agent.agent import Agent

_REASON = {
    "type": "object",
    "properties": {"reason": {"type": "string", "description": "why, for who takes over"}},
    "required": [],
    "additionalProperties": False,
}
_TASK = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "description": "what to do, in full: nothing else is known there"}
    },
    "required": ["task"],
    "additionalProperties": False,
}


class Handoff:
    """The tool by which a model hands the conversation over to another agent."""

    def __init__(self, target: "Agent[Any, Any]") -> None:
        self.target = target
        about = f" {target.description}" if target.description else ""
        name = f"transfer_to_{target.name}"
        self.spec = ToolSpec(name, f"Hand the conversation over to {target.name}.{about}", _REASON)

    async def run(self, arguments: Mapping[str, Any]) -> str:
        """Say that it was handed over; the loop does it."""
        reason = str(arguments.get("reason", ""))
        return f"{self.target.name} takes over{': ' if reason else ''}{reason}"


class AgentTool:
    """An agent as a tool of another one: it works on a task of its own and returns its output."""

    def __init__(self, agent: "Agent[Any, Any]", name: str, description: str) -> None:
        self._agent = agent
        about = description or agent.description or f"Let {agent.name} work on a task."
        self.spec = ToolSpec(name or agent.name, about, _TASK)

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        """Run the agent on the task, with limits of its own. Raises what `Agent.run` raises."""
        return to_json((await self._agent.run(str(arguments["task"]))).output)

    async def run_within(self, context: RunContext[Any], arguments: Mapping[str, Any]) -> Any:
        """Run the agent on the task, with the caller's deps and within the caller's limits."""
        meter = context.meter if isinstance(context.meter, Meter) else None
        result = await self._agent.run_metered(str(arguments["task"]), context.deps, meter)
        return to_json(result.output)


async def tools_of(agent: "Agent[Any, Any]", task: str) -> dict[str, RunnableTool]:
    """Return all that an agent's model may call, by name. Raises NotFound and TypeError as `resolve` does."""
    own: list[AnyTool] = [_bound(agent, one) for one in agent.tools]
    listed = {id(one) for one in agent.tools}
    methods = {
        name: one
        for kind in reversed(type(agent).__mro__)
        for name, one in vars(kind).items()
        if isinstance(one, Tool) and (one.is_method or name in vars(type(agent)))
    }
    own += [
        one.__get__(agent, type(agent)) for one in methods.values() if one.is_method and id(one) not in listed
    ]
    found = await resolve(agent.kernel, own, task)
    for target in agent.handoffs:
        handoff = Handoff(target(agent.kernel) if isinstance(target, type) else target)
        found[handoff.spec.name] = handoff
    return found


def _bound(agent: "Agent[Any, Any]", one: AnyTool) -> AnyTool:
    """Return a tool of the agent's own class bound to the agent; others as they are."""
    if (
        isinstance(one, Tool)
        and one.is_method
        and any(one in vars(kind).values() for kind in type(agent).__mro__)
    ):
        return one.__get__(agent, type(agent))
    return one


def name_of(kind: type) -> str:
    """Return how an agent is called by default: its class's name as `word_word`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
