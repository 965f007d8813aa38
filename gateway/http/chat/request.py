"""Turns a chat request into what the kernel is asked for. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from msgspec import Raw

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.chat import messages
from gateway.http.chat.schema import Body, Choice, Tool
from gateway.http.common import checks, formats, hints, sampling, tools
from gateway.http.common.conversation import Conversation
from gateway.http.common.hints import Header
from gateway.http.common.plan import Plan
from gateway.http.common.words import Words
from gateway.http.errors import UnsupportedParameter
from services.chassis.rpc.errors import InvalidRequest

MOST_CHOICES: Final = 16
_WORDS: Final = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "tool_choice_name": "tool_choice",
    "max_tool_calls": "parallel_tool_calls",
    "sampling": "",
    "top_alternatives": "top_logprobs",
    "affinity_key": "prompt_cache_key",
}


@dataclass(slots=True)
class Chat:
    """A chat request, read."""

    plan: Plan
    seeds: tuple[int | None, ...] = (None,)
    """One for each answer."""
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    custom: frozenset[str] = field(default=frozenset())
    """Names of the tools that take free input."""
    tier: bool = False
    """Whether the client asked for a service tier, and is told the one that is applied."""


def read(
    body: Body, *, header: Header, resolve: Callable[[str], str], temperature: float, request_id: str = ""
) -> Chat:
    """Read a request. `temperature` is that of a client who names none; `resolve` knows models' aliases.

    Raises InvalidRequest, UnsupportedParameter or UnsupportedContent, by the client's names of fields.
    """
    _refuse_what_nothing_here_can_do(body)
    words = Words(dict(_WORDS))
    request = pb.GenerateRequest(request_id=request_id)
    request.model = checks.characters(resolve(body.model or ""), "model", checks.MODEL_CHARACTERS)
    _write_messages(request, body, words)
    custom = _write_tools(request, body, words)
    _write_sampling(request, body, words, temperature)
    if body.response_format is not None:
        form = body.response_format
        schema = form.json_schema.schema if form.json_schema is not None else Raw(b"")
        path = "response_format"
        formats.write(
            request, form.type, schema, path=path, schema_path=f"{path}.json_schema.schema", words=words
        )
    words.paths.update(hints.write_headers(request, header))
    tier = hints.write_tier(request, body.service_tier)
    request.affinity_key = hints.affinity(body.prompt_cache_key, header("x-session-affinity"))
    return Chat(
        Plan(request, words, tier),
        seeds=_seeds(body, request),
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        logprobs=request.logprobs,
        custom=custom,
        tier=bool(body.service_tier),
    )


def _refuse_what_nothing_here_can_do(body: Body) -> None:
    for name, asked, why in (
        ("modalities", set(body.modalities or ()) - {"text"}, "answers are text"),
        ("audio", checks.present(body.audio), "answers are text"),
        ("web_search_options", checks.present(body.web_search_options), "there is no web search here"),
        ("moderation", checks.present(body.moderation), "there is no moderation here"),
        ("functions", bytes(body.functions) not in {b"", b"null", b"[]"}, "use tools"),
        ("function_call", bytes(body.function_call) not in {b"", b"null", b'"none"'}, "use tool_choice"),
        ("logit_bias", sampling.biased(body.logit_bias), "not supported"),
    ):
        if asked:
            raise UnsupportedParameter.field(name, why)


def _write_messages(request: pb.GenerateRequest, body: Body, words: Words) -> None:
    if not body.messages:
        raise InvalidRequest.field("messages", "at least one message is required")
    talk = Conversation(words, "messages")
    for index, message in enumerate(body.messages):
        messages.write(talk, message, f"messages[{index}]")
    request.messages.extend(talk.messages)


def _write_tools(request: pb.GenerateRequest, body: Body, words: Words) -> frozenset[str]:
    """Offer the tools; return the names of those with free input. Kinds that are not known are left out."""
    offered = tools.Tools(words)
    custom = set()
    for index, tool in enumerate(body.tools or ()):
        if tool.type == "custom" and tool.custom is not None:
            path = f"tools[{index}].custom"
            offered.add(tool.custom.name, tool.custom.description or "", tools.FREE_TEXT_SCHEMA, path)
            custom.add(tool.custom.name)
        elif tool.type == "function":
            _offer_function(offered, tool, f"tools[{index}].function")
    choice = _choice(body.tool_choice, most=1 if body.parallel_tool_calls is False else 0)
    offered.write(request, choice, "tool_choice")
    return frozenset(custom)


def _offer_function(offered: tools.Tools, tool: Tool, path: str) -> None:
    function = tool.function
    if function is None:
        raise InvalidRequest.field(path, "is required")
    schema = checks.json_object(function.parameters, f"{path}.parameters")
    offered.add(function.name, function.description or "", schema, path)


def _choice(asked: str | Choice | None, *, most: int) -> tools.Choice:
    if asked is None:
        return tools.Choice(most=most)
    if isinstance(asked, str):
        return tools.Choice(tools.mode(asked, "tool_choice"), most=most)
    if asked.type == "allowed_tools" and asked.allowed_tools is not None:
        allowed = asked.allowed_tools
        mode = tools.mode(allowed.mode, "tool_choice.allowed_tools.mode", ("auto", "required"))
        names = (each.function or each.custom for each in allowed.tools)
        return tools.Choice(mode, allowed=tuple(each.name for each in names if each), most=most)
    named = {"function": asked.function, "custom": asked.custom}.get(asked.type)
    if named is None or not named.name:
        raise InvalidRequest.field(
            "tool_choice", "must be a mode, a function, a custom tool or allowed_tools"
        )
    return tools.Choice(pb.TOOL_CHOICE_REQUIRED, named.name, most=most)


def _write_sampling(request: pb.GenerateRequest, body: Body, words: Words, default: float) -> None:
    chosen = request.sampling
    sampling.write_choice(
        chosen, temperature=body.temperature, top_p=body.top_p, default=default, top_k=body.top_k
    )
    sampling.write_penalties(chosen, frequency=body.frequency_penalty, presence=body.presence_penalty)
    if body.seed is not None:
        chosen.seed = sampling.seed(body.seed)
    path = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    words.say("max_tokens", path)
    asked = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    sampling.write_length(request, asked, path)
    sampling.write_stops(request, [body.stop] if isinstance(body.stop, str) else body.stop or (), "stop")
    _write_logprobs(request, body)


def _write_logprobs(request: pb.GenerateRequest, body: Body) -> None:
    asked = body.top_logprobs or 0
    if asked and not body.logprobs:
        raise InvalidRequest.field("top_logprobs", "needs logprobs to be true")
    if asked > sampling.MOST_ALTERNATIVES:
        raise UnsupportedParameter.field("top_logprobs", f"at most {sampling.MOST_ALTERNATIVES} are told")
    request.top_alternatives = checks.integer(asked, "top_logprobs", 0, sampling.MOST_ALTERNATIVES)
    request.logprobs = bool(body.logprobs)


def _seeds(body: Body, request: pb.GenerateRequest) -> tuple[int | None, ...]:
    """Return the seed of each answer."""
    count = checks.integer(1 if body.n is None else body.n, "n", 1, MOST_CHOICES)
    if count > 1 and request.HasField("gang"):
        raise InvalidRequest.field("n", "several answers are a gang already; leave aios-gang out")
    return tuple(None if body.seed is None else body.seed + index for index in range(count))
