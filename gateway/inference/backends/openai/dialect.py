"""What the servers that speak the OpenAI protocol can do beyond it, and how each wants to be asked. Pure.

A dialect is a declaration, chosen by what a server calls itself in `/v1/models` (`owned_by`) or by
configuration. Nothing is found out by trial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import orjson

from gateway.inference.backends.openai.wire import names_of, write_chat
from gateway.inference.errors import BackendInvalid
from gateway.inference.model import BackendRequest, Chat, Constraint, ConstraintKind, Sampling, ToolChoice
from services.chassis.chat import Role
from services.chassis.tool_names import ModelNames


class Continuation(Enum):
    """How a server is asked to go on with an assistant's text."""

    NONE = "none"
    FLAGS = "flags"  # continue_final_message
    TRAILING = "trailing"  # a trailing assistant message is continued by itself


class Counting(Enum):
    """Who counts the tokens of a prompt."""

    ESTIMATE = "estimate"  # nobody: the driver guesses
    TOKENIZE = "tokenize"  # /tokenize takes texts and chats
    TEMPLATE = "template"  # /apply-template renders a chat, /tokenize takes the text


class RawConstraint(Enum):
    """How the answer to a raw prompt is constrained."""

    NONE = "none"
    RESPONSE_FORMAT = "response_format"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """A kind of server."""

    name: str
    owner: str = ""
    """What the server writes into `owned_by`."""
    continuation: Continuation = Continuation.NONE
    counting: Counting = Counting.ESTIMATE
    health: str = "/v1/models"
    slots: int
    """Calls that run at once where neither server nor configuration tells."""
    queue_metric: str = ""
    """Gauge on `/metrics` of the calls that wait inside; empty: it has none."""
    running_usage: bool = False
    """Tells with each event how many tokens there are so far."""
    neutral: Mapping[str, Any] = field(default_factory=dict)
    """Sampling fields that switch off what the server would do by default."""
    penalty: str = "repetition_penalty"
    regex: tuple[str, ...] = ()
    """Fields for a regular expression; `outer.inner` is nested."""
    raw_constraint: RawConstraint = RawConstraint.NONE
    open_ended: bool = False
    """Gives a chat that sets no limit what the window leaves, and refuses a limit beyond that."""
    stops: int = 0
    """Stop strings that it may be given, since it tells which one it met. The others, and all of a server
    that does not tell, are looked for in the text alone: which one ended the answer is part of it."""


_TOP_K_OFF: Final = -1
_STOPS: Final = 4
"""As many as the protocol knows."""

DIALECTS: Final[Mapping[str, Dialect]] = {
    each.name: each
    for each in (
        Dialect(
            name="vllm",
            owner="vllm",
            queue_metric="vllm:num_requests_waiting",
            continuation=Continuation.FLAGS,
            counting=Counting.TOKENIZE,
            health="/health",
            slots=64,
            running_usage=True,
            neutral={"top_p": 1.0, "top_k": _TOP_K_OFF, "min_p": 0.0, "repetition_penalty": 1.0},
            # The second is the name before 0.12; each version ignores the other's.
            regex=("structured_outputs.regex", "guided_regex"),
            raw_constraint=RawConstraint.RESPONSE_FORMAT,
            stops=_STOPS,
        ),
        Dialect(
            name="sglang",
            owner="sglang",
            queue_metric="sglang:num_queue_reqs",
            continuation=Continuation.FLAGS,
            health="/health",
            slots=64,
            running_usage=True,
            neutral={"top_p": 1.0, "top_k": _TOP_K_OFF, "min_p": 0.0, "repetition_penalty": 1.0},
            regex=("regex",),
            raw_constraint=RawConstraint.RESPONSE_FORMAT,
            open_ended=True,
            stops=_STOPS,
        ),
        Dialect(
            name="llamacpp",
            owner="llamacpp",
            queue_metric="llamacpp:requests_deferred",
            continuation=Continuation.TRAILING,
            counting=Counting.TEMPLATE,
            health="/health",
            slots=1,
            neutral={"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
            penalty="repeat_penalty",
            raw_constraint=RawConstraint.JSON_SCHEMA,
        ),
        Dialect(name="ollama", owner="library", slots=1),
        Dialect(name="plain", slots=16, open_ended=True),
    )
}
PLAIN: Final = DIALECTS["plain"]


def dialect_of(owner: str, configured: str) -> Dialect:
    """Return the dialect that is configured, else that of the server's own name, else the plain one."""
    if configured:
        return DIALECTS[configured]
    return next((each for each in DIALECTS.values() if each.owner and each.owner == owner), PLAIN)


BYTES_PER_TOKEN: Final = 4
MESSAGE_TOKENS: Final = 4
"""What a chat template adds to a message, about."""


def estimate_text(text: str) -> int:
    """Guess the tokens of a text: one per four bytes of UTF-8, never none.

    That is near for prose in the usual vocabularies, low for numbers and rare scripts. A guess decides what
    the call is charged at admission, not whether it fits: the server judges that.
    """
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN) or 1


def estimate_chat(chat: Chat) -> int:
    """Guess the tokens of a chat with its tools."""
    texts = [message.content for message in chat.messages]
    texts += [call.name + call.arguments for message in chat.messages for call in message.tool_calls]
    texts += [tool.name + tool.description + tool.parameters_schema for tool in chat.tools]
    return MESSAGE_TOKENS * (len(chat.messages) + len(chat.tools)) + sum(map(estimate_text, texts))


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the server."""

    path: str
    body: dict[str, Any]
    withheld: str = ""
    """White space at the end of the text so far, which templates cut off: the answer may repeat it."""


def request(dialect: Dialect, model: str, job: BackendRequest) -> Request:
    """Write a job. Raises BackendInvalid for what the dialect has no words for."""
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(dialect, job.sampling),
    }
    if job.prompt.chat is None or not (job.open_ended and dialect.open_ended):
        body["max_tokens"] = job.max_new_tokens
    if dialect.running_usage:
        body["stream_options"]["continuous_usage_stats"] = True
    if stops := job.stop[: dialect.stops]:
        body["stop"] = list(stops)
    chat = job.prompt.chat
    if job.top_alternatives or job.logprobs:
        likeliest = max(1, job.top_alternatives)  # some servers take none of them for no log-probabilities
        asked = {"logprobs": likeliest}
        body |= asked if chat is None else {"logprobs": True, "top_logprobs": likeliest}
    if job.constraint is not None:
        body |= _constraint(dialect, job.constraint, raw=chat is None)
    if chat is None:
        return Request("/v1/completions", body | {"prompt": job.prompt.text + job.emitted_text})
    names = names_of(chat)
    body |= write_chat(chat, names)
    if chat.tools:
        body["tool_choice"] = _tool_choice(job, names)
        if job.max_tool_calls == 1:
            body["parallel_tool_calls"] = False
    emitted = job.emitted_text.rstrip()
    if emitted:
        body |= _continued(dialect, body["messages"], emitted)
    return Request("/v1/chat/completions", body, job.emitted_text[len(emitted) :])


def _tool_choice(job: BackendRequest, names: ModelNames) -> str | dict[str, Any]:
    if job.tool_choice is not ToolChoice.REQUIRED:
        return "auto"
    if job.tool_choice_name:
        return {"type": "function", "function": {"name": names.shown(job.tool_choice_name)}}
    return "required"


def _continued(dialect: Dialect, messages: Sequence[dict[str, Any]], emitted: str) -> dict[str, Any]:
    """Ask to go on with the assistant's text."""
    if dialect.continuation is Continuation.NONE:
        raise BackendInvalid(f"a {dialect.name} server cannot go on with a text")
    last = messages[-1]
    if dialect.continuation is Continuation.TRAILING:
        if last["role"] == Role.ASSISTANT.value:
            return {"messages": [*messages[:-1], last | {"content": (last["content"] or "") + emitted}]}
        return {"messages": [*messages, {"role": Role.ASSISTANT.value, "content": emitted}]}
    return {
        "messages": [*messages, {"role": Role.ASSISTANT.value, "content": emitted}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def _sampling(dialect: Dialect, sampling: Sampling) -> dict[str, Any]:
    """Write the sampling over the neutral values, since a server's defaults may come with its model."""
    fields: dict[str, Any] = {**dialect.neutral, "temperature": sampling.temperature}
    if sampling.repetition_penalty not in {0.0, 1.0}:
        fields[dialect.penalty] = sampling.repetition_penalty
    if sampling.frequency_penalty:
        fields["frequency_penalty"] = sampling.frequency_penalty
    if sampling.presence_penalty:
        fields["presence_penalty"] = sampling.presence_penalty
    if sampling.greedy:
        return fields
    if 0.0 < sampling.top_p < 1.0:
        fields["top_p"] = sampling.top_p
    if sampling.top_k:
        fields["top_k"] = sampling.top_k
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    return fields


def _constraint(dialect: Dialect, constraint: Constraint, *, raw: bool) -> dict[str, Any]:
    if constraint.kind is ConstraintKind.REGEX:
        if not dialect.regex:
            raise BackendInvalid(f"a {dialect.name} server takes no regular expressions")
        return dict(_nested(path.split("."), constraint.text) for path in dialect.regex)
    schema = orjson.loads(constraint.text)
    if raw and dialect.raw_constraint is RawConstraint.JSON_SCHEMA:
        return {"json_schema": schema}
    if raw and dialect.raw_constraint is RawConstraint.NONE:
        raise BackendInvalid(f"a {dialect.name} server constrains the answers to chats only: send messages")
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _nested(path: Sequence[str], value: Any) -> tuple[str, Any]:
    for name in reversed(path[1:]):
        value = {name: value}
    return path[0], value
