"""How a run of an agent went."""

from dataclasses import dataclass, field
from typing import Generic, Literal

from aios.types.llm import Answer, Message, Usage
from aios.types.runs import OutputT

FinishReason = Literal["done", "max_steps", "length", "unparsed_tool_call"]
"""`done`: the model had nothing more to call; else what cut the run short.

`max_steps`: it called tools to the end; `length`: its last answer was cut at `max_tokens`;
`unparsed_tool_call`: it wrote a tool call that cannot be read, again and again.
"""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One tool call of an agent and what came out."""

    name: str
    """The tool."""

    arguments_json: str
    """The arguments as the model wrote them."""

    result: str
    """What the model was told; `error: ...` when it failed."""

    seconds: float = field(default=0.0, compare=False)
    """How long it took."""

    @property
    def failed(self) -> bool:
        """Whether the model was told of a failure."""
        return self.result.startswith("error: ")


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop: an answer of the model and the tools it called."""

    number: int
    """Which one, from 0."""

    answer: Answer
    """What the model said."""

    runs: tuple[ToolRun, ...] = ()
    """The tools it called, in its order."""

    agent: str = ""
    """The name of the agent whose turn it was."""


@dataclass(frozen=True, slots=True)
class AgentResult(Generic[OutputT]):
    """How a run ended."""

    text: str
    """The model's last answer."""

    finish_reason: FinishReason
    """`done`, else what cut the run short."""

    output: OutputT = field(kw_only=True)
    """What the run returns: the last answer as the agent's output type; the text itself by default."""

    steps: tuple[Step, ...] = ()
    """Every turn, in order."""

    usage: Usage = field(default_factory=Usage)
    """Tokens of all turns together."""

    messages: tuple[Message, ...] = ()
    """The whole conversation, to go on with: `run(task, history=result.messages)`."""

    agent: str = ""
    """The name of the agent that spoke last: another one after a handoff."""

    history_length: int = field(default=0, repr=False)
    """How many of the messages were there before the run."""

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """What this run added to the conversation."""
        return self.messages[self.history_length :]

    @property
    def tool_runs(self) -> tuple[ToolRun, ...]:
        """All tool calls of the run, in order."""
        return tuple(run for step in self.steps for run in step.runs)

    def __str__(self) -> str:
        return self.text
