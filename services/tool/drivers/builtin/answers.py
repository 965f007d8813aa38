"""What a built-in function answers, and what the functions have in common."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.tool.ports import Job


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out of a function."""

    result: Any
    """A JSON value."""
    more: Mapping[str, Any] | None = None
    """Further members beside `result`."""
    untrusted: bool = False
    """Whether nobody vouches for a part of it."""

    @property
    def value(self) -> dict[str, Any]:
        """Return the JSON object that a caller gets."""
        return {"result": self.result, **(self.more or {})}


Function = Callable[[Job], Awaitable[Answer]]


def request_id(job: Job) -> str:
    """Return by what storage knows a repeat of this call's write: never one of the agent's own requests."""
    return hashlib.sha256(f"tool\0{job.scope.tenant}\0{job.call_id}".encode()).hexdigest()
