"""Terms of inference: what is asked for, what a backend needs, what it gives back. Pure."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.chassis.chat import ChatMessage, ToolCall, ToolDefinition
from services.chassis.dispatch.scheduling import Gang, HintsAsked

LEAST_LOGPROB: Final = -1e6
MOST_TEXT: Final = 64
"""Characters of an alternative's text."""
MOST_TOKENS: Final = 131_072
"""Tokens of the largest answer, however large the window is."""
MESSAGE_BYTES: Final = 512
"""Memory of a message, a tool or a request without its texts, about."""
ID_BYTES: Final = 48
"""Memory of a token's id where it is kept, about."""


class ToolChoice(Enum):
    """Whether the model may call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Zero means the neutral value of each field."""

    temperature: float = 0.0
    top_p: float = 0.0
    top_k: int = 0
    repetition_penalty: float = 0.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    """Taken off a token's logit once for each time that the output holds it."""
    presence_penalty: float = 0.0
    """Taken off a token's logit when the output holds it at all."""

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.temperature == 0.0


class ConstraintKind(Enum):
    """The form of a constraint. Values are TGI's grammar types."""

    JSON = "json"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the output must look like."""

    kind: ConstraintKind
    text: str
    """The JSON schema or the regular expression."""
    recursive: bool = False
    """Whether it was found to be a schema that refers to itself."""
    any_root: bool = False
    """Whether it was found to be a schema whose root is not plainly an object with properties."""
    root_choice: bool = False
    """Whether it was found to be a choice of schemas, by `anyOf` at the root."""
    beside_tools: bool = False
    """Whether it is the choice between calls of tools and an answer in its form."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a caller stands in a stream that broke. `text` and `token_ids` may be empty."""

    after_sequence: int = 0
    token_ids: tuple[int, ...] = ()
    text: str = ""

    @property
    def size(self) -> int:
        """Memory that it takes, about. Unit: bytes."""
        return sys.getsizeof(self.text) + ID_BYTES * len(self.token_ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationSpec:
    """What to generate. Either `messages` or `prompt` is set."""

    model: str = ""
    messages: tuple[ChatMessage, ...] = ()
    prompt: str = ""
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: ToolChoice = ToolChoice.AUTO
    constraint: Constraint | None = None
    sampling: Sampling = Sampling()
    max_tokens: int = 0
    """Largest answer; 0: the kernel's default, or with `fit_max_tokens` all that the window leaves."""
    fit_max_tokens: bool = False
    """Whether `max_tokens` is a ceiling: the answer may have that many tokens, or what the window leaves."""
    stop: tuple[str, ...] = ()
    hints: HintsAsked = field(default_factory=HintsAsked)
    step: int = 0
    top_alternatives: int = 0
    gang: Gang | None = None
    tool_choice_name: str = ""
    """The one tool that must be called, where a call is required; empty: any."""
    max_tool_calls: int = 0
    """Most tool calls in the answer; 0: no limit."""
    affinity_key: str = ""
    """Calls of one tenant with the same key go to the same replica by preference; empty: none."""
    logprobs: bool = False
    """Whether to tell how likely each chosen token was."""

    @property
    def least_answer(self) -> int:
        """Tokens that the window must leave for the answer."""
        return 1 if self.fit_max_tokens else max(1, self.max_tokens)

    @property
    def size(self) -> int:
        """Memory of its texts, about. Unit: bytes."""
        texts = [self.prompt, *self.stop, *(each.content for each in self.messages)]
        texts += [call.arguments for each in self.messages for call in each.tool_calls]
        texts += [part for tool in self.tools for part in (tool.description, tool.parameters_schema)]
        texts += [self.constraint.text] if self.constraint is not None else []
        return MESSAGE_BYTES * (1 + len(self.messages) + len(self.tools)) + sum(map(sys.getsizeof, texts))


@dataclass(frozen=True, kw_only=True, slots=True)
class CountSpec:
    """What to count the tokens of: a chat, or each of some texts."""

    model: str = ""
    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Memory of its texts, about. Unit: bytes."""
        chat = GenerationSpec(messages=self.messages, tools=self.tools).size
        return chat + sum(map(sys.getsizeof, self.texts))


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat that goes to the backend as it is, with the tools that the model may call."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in the form that its backend takes: a text, or a chat that the backend itself renders."""

    text: str
    """Empty beside a chat."""
    token_count: int
    ids: tuple[int, ...] = ()
    """Its tokens, as the backend's tokenizer splits it alone."""
    chat: Chat | None = None
    estimated: bool = False
    """Whether the count is a guess: good enough to be admitted by, no ground for a refusal."""
    marks: tuple[int, ...] = ()
    """Tokens up to the end of each message, or of each part of a raw prompt; 0: unknown. Empty: not told."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; declared by its driver, never guessed."""

    kv_snapshot: bool = False
    """Keeps the state of a suspended run, so that a resume re-prefills nothing."""
    token_prompts: bool = False
    """Takes token ids as a prompt and tells the ids of a text prompt."""
    constraints: bool = True
    """Can force the output into a JSON schema."""
    regexes: bool = True
    """Can force the output into a regular expression."""
    recursive_schemas: bool = False
    """Can force the output into a schema that refers to itself."""
    any_root: bool = False
    """Can force the output into a schema whose root is not plainly an object with properties."""
    root_choice: bool = False
    """Can force the output into one of several schemas (`anyOf` at the root), as with `any_root` too."""
    chat_prompts: bool = False
    """Takes a chat as messages and renders it itself."""
    native_tools: bool = False
    """Takes tools as they are and tells tool calls apart from text."""
    presence_penalty: bool = True
    """Has a presence penalty."""
    continues_text: bool = True
    """Goes on from the text so far. Otherwise a generation that was broken off must start over."""


LONGEST_NAME: Final = 256
"""Characters of a model's name."""
LARGEST_INT32: Final = 2**31 - 1
LARGEST_INT64: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """What a backend replica serves and holds."""

    model: str
    max_total_tokens: int
    """Longest prompt and answer of one call."""
    slots: int
    """Calls it can run at once."""
    max_batch_total_tokens: int
    """Tokens that its calls may hold together; 0: the slots alone limit them."""
    capabilities: Capabilities = Capabilities()
    longest_token: int = 0
    """Bytes of the longest token of its vocabulary; 0: not known."""
    revision: str = ""
    """Which weights of the model these are; empty: it does not tell."""
    special_ids: frozenset[int] = frozenset()
    """Tokens that steer its model, where the server tells them."""
    instance: str = ""
    """Another one each time the server's process starts; empty: it does not tell."""

    def oddity(self) -> str:
        """Return what of it no server can mean, since the contract has no room for it; empty: nothing."""
        if not 0 < len(self.model) <= LONGEST_NAME:
            return f"a model whose name has {len(self.model)} characters"
        for what, number in (("a window", self.max_total_tokens), ("slots", self.slots)):
            if not 0 < number <= LARGEST_INT32:
                return f"{what} of {number:.3g}"
        if not 0 <= self.max_batch_total_tokens <= LARGEST_INT64:
            return f"room for {self.max_batch_total_tokens:.3g} tokens"
        return ""

    def same_model(self, model: str, revision: str) -> bool:
        """Whether an answer that such a model began may go on here; unknown revisions are taken to agree."""
        return self.model == model and (not revision or not self.revision or self.revision == revision)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendRequest:
    """One stretch of a generation on one replica: continue `prompt` + what was emitted."""

    run_id: str
    """Names this stretch at the backend, so that it can be suspended. Never used twice."""
    prompt: Prompt
    prompt_ids: tuple[int, ...] = ()
    emitted_text: str = ""
    emitted_ids: tuple[int, ...] = ()
    kv_handle: str = ""
    max_new_tokens: int
    open_ended: bool = False
    """Whether that is a guess at what the window leaves, which the server, knowing better, may be left to."""
    sampling: Sampling
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    top_alternatives: int = 0
    logprobs: bool = False
    """Whether to tell how likely each token was."""
    tool_choice: ToolChoice = ToolChoice.AUTO
    """This and the next two only for a prompt that is a chat with tools."""
    tool_choice_name: str = ""
    """The one tool that must be called, where a call is required; empty: any."""
    max_tool_calls: int = 0
    """Most calls that are of use; 0: no limit."""
    partial: bool = False
    """Whether the answer may go on in another stretch after `max_new_tokens`."""


class StopReason(Enum):
    """Why a backend ended a run."""

    END = "end"  # the model ended its answer
    STOP = "stop"  # a stop string was met
    LENGTH = "length"  # the token budget or the window is used up
    SUSPENDED = "suspended"  # it was asked to stop and kept its state


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that was or might have been chosen. `logprob` is a natural logarithm."""

    id: int
    text: str
    logprob: float

    @classmethod
    def told(cls, id_: int, text: str, logprob: float | None) -> "Alternative":
        """Build one from what a backend tells; the logarithm of an impossible token is bounded."""
        known = LEAST_LOGPROB if logprob is None or math.isnan(logprob) else logprob
        return cls(max(0, id_), text[:MOST_TEXT], min(0.0, max(LEAST_LOGPROB, known)))


@dataclass(slots=True)
class Token:
    """One generated token; nobody changes one, but a frozen one takes three times as long to make."""

    id: int
    text: str
    alternatives: tuple[Alternative, ...] = ()
    """The likeliest tokens at its place, likeliest first, where the job asks for them."""
    chosen: Alternative | None = None
    """The token with its likelihood, where the job asks for that or for alternatives."""


@dataclass(frozen=True, slots=True)
class Place:
    """The likeliest tokens at one place of the output: its logits form."""

    sequence: int
    """1 is the first token."""
    alternatives: tuple[Alternative, ...]
    chosen: Alternative | None = None
    """The token itself; None: its likelihood is not known."""


@dataclass(frozen=True, slots=True)
class PromptIds:
    """The ids of the prompt, told once at the start by a backend with `token_prompts`."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CachedPrompt:
    """How many tokens of what the run began with the backend had in its cache; told once, if at all."""

    tokens: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The last item of a stream."""

    reason: StopReason
    prompt_tokens: int = 0
    """Tokens of the prompt as the backend counted them; 0: it did not say."""
    tool_calls: tuple[ToolCall, ...] = ()
    """What a backend with `native_tools` was asked to call."""
    stop_string: str = ""
    """The stop string that it met and cut off; empty: none, or it left that to whoever reads the text."""


StreamItem = Token | PromptIds | CachedPrompt | Stopped


@dataclass(frozen=True, slots=True)
class KvState:
    """State that a backend kept for a suspended run."""

    handle: str
    replica: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a generation."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a generation went. Unit: seconds."""

    wait: float = 0.0
    run: float = 0.0
    time_to_first_token: float = 0.0
    preemption_count: int = 0
    recovery_count: int = 0
    seed: int | None = None
    replica: str = ""


class FinishReason(Enum):
    """Why a generation ended, for its caller."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished generation."""

    reason: FinishReason
    message: ChatMessage
    usage: Usage
    timings: Timings
    model: str
    stop_string: str = ""
    """The stop string that ended it; empty: it ended otherwise."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The generation got its first grant."""

    wait: float
    prompt_tokens: int


class SuspendReason(Enum):
    """Why a generation was taken off its backend."""

    PREEMPTED = "preempted"
    BACKEND_LOST = "backend_lost"


@dataclass(frozen=True, slots=True)
class Suspended:
    """The generation waits again."""

    reason: SuspendReason


@dataclass(frozen=True, slots=True)
class Resumed:
    """The generation runs again."""

    wait: float


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the answer."""

    text: str
    token_ids: tuple[int, ...]
    places: tuple[Place, ...] = ()
    """What else its tokens might have been, where the call asks for it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a generation, as a caller sees it."""

    sequence: int
    """Tokens delivered up to and with this event."""
    body: Admitted | Delta | Suspended | Resumed | Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What a gateway needs to go on with a generation that another one began."""

    call: str
    model: str
    digest: str
    """Of the request: another request under the same id is refused."""
    prompt: Prompt
    prompt_ids: tuple[int, ...] = ()
    pieces: Sequence[str] = ()
    """Text of each emitted token."""
    token_ids: Sequence[int] = ()
    seed: int | None = None
    kv: KvState | None = None
    places: tuple[Place, ...] = ()
    """What else the newest tokens might have been, oldest first."""
