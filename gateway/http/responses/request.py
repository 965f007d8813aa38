"""Reads a request whole: what the kernel is to generate, and what the answer repeats. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks, formats, hints, sampling
from gateway.http.common.conversation import MESSAGES
from gateway.http.common.hints import Header, Tier
from gateway.http.common.text import ShownText
from gateway.http.common.words import Words
from gateway.http.errors import UnsupportedParameter
from gateway.http.responses import offered as offer
from gateway.http.responses.answer import Json
from gateway.http.responses.items import InputReader
from gateway.http.responses.offered import Offered
from gateway.http.responses.schema import Asked, Create, Item, Text
from services.chassis.chat import ChatMessage
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import InvalidRequest

_LOGPROBS: Final = "message.output_text.logprobs"
_PAIRS: Final = 16
_KEY: Final = 64
_VALUE: Final = 512
_MOST_LOGPROBS: Final = 20
_TRUNCATIONS: Final = ("auto", "disabled")

Input = str | Sequence[Item] | None


@dataclass(slots=True)
class Prepared:
    """A request that was read."""

    generation: pb.GenerateRequest
    offered: Offered
    words: Words
    """What the client calls the fields of `generation`."""
    tier: Tier
    own: list[chat_pb2.ChatMessage]
    """The messages that the request itself brought, without instructions and what went before."""
    items: list[Json]
    """The input as it is told again."""
    conversation: tuple[ChatMessage, ...] = ()
    """What went before and `own`, without instructions."""
    echo: Json = field(default_factory=dict)

    def shown(self) -> ShownText:
        """Return what cuts the calls out of a growing answer."""
        return shown_text(self.generation)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a request does not say itself."""

    digits: str
    """Of the response that is to be."""
    model: str
    """The kernel's model."""
    header: Header
    temperature: float
    """Of who names none."""
    earlier: Sequence[chat_pb2.ChatMessage] = ()
    """The conversation that the request follows."""


def shown_text(asked: pb.GenerateRequest) -> ShownText:
    """Return what cuts the calls out of a growing answer."""
    return ShownText.of(asked)


def prepare(body: Create, around: Surroundings, given: Input = None) -> Prepared:
    """Read a request. `given` is its input without references.

    Raises InvalidRequest, UnsupportedParameter, UnsupportedContent or NotFound.
    """
    check(body)
    prepared = read(body, around, body.input if given is None else given)
    asked, words = prepared.generation, prepared.words
    _write_tools(prepared, body)
    form = body.text.format if body.text is not None else None
    if form is not None:
        formats.write(
            asked, form.type, form.schema, path="text.format", schema_path="text.format.schema", words=words
        )
    sampling.write_choice(
        asked.sampling, temperature=body.temperature, top_p=body.top_p, default=around.temperature
    )
    sampling.write_length(asked, body.max_output_tokens, "max_output_tokens")
    words.say("max_tokens", "max_output_tokens")
    words.paths.update(hints.write_headers(asked, around.header))
    prepared.tier = hints.write_tier(asked, body.service_tier)
    session = around.header("x-session-affinity")
    asked.affinity_key = hints.affinity(body.prompt_cache_key, session)
    _write_logprobs(asked, body)
    prepared.echo = _echo(body, prepared)
    return prepared


def read(body: Asked, around: Surroundings, given: Input) -> Prepared:
    """Read model, input, instructions and tools, which every request about a conversation has."""
    if checks.present(body.prompt):
        raise UnsupportedParameter.field("prompt", "there are no stored prompts")
    words = Words()
    offered = Offered(words)
    offered.add(body.tools or (), "tools")
    reader = InputReader(offered, around.digits, around.earlier)
    reader.read(given)
    if not reader.messages and not around.earlier:
        reader.read("")  # the vendor's clients may leave the input out
    checks.content(body.instructions or "", "instructions")
    messages = joined(body.instructions or "", [*around.earlier, *reader.messages])
    if len(messages) > MESSAGES:
        raise InvalidRequest.field("input", f"a conversation of more than {MESSAGES} messages is not taken")
    _shift(words, reader.words, len(messages) - len(reader.messages))
    checks.characters(around.model, "model", checks.MODEL_CHARACTERS)
    asked = pb.GenerateRequest(model=around.model, messages=messages)
    conversation = chat_wire.messages([*around.earlier, *reader.messages])
    return Prepared(asked, offered, words, Tier(), reader.messages, reader.items, conversation)


def joined(instructions: str, messages: Sequence[chat_pb2.ChatMessage]) -> list[chat_pb2.ChatMessage]:
    """Put instructions before a conversation; system messages that lead become one, as templates want it."""
    leading = [instructions] if instructions else []
    rest = list(messages)
    while rest and rest[0].role == chat_pb2.ROLE_SYSTEM:
        leading.append(rest.pop(0).content)
    if not leading:
        return rest
    text = checks.content("\n\n".join(part for part in leading if part), "instructions")
    return [chat_pb2.ChatMessage(role=chat_pb2.ROLE_SYSTEM, content=text), *rest]


def check(body: Create) -> None:
    """Refuse what cannot be kept or told again. Raises InvalidRequest."""
    metadata(body.metadata)
    if body.truncation is not None and body.truncation not in _TRUNCATIONS:
        raise InvalidRequest.field("truncation", f"must be one of {', '.join(_TRUNCATIONS)}")
    checks.content(body.instructions or "", "instructions")


def metadata(pairs: dict[str, str] | None) -> dict[str, str]:
    """Return a client's own notes, within the bounds that the vendor documents. Raises InvalidRequest."""
    if not pairs:
        return {}
    if len(pairs) > _PAIRS:
        raise InvalidRequest.field("metadata", f"at most {_PAIRS} pairs are taken")
    for key, value in pairs.items():
        checks.characters(key, "metadata", _KEY)
        checks.characters(value, f"metadata.{key}", _VALUE)
    return pairs


def _write_tools(prepared: Prepared, body: Create) -> None:
    wanted = offer.choice(body.tool_choice, parallel=body.parallel_tool_calls)
    prepared.offered.tools.write(prepared.generation, wanted, "tool_choice")


def _write_logprobs(asked: pb.GenerateRequest, body: Create) -> None:
    most = checks.integer(body.top_logprobs or 0, "top_logprobs", 0, _MOST_LOGPROBS)
    if most > sampling.MOST_ALTERNATIVES:
        description = f"at most {sampling.MOST_ALTERNATIVES} are told here"
        raise UnsupportedParameter.field("top_logprobs", description)
    asked.logprobs = bool(most) or _LOGPROBS in (body.include or ())
    asked.top_alternatives = most


def _shift(words: Words, own: Words, by: int) -> None:
    """Name the request's own messages, which stand behind others."""
    for ours, theirs in own.paths.items():
        index = int(ours.removeprefix("messages[").removesuffix("]"))
        words.say(f"messages[{index + by}]", theirs)


def _echo(body: Create, prepared: Prepared) -> Json:
    """Return the fields of an answer that only repeat the request."""
    return {
        "background": bool(body.background),
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": body.safety_identifier,
        "service_tier": prepared.tier.applied,
        "temperature": prepared.generation.sampling.temperature,
        "text": _text(body.text),
        "tool_choice": _tool_choice(body),
        "tools": prepared.offered.echo,
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": body.truncation or "disabled",
        "user": body.user,
    }


def _text(text: Text | None) -> Json:
    form: Json = {"type": "text"}
    if text is not None and text.format is not None and text.format.type != "text":
        form = {"type": text.format.type}
        if text.format.type == "json_schema":
            schema = text.format.schema.copy() if checks.present(text.format.schema) else {}
            form |= {"name": text.format.name or "answer", "schema": schema, "strict": text.format.strict}
    verbosity = text.verbosity if text is not None else None
    return {"format": form, "verbosity": verbosity or "medium"}


def _tool_choice(body: Create) -> object:
    asked = body.tool_choice
    if asked is None or isinstance(asked, str):
        return asked or "auto"
    if asked.type == "allowed_tools":
        named = [{"type": each.type, "name": each.name} for each in asked.tools or ()]
        return {"type": asked.type, "mode": asked.mode, "tools": named}
    return {"type": asked.type, "name": asked.name}
