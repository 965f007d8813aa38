"""Runs of agents: what a tool is told of the run that calls it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from aios.types.llm import Message, Usage

if TYPE_CHECKING:
    from aios.kernel import Kernel

DepsT = TypeVar("DepsT", default=None)
"""What a run is given for its tools, such as a connection to a database."""

OutputT = TypeVar("OutputT", default=str)
"""What a run returns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext(Generic[DepsT]):
    """What a tool may know of the run that calls it: a parameter of this type gets it, and no model sees it.

    @aios.tool
    async def balance(ctx: aios.RunContext[Bank], account: str) -> float: ...
    """

    deps: DepsT
    """What `run(task, deps=...)` was given."""

    kernel: "Kernel"
    """The kernel, as the agent sees it."""

    task: str = ""
    """What the agent works on."""

    agent: str = ""
    """The name of the agent whose model called."""

    step: int = 0
    """Which answer of the model called, from 0."""

    tool_name: str = ""
    """What the model called."""

    tool_call_id: str = ""
    """Names the call within the conversation."""

    messages: tuple[Message, ...] = ()
    """The conversation up to the answer that called."""

    usage: Usage = field(default_factory=Usage)
    """Tokens of the run so far."""

    meter: Any = field(default=None, repr=False)
    """The run's count of what it may still use; an agent that is called as a tool counts on it."""
