"""`aios.Agent`: a model, tools and a task, run in a loop."""

from aios.agent.agent import Agent
from aios.agent.events import (
    HandedOff,
    Retried,
    RunEnded,
    RunEvent,
    RunText,
    StepEnded,
    ToolEnded,
    ToolStarted,
    UsageUpdated,
)
from aios.agent.limits import UsageLimits
from aios.agent.results import AgentResult, FinishReason, Step, ToolRun
from aios.agent.stream import AgentStream, SyncAgentStream

__all__ = [
    "Agent",
    "AgentResult",
    "AgentStream",
    "FinishReason",
    "HandedOff",
    "Retried",
    "RunEnded",
    "RunEvent",
    "RunText",
    "Step",
    "StepEnded",
    "SyncAgentStream",
    "ToolEnded",
    "ToolRun",
    "ToolStarted",
    "UsageLimits",
    "UsageUpdated",
]
