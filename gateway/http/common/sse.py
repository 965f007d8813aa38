"""Server-sent events as OpenAI's dialects write them. Pure."""

from typing import Any, Final

import msgspec

from gateway.http.core.refusals import openai_error
from services.chassis.rpc.errors import KernelError

ALIVE: Final = b": keep-alive\n\n"
"""A comment: clients read past it, and it shows them that the connection lives."""
DONE: Final = b"data: [DONE]\n\n"


def data(value: Any) -> bytes:
    """Write an event without a name."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def failure(error: KernelError) -> bytes:
    """Write the error that a stream ends with."""
    return data({"error": openai_error(error)})
