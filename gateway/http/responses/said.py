"""The messages of a conversation as items, and a client's notes on it as labels. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.http.responses import ids
from gateway.http.responses.answer import Json
from services.chassis.chat import ChatMessage, Role
from services.chassis.rpc.errors import InvalidRequest

_LABEL: Final = "aios-metadata-"
_CHARACTERS: Final = 1024
_LABELS: Final = 28


def items_of(digits: str, position: int, message: ChatMessage) -> list[Json]:
    """Return the items that a message is told as, at least one.

    A call of a custom tool is told as a function's: what a tool was to its client is not kept here.
    """
    if message.role is Role.TOOL:
        output = {"call_id": message.tool_call_id, "output": message.content}
        return [_item("function_call_output", digits, position, 0, output)]
    found: list[Json] = []
    if message.content or not message.tool_calls:
        kind = "output_text" if message.role is Role.ASSISTANT else "input_text"
        part: Json = {"type": kind, "text": message.content}
        if message.role is Role.ASSISTANT:
            part |= {"annotations": [], "logprobs": []}
        told = {"role": message.role.value, "content": [part]}
        found.append(_item("message", digits, position, 0, told))
    for call in message.tool_calls:
        named = {"call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}
        found.append(_item("function_call", digits, position, len(found), named))
    return found


def all_items(
    digits: str, said: Sequence[tuple[int, ChatMessage]], *, newest_first: bool = False
) -> list[Json]:
    """Return the items of messages with their positions, in the order of the messages."""
    found: list[Json] = []
    for position, message in said:
        items = items_of(digits, position, message)
        found += reversed(items) if newest_first else items
    return found


def labels_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Write a client's notes into labels. Raises InvalidRequest when they take more than there are."""
    text = msgspec.json.encode(metadata).decode() if metadata else ""
    pieces = [text[at : at + _CHARACTERS] for at in range(0, len(text), _CHARACTERS)]
    if len(pieces) > _LABELS:
        raise InvalidRequest.field("metadata", "takes too much room")
    return {f"{_LABEL}{index:02d}": piece for index, piece in enumerate(pieces)}


def metadata_of(labels: Mapping[str, str]) -> dict[str, str]:
    """Read a client's notes from labels; none where something else wrote them."""
    text = "".join(labels[key] for key in sorted(labels) if key.startswith(_LABEL))
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except msgspec.DecodeError:
        return {}


def _item(kind: str, digits: str, position: int, part: int, told: Json) -> Json:
    return {"id": ids.said_id(kind, digits, position, part), "type": kind, **told, "status": "completed"}
