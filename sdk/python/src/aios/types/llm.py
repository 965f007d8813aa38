"""Conversations with a model, and its answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["unspecified", "stop", "length", "tool_calls"]
ToolChoice = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to run one tool."""

    id: str
    """Names the call within its conversation."""

    name: str
    """The tool."""

    arguments_json: str = "{}"
    """The arguments as the model wrote them: the text of one JSON object."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, parsed. Raises ValueError when the model wrote no JSON object."""
        value = json.loads(self.arguments_json or "{}")
        if not isinstance(value, dict):
            raise ValueError(f"the arguments of {self.name} are no JSON object")  # noqa: TRY004  # the text is at fault, not a type
        return value


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    """Who speaks."""

    content: str = ""
    """The text."""

    tool_calls: tuple[ToolCall, ...] = ()
    """The tools that the assistant asks to run."""

    tool_call_id: str = ""
    """With role `tool`: the call that this message answers."""

    name: str = ""
    """With role `tool` the tool's name, else the speaker's where several share a role."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as it is shown to a model."""

    name: str
    """What the model calls it."""

    description: str = ""
    """What it does and when to use it."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of its arguments, an object at its root; empty: no arguments."""


Messages: TypeAlias = str | Message | Sequence[Message | Mapping[str, Any]]
"""A conversation.

A text (one user message), a message, or messages, also as dicts with `role` and `content`.
"""


@dataclass(frozen=True, slots=True)
class Gang:
    """Calls that start together: all calls of one agent, model and class with the same id.

    The scheduler waits up to 5 s for all of them, then until there is room for all at once. When not all come
    in time, those that came go each its own way.
    """

    id: str
    """Chosen by the agent, new for every gang."""

    size: int
    """Calls in it, 1 to 64."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a generation."""

    prompt_tokens: int = 0
    """Tokens of the prompt."""

    completion_tokens: int = 0
    """Tokens of the answer."""

    cached_prompt_tokens: int = 0
    """Prompt tokens that the backend had in its cache."""

    @property
    def total_tokens(self) -> int:
        """Prompt and answer together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_prompt_tokens + other.cached_prompt_tokens,
        )


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a generation went. Unit: seconds."""

    wait: float = 0.0
    """In the queue, all waits together."""

    run: float = 0.0
    """On backends."""

    time_to_first_token: float = 0.0
    """From the arrival of the call to its first token."""

    preemption_count: int = 0
    """How often the scheduler took it off a backend."""

    recovery_count: int = 0
    """How often it went on after a failure."""

    seed: int | None = None
    """Seed that was used; None when greedy."""

    replica: str = ""
    """The backend replica that produced the last token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A model's whole answer."""

    text: str
    """The text; empty when the model only calls tools."""

    tool_calls: tuple[ToolCall, ...] = ()
    """The tools it asks to run, in order."""

    finish_reason: FinishReason = "unspecified"
    """Why it ended."""

    usage: Usage = field(default_factory=Usage)
    """Tokens used."""

    timings: Timings = field(default_factory=Timings)
    """Where the time went."""

    model: str = ""
    """The model that answered."""

    stop_string: str = ""
    """The stop string that ended it; empty when it ended otherwise."""

    name: str = ""
    """Resource name of the generation, `agents/{agent}/generations/{generation}`."""

    @property
    def message(self) -> Message:
        """The answer as a message, to append to the conversation."""
        return Message("assistant", self.text, self.tool_calls)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamEvent:
    """Something that happened to a streamed generation. `text` is what to append; empty for most events."""

    sequence: int = 0
    """Tokens delivered so far."""

    text: str = ""
    """Text to append to what came before."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted(StreamEvent):
    """The call left the queue for the first time."""

    wait: float = 0.0
    """Time it waited. Unit: seconds."""

    prompt_tokens: int = 0
    """Tokens of the prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenAlternative:
    """One token that was or might have been chosen."""

    token_id: int = 0
    """Its id; 0 where the backend tells texts only."""

    text: str = ""
    """What it says."""

    logprob: float = 0.0
    """The natural logarithm of its probability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What else one token of the answer might have been."""

    sequence: int
    """Which token: 1 is the answer's first."""

    alternatives: tuple[TokenAlternative, ...] = ()
    """The likeliest tokens there, likeliest first."""

    chosen: TokenAlternative | None = None
    """The token itself; None where the backend does not tell how likely it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextDelta(StreamEvent):
    """More of the answer."""

    token_count: int = 0
    """Tokens in this event."""

    places: tuple[Place, ...] = ()
    """How likely its tokens were, and what else they might have been.

    Where `logprobs` or `top_alternatives` asks for it.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspended(StreamEvent):
    """The generation was taken off its backend and waits again."""

    reason: Literal["unspecified", "preempted", "backend_lost"] = "unspecified"
    """Why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed(StreamEvent):
    """The generation runs again, where it stopped."""

    wait: float = 0.0
    """Time since it was suspended. Unit: seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished(StreamEvent):
    """The end."""

    answer: Answer
    """The whole answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenCount:
    """Tokens counted with the tokenizer of the model's backend."""

    total: int
    """Tokens of the conversation, or of all texts together."""

    texts: tuple[int, ...] = ()
    """Tokens of each text, when texts were given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """A model that backends serve."""

    name: str
    """Its name."""

    max_total_tokens: int = 0
    """Longest prompt and answer together."""

    replica_count: int = 0
    """Healthy replicas that serve it."""

    slots: int = 0
    """Calls that they run at once."""

    kv_snapshot: bool = False
    """Whether a suspended generation keeps its state on the backend."""

    constraints: bool = False
    """Whether output can be constrained."""

    is_default: bool = False
    """Whether an empty model name means this one."""
