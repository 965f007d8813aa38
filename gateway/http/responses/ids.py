"""Names of responses and their items. They say nothing and mean nothing outside their agent. Pure."""

import hashlib
import re
import secrets
from typing import Final

HEX: Final = 32
_RESPONSE: Final = re.compile(rf"resp_([0-9a-f]{{{HEX}}})")
_ITEM: Final = re.compile(rf"[a-z]{{2,4}}_([0-9a-f]{{{HEX}}})([io])([0-9a-f]{{3,8}})")
_CONVERSATION: Final = re.compile(rf"conv_([0-9a-f]{{{HEX}}})")
_SAID: Final = re.compile(rf"[a-z]{{2,4}}_([0-9a-f]{{{HEX}}})c([0-9a-f]{{5}})([0-9a-f]{{2}})")
_PREFIXES: Final = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "cto",
    "compaction": "cmp",
}


def new(agent: str, request_id: str) -> str:
    """Return the digits of a response: always the same for one request id of an agent, else new ones."""
    if not request_id:
        return secrets.token_hex(HEX // 2)
    return hashlib.sha256(f"{agent}\n{request_id}".encode()).hexdigest()[:HEX]


def response_id(digits: str) -> str:
    """Return a response's id."""
    return f"resp_{digits}"


def digits_of(ident: str) -> str | None:
    """Return the digits of a response's id, or None for what is none of ours."""
    found = _RESPONSE.fullmatch(ident)
    return found[1] if found else None


def output_id(kind: str, digits: str, index: int) -> str:
    """Return the id of an item of the output."""
    return f"{_PREFIXES.get(kind, 'item')}_{digits}o{index:03x}"


def input_id(kind: str, digits: str, index: int) -> str:
    """Return the id of an item of the input."""
    return f"{_PREFIXES.get(kind, 'item')}_{digits}i{index:03x}"


def response_of(item: str) -> str | None:
    """Return the digits of the response that an item belongs to, or None for what is none of ours."""
    found = _ITEM.fullmatch(item)
    return found[1] if found else None


def conversation_id(digits: str) -> str:
    """Return a conversation's id."""
    return f"conv_{digits}"


def conversation_digits(ident: str) -> str | None:
    """Return the digits of a conversation's id, or None for what is none of ours."""
    found = _CONVERSATION.fullmatch(ident)
    return found[1] if found else None


def said_id(kind: str, digits: str, position: int, part: int) -> str:
    """Return the id of an item of a conversation: a message, and the parts that it was told in."""
    return f"{_PREFIXES.get(kind, 'item')}_{digits}c{position:05x}{part:02x}"


def said_place(ident: str) -> tuple[str, int, int] | None:
    """Return conversation, position and part of an item, or None for what is none of a conversation."""
    found = _SAID.fullmatch(ident)
    return (found[1], int(found[2], 16), int(found[3], 16)) if found else None
