"""From a Messages body to the kernel's request. Pure."""

from collections.abc import Iterator
from typing import Final

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks, formats, hints, sampling
from gateway.http.common.conversation import Conversation
from gateway.http.common.tools import Choice, Tools, mode
from gateway.http.common.words import Words
from gateway.http.errors import UnsupportedParameter
from gateway.http.messages.schema import Block, Counted, Message, Request, Source
from services.chassis.rpc.errors import InvalidRequest

_CHOICES: Final = ("auto", "any", "tool", "none")
_DEFAULT_TEMPERATURE: Final = 1.0
_HOTTEST: Final = 1.0
_WORDS: Final = {
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "messages": "messages",
    "tools": "tools",
    "tool_choice_name": "tool_choice.name",
    "sampling": "temperature",
}
_THOUGHT: Final = frozenset({"thinking", "redacted_thinking"})
_PICTURES: Final = frozenset({"image", "document"})


def generation(body: Request, header: hints.Header) -> tuple[pb.GenerateRequest, Words, hints.Tier]:
    """Return what to generate, whose fields are which, and the tier that is asked for.

    Raises InvalidRequest or UnsupportedParameter.
    """
    words = Words(dict(_WORDS))
    request = pb.GenerateRequest()
    words.paths |= hints.write_headers(request, header)
    prompt(body, request, words)
    sampling.write_choice(
        request.sampling,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        default=_DEFAULT_TEMPERATURE,
        hottest=_HOTTEST,
    )
    sampling.write_length(request, body.max_tokens, "max_tokens")
    sampling.write_stops(request, body.stop_sequences or (), "stop_sequences")
    _write_format(body, request, words)
    request.affinity_key = hints.affinity(header("x-session-affinity"), header("x-claude-code-session-id"))
    return request, words, hints.write_tier(request, body.speed or body.service_tier)


def counting(body: Counted) -> tuple[pb.CountTokensRequest, Words]:
    """Return what to count. Raises InvalidRequest or UnsupportedParameter."""
    words = Words(dict(_WORDS))
    request = pb.GenerateRequest()
    prompt(body, request, words)
    return pb.CountTokensRequest(messages=request.messages, tools=request.tools), words


def prompt(body: Counted, request: pb.GenerateRequest, words: Words) -> None:
    """Write what the prompt is made of: instructions, turns and tools."""
    checks.characters(body.model, "model", checks.MODEL_CHARACTERS)
    conversation = Conversation(words, "messages")
    for text, path in _texts(body.system, "system"):
        conversation.system(text, path)
    for index, message in enumerate(body.messages):
        _turn(conversation, message, f"messages[{index}]")
    if not body.messages:
        raise InvalidRequest.field("messages", "at least one message is required")
    request.messages.extend(conversation.messages)
    _write_tools(body, request, words)


def _turn(conversation: Conversation, message: Message, path: str) -> None:
    match message.role:
        case "user":
            _user(conversation, message.content, f"{path}.content")
        case "assistant":
            _assistant(conversation, message.content, f"{path}.content")
        case "system":
            for text, where in _texts(message.content, f"{path}.content"):
                conversation.system(text, where)
        case _:
            raise InvalidRequest.field(f"{path}.role", "must be user or assistant")


def _user(conversation: Conversation, content: str | list[Block], path: str) -> None:
    """Add a turn of the user: results of tools first, since servers want them right behind their calls."""
    if isinstance(content, str):
        conversation.user(content, path)
        return
    texts: list[str] = []
    for index, block in enumerate(content):
        where = f"{path}[{index}]"
        if block.type == "tool_result":
            said = _joined(block.content, f"{where}.content")
            text = f"error: {said}" if block.is_error else said
            conversation.result(block.tool_use_id or "", text, where, id_path=f"{where}.tool_use_id")
        else:
            texts.append(_text(block, where))
    if texts or not content:
        conversation.user("\n".join(texts), path)


def _assistant(conversation: Conversation, content: str | list[Block], path: str) -> None:
    if isinstance(content, str):
        conversation.assistant(content, path)
        return
    texts = [
        _text(block, f"{path}[{index}]")
        for index, block in enumerate(content)
        if block.type == "text"  # thoughts stay with the model, and what ran at the vendor means nothing here
    ]
    conversation.assistant("\n".join(texts), path)
    for index, block in enumerate(content):
        where = f"{path}[{index}]"
        if block.type in _PICTURES:
            raise _unsupported(block, where)
        if block.type == "tool_use":
            arguments = checks.json_object(block.input, f"{where}.input", checks.ARGUMENTS_BYTES)
            conversation.call(
                block.id or "", block.name or "", arguments, where, arguments_path=f"{where}.input"
            )


def _text(block: Block, path: str) -> str:
    """Return the text of a block of a user's turn. Raises InvalidRequest or UnsupportedParameter."""
    if block.type == "text":
        if block.text is None:
            raise InvalidRequest.field(f"{path}.text", "is required in a block of text")
        return block.text
    source = block.source
    if block.type == "document" and isinstance(source, Source) and source.type == "text":
        return source.data
    if block.type in _THOUGHT:
        return ""
    if block.type == "search_result":
        return _found(block, f"{path}.content")
    raise _unsupported(block, path)


def _found(block: Block, path: str) -> str:
    """Return the text of a search result, which holds texts and nothing deeper."""
    for index, each in enumerate(block.content if isinstance(block.content, list) else ()):
        if each.type != "text":
            raise _unsupported(each, f"{path}[{index}]")
    return _joined(block.content, path)


def _unsupported(block: Block, path: str) -> UnsupportedParameter:
    return UnsupportedParameter.field(path, f"content of type {block.type[:64]!r} is not supported")


def _joined(content: str | list[Block] | None, path: str) -> str:
    return "\n".join(text for text, _ in _texts(content, path))


def _texts(content: str | list[Block] | None, path: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of content, each with its path."""
    if isinstance(content, str):
        yield content, path
    for index, block in enumerate(content if isinstance(content, list) else ()):
        yield _text(block, f"{path}[{index}]"), f"{path}[{index}]"


def _write_tools(body: Counted, request: pb.GenerateRequest, words: Words) -> None:
    gathered = Tools(words)
    for index, tool in enumerate(body.tools or ()):
        path = f"tools[{index}]"
        if tool.type not in (None, "custom") and not checks.present(tool.input_schema):
            continue  # the vendor's own: nothing here runs it, and clients send it unasked
        schema = checks.json_object(tool.input_schema, f"{path}.input_schema")
        gathered.add(tool.name, tool.description or "", schema, path, schema_path="input_schema")
    gathered.write(request, _choice(body), "tool_choice.name")


def _choice(body: Counted) -> Choice:
    asked = body.tool_choice
    if asked is None:
        return Choice()
    if asked.type not in _CHOICES:
        raise InvalidRequest.field("tool_choice.type", f"must be one of {', '.join(_CHOICES)}")
    most = 1 if asked.disable_parallel_tool_use else 0
    if asked.type != "tool":
        return Choice(mode(asked.type, "tool_choice.type", _CHOICES), most=most)
    if not asked.name:
        raise InvalidRequest.field("tool_choice.name", "is required with type tool")
    return Choice(pb.TOOL_CHOICE_REQUIRED, asked.name, most=most)


def _write_format(body: Request, request: pb.GenerateRequest, words: Words) -> None:
    inner = body.output_config.format if body.output_config is not None else None
    asked, path = (
        (inner, "output_config.format") if inner is not None else (body.output_format, "output_format")
    )
    if asked is not None:
        formats.write(request, asked.type, asked.schema, path=path, schema_path=f"{path}.schema", words=words)
