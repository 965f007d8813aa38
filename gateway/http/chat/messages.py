"""The messages of a chat request, as the kernel's. Pure."""

from gateway.http.chat.schema import Call, Message, Part
from gateway.http.common import checks
from gateway.http.common.conversation import Conversation
from gateway.http.common.tools import free_text_arguments
from gateway.http.errors import UnsupportedContent, UnsupportedParameter
from services.chassis.rpc.errors import InvalidRequest


def write(talk: Conversation, message: Message, path: str) -> None:
    """Add one message. Raises InvalidRequest, UnsupportedContent or UnsupportedParameter."""
    match message.role:
        case "system" | "developer":
            talk.system(_required(message, path), path, message.name or "")
        case "user":
            talk.user(_required(message, path), path, message.name or "")
        case "assistant":
            _assistant(talk, message, path)
        case "tool":
            text = _text(message.content, f"{path}.content")
            talk.result(message.tool_call_id or "", text, path, id_path=f"{path}.tool_call_id")
        case "function":
            raise UnsupportedParameter.field(f"{path}.role", "functions are not supported; use tools")
        case _:
            raise InvalidRequest.field(
                f"{path}.role", "must be one of developer, system, user, assistant, tool"
            )


def _assistant(talk: Conversation, message: Message, path: str) -> None:
    if checks.present(message.audio):
        raise UnsupportedContent.part(f"{path}.audio", "audio")
    if checks.present(message.function_call):
        raise UnsupportedParameter.field(f"{path}.function_call", "not supported; use tool_calls")
    calls = message.tool_calls or []
    text = _text(message.content, f"{path}.content") or message.refusal or ""
    if text or not calls or not talk.after_assistant:
        talk.assistant(text, path, message.name or "")
    for index, call in enumerate(calls):
        _call(talk, call, f"{path}.tool_calls[{index}]")


def _call(talk: Conversation, call: Call, path: str) -> None:
    if call.custom is not None:
        kind, value = "custom", "input"
        name, text = call.custom.name, free_text_arguments(call.custom.input or "")
    elif call.function is not None:
        kind, value = "function", "arguments"
        name, text = call.function.name, call.function.arguments or ""
    else:
        raise InvalidRequest.field(f"{path}.function", "a tool call needs a function")
    talk.call(
        call.id,
        name,
        text,
        path,
        arguments_path=f"{path}.{kind}.{value}",
        id_path=f"{path}.id",
        name_path=f"{path}.{kind}.name",
    )


def _required(message: Message, path: str) -> str:
    if message.content is None:
        raise InvalidRequest.field(f"{path}.content", "is required")
    return _text(message.content, f"{path}.content")


def _text(content: str | list[Part] | None, path: str) -> str:
    """Join the texts of a message's parts."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for index, part in enumerate(content):
        text = {"text": part.text, "refusal": part.refusal}.get(part.type)
        if part.type not in {"text", "refusal"}:
            raise UnsupportedContent.part(f"{path}[{index}]", part.type)
        if text is None:
            raise InvalidRequest.field(f"{path}[{index}].{part.type}", "is required")
        texts.append(text)
    return "\n".join(texts)
