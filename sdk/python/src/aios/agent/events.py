"""What happens in a run, as `Agent.stream` tells it."""

from dataclasses import dataclass, field
from typing import Generic

from aios.agent.results import AgentResult, Step, ToolRun
from aios.types.llm import ToolCall, Usage
from aios.types.runs import OutputT


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvent:
    """Something that happened in a run."""

    agent: str
    """The name of the agent whose turn it is."""

    step: int
    """Which answer of the model, from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunText(RunEvent):
    """More of the model's answer."""

    text: str
    """What to append."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageUpdated(RunEvent):
    """An answer of the model has ended."""

    usage: Usage
    """Tokens of the run so far."""

    requests: int
    """Answers of the model so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolStarted(RunEvent):
    """A tool that the model called begins."""

    call: ToolCall
    """What it called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolEnded(RunEvent):
    """A tool has ended, well or not."""

    call: ToolCall
    """What the model called."""

    run: ToolRun
    """What came out."""

    error: BaseException | None = field(default=None, compare=False)
    """What it raised, with its traceback; None when it went well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried(RunEvent):
    """The answer could not be used, and the model is asked again."""

    problem: str
    """What is wrong with the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOff(RunEvent):
    """The conversation goes on with another agent."""

    to: str
    """Its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEnded(RunEvent):
    """An answer of the model and the tools that it called are done."""

    turn: Step
    """All of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnded(RunEvent, Generic[OutputT]):
    """The end of the run, once and last."""

    result: AgentResult[OutputT]
    """What came of it."""
