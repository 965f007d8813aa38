"""How many tokens a text may take, when no tokenizer can be asked: an estimate on the safe side.

By class of byte: ASCII letters and blanks half a token (English takes about a quarter), digits and other
ASCII one, bytes of two- and three-byte characters two thirds (two tokens for a Chinese character), of
four-byte ones one. Byte-level tokenizers never need more than one token a byte, and reach that only on what
is counted so here.
"""

from collections.abc import Sequence
from typing import Final

from services.chassis.chat import ChatMessage, ToolDefinition

LONGEST_TOKEN: Final = 128
"""Most bytes that a token stands for; no vocabulary in use has a longer one."""
MARKS: Final = 8
"""Tokens of the template around one message."""

_ASCII: Final = bytes(range(128))
_LIGHT: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "
_FOUR_BYTE_LEADS: Final = bytes(range(0xF0, 0xF8))


def text(content: str) -> int:
    """Estimate the tokens of a text."""
    data = content.encode()
    heavy = len(data.translate(None, _LIGHT))  # everything that is no letter or blank
    wide = len(data.translate(None, _ASCII))
    four = 4 * (wide - len(data.translate(None, _ASCII + _FOUR_BYTE_LEADS)))
    light = len(data) - heavy
    return (light + 1) // 2 + (heavy - wide) + four + (2 * (wide - four) + 2) // 3


def message(chat: ChatMessage) -> int:
    """Estimate the tokens of a message with the template's marks."""
    calls = sum(MARKS + text(call.name) + text(call.arguments) for call in chat.tool_calls)
    return MARKS + text(chat.content) + text(chat.name) + calls


def tools(definitions: Sequence[ToolDefinition]) -> int:
    """Estimate the tokens of the tools that are offered."""
    return sum(
        MARKS + text(tool.name) + text(tool.description) + text(tool.parameters_schema)
        for tool in definitions
    )
