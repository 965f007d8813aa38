"""Requests for chat completions as clients write them, and what the door reads from them."""

from typing import Any

import msgspec

from gateway.http.chat.request import Chat, read
from gateway.http.chat.schema import Body
from gateway.http.visit import decode

HELLO = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "abc"]


def chat(headers: dict[str, str] | None = None, **fields: Any) -> Chat:
    """Read a request with one message, or with the messages that are given."""
    body = decode(msgspec.json.encode({"messages": HELLO, **fields}), Body)
    return read(body, header=(headers or {}).get, resolve=lambda name: name, temperature=0.0)
