"""Reads the input of a request: items as messages of the kernel, and as they are told again. Pure."""

import base64
import binascii
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from aios.api.common.v1 import chat_pb2
from gateway.http.common import checks
from gateway.http.common.conversation import MESSAGES, Conversation
from gateway.http.common.words import Words
from gateway.http.errors import NotFound, UnsupportedContent, UnsupportedParameter
from gateway.http.responses.ids import input_id
from gateway.http.responses.offered import Offered, flat, input_arguments
from gateway.http.responses.schema import Content, Item, Part
from services.chassis.rpc.errors import InvalidRequest

T = TypeVar("T")

_DROPPED: Final = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "computer_call",
        "computer_call_output",
        "tool_search_call",
        "tool_search_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
    }
)
"""What vendors' own tools leave in a conversation. It means nothing here, and clients send all they got."""
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_ROLES: Final = ("user", "assistant", "system", "developer")


class Kept(msgspec.Struct, frozen=True):
    """A message inside a compaction item."""

    role: int
    content: str = ""
    calls: list[tuple[str, str, str]] = []
    call: str = ""


class InputReader:
    """Reads items one by one. Raises InvalidRequest, UnsupportedContent or NotFound in the client's words."""

    def __init__(self, offered: Offered, hexa: str, earlier: Sequence[chat_pb2.ChatMessage]) -> None:
        self.words = Words()
        self.conversation = Conversation(self.words, "input")
        self.items: list[dict[str, object]] = []
        """The items as they are told again."""
        self._offered = offered
        self._hex = hexa
        self._calls = {call.id for message in earlier for call in message.tool_calls}

    @property
    def messages(self) -> list[chat_pb2.ChatMessage]:
        """The input's own messages."""
        return self.conversation.messages

    def read(self, asked: str | Sequence[Item] | None, path: str = "input") -> None:
        """Read an input, which the client calls by a path."""
        if isinstance(asked, str):
            self._message(Item(role="user", content=asked), path)
            return
        for index, item in enumerate(asked or ()):
            self._item(item, f"{path}[{index}]")

    def _item(self, item: Item, path: str) -> None:
        match kind_of(item):
            case "message":
                self._message(item, path)
            case "function_call":
                arguments = _arguments(item, path)
                self._call(item, path, arguments, {"arguments": arguments})
            case "custom_tool_call":
                text = _text(item.input, f"{path}.input")
                self._call(item, path, input_arguments(text), {"input": text})
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, path)
            case "additional_tools":
                self._offered.add(item.tools or (), f"{path}.tools", echo=False)
            case "compaction":
                self._compaction(item, path)
            case "item_reference":
                raise NotFound(f"there is no item {(item.id or '')[:128]!r}", violations=())
            case kind if kind in _DROPPED:
                pass
            case kind:
                raise UnsupportedParameter.field(
                    f"{path}.type", f"items of type {kind[:64]!r} are not understood"
                )

    def _message(self, item: Item, path: str) -> None:
        text = text_of(item.content, f"{path}.content" if path.endswith("]") else path)
        match item.role:
            case "user":
                self.conversation.user(text, path)
            case "assistant":
                self.conversation.assistant(text, path)
            case "system" | "developer":
                self.conversation.system(text, path)
            case _:
                raise InvalidRequest.field(f"{path}.role", f"must be one of {', '.join(_ROLES)}")
        if item.role == "assistant":
            part: dict[str, object] = {"type": "output_text", "text": text, "annotations": []}
        else:
            part = {"type": "input_text", "text": text}
        self._tell("message", item, {"role": item.role, "content": [part]})

    def _call(self, item: Item, path: str, arguments: str, told: dict[str, object]) -> None:
        call, name = item.call_id or "", item.name or ""
        self.conversation.call(
            call,
            flat(name, item.namespace),
            arguments,
            path,
            arguments_path=f"{path}.arguments" if item.type == "function_call" else f"{path}.input",
        )
        self._calls.add(checks.key(call))
        spaced = {"namespace": item.namespace} if item.namespace else {}
        self._tell(item.type, item, {"call_id": call, "name": name, **told, **spaced})

    def _output(self, item: Item, path: str) -> None:
        call = item.call_id or ""
        if call and checks.key(call) not in self._calls:
            raise InvalidRequest.field(
                f"{path}.call_id", f"no tool call was found for the output of call {call[:128]!r}"
            )
        text = text_of(_output(item.output, f"{path}.output"), f"{path}.output")
        self.conversation.result(call, text, path, id_path=f"{path}.call_id")
        self._tell(item.type, item, {"call_id": call, "output": text})

    def _compaction(self, item: Item, path: str) -> None:
        """Put what a compaction stands for in its place."""
        at = f"{path}.encrypted_content"
        text = _text(item.encrypted_content, at)
        kept = unpacked(text, at)
        if len(self.messages) + len(kept) > MESSAGES:
            raise InvalidRequest.field(at, f"a conversation of more than {MESSAGES} messages is not taken")
        self.messages.extend(kept)
        self._calls.update(call.id for message in kept for call in message.tool_calls)
        self._tell("compaction", item, {"encrypted_content": text})

    def _tell(self, kind: str, item: Item, told: dict[str, object]) -> None:
        ident = item.id if item.id and len(item.id) <= checks.NAME_CHARACTERS else None
        ident = ident or input_id(kind, self._hex, len(self.items))
        done = {} if kind == "compaction" else {"status": "completed"}
        self.items.append({"id": ident, "type": kind, **told, **done})


def kind_of(item: Item) -> str:
    """Return an item's type; clients leave it out where they find it plain."""
    return item.type or ("message" if item.role else "item_reference" if item.id else "")


def text_of(content: Content, path: str) -> str:
    """Return the text of a content. Raises UnsupportedContent."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def packed(messages: Sequence[chat_pb2.ChatMessage]) -> str:
    """Write messages as the opaque text of a compaction item."""
    kept = [
        Kept(
            int(each.role),
            each.content,
            [(call.id, call.name, call.arguments_json) for call in each.tool_calls],
            each.tool_call_id,
        )
        for each in messages
    ]
    return base64.b64encode(msgspec.json.encode(kept)).decode()


def unpacked(text: str, path: str) -> list[chat_pb2.ChatMessage]:
    """Read the messages of a compaction item, which came from a client. Raises InvalidRequest."""
    try:
        found = msgspec.json.decode(base64.b64decode(text, validate=True), type=list[Kept])
        messages = [_kept(each) for each in found]
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidRequest.field(path, "is no compaction of this server") from None
    return messages


def _output(raw: msgspec.Raw, path: str) -> Content:
    if bytes(memoryview(raw)[:1]) == b'"':
        return _text(raw, path)
    return _read(raw, list[Part], path, "a text or a list of content")


def _kept(kept: Kept) -> chat_pb2.ChatMessage:
    if kept.role not in set(chat_pb2.Role.values()) or not kept.role:
        raise ValueError
    message = chat_pb2.ChatMessage(
        role=chat_pb2.Role.Name(kept.role), content=kept.content, tool_call_id=kept.call
    )
    for ident, name, arguments in kept.calls:
        message.tool_calls.add(id=ident, name=name, arguments_json=arguments)
    return message


def _part(part: Part, path: str) -> str:
    if part.type in _TEXTS or (not part.type and part.text is not None):
        return part.text or ""
    if part.type == "refusal":
        return part.refusal or ""
    raise UnsupportedContent.part(path, part.type)


def _read(raw: msgspec.Raw, shape: type[T], path: str, what: str) -> T | None:
    """Read a field that other kinds fill otherwise; None when it was not sent. Raises InvalidRequest."""
    if not checks.present(raw):
        return None
    try:
        found: T = msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise InvalidRequest.field(path, f"must be {what}") from None
    return found


def _arguments(item: Item, path: str) -> str:
    if bytes(memoryview(item.arguments)[:1]) == b"{":
        return checks.json_object(item.arguments, f"{path}.arguments", checks.ARGUMENTS_BYTES)
    return _text(item.arguments, f"{path}.arguments")


def _text(raw: msgspec.Raw, path: str) -> str:
    return _read(raw, str, path, "a text") or ""
