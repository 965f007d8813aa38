"""What a fake kernel was asked, and what it shall fail."""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aios.errors import AiosError


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached the fake kernel."""

    method: str
    """The RPC, such as `PutNote`."""

    agent: str
    """Id of the agent that called; `admin` for the administrator."""

    request: Mapping[str, Any]
    """The request's fields by their proto names; unset fields have their defaults."""


@dataclass(slots=True)
class _Failure:
    error: AiosError
    after: int


@dataclass(slots=True)
class Recorder:
    """The calls of a fake kernel, or of one `intercept()` block, in order."""

    calls: list[Call] = field(default_factory=list)
    """Every call, failed ones included."""

    _failures: dict[str, deque[_Failure]] = field(default_factory=lambda: defaultdict(deque))

    def count(self, method: str) -> int:
        """Return how often an RPC was called, failed calls included."""
        return sum(call.method == method for call in self.calls)

    def requests(self, method: str) -> list[Mapping[str, Any]]:
        """Return the requests of an RPC, in order."""
        return [call.request for call in self.calls if call.method == method]

    def fail_next(self, method: str, error: AiosError, *, after: int = 0) -> None:
        """Fail the next call of `method` with `error`; queue several by calling this several times.

        `after` lets a streaming RPC send that many responses first.
        """
        self._failures[method].append(_Failure(error, after))

    def take_failure(self, method: str) -> _Failure | None:
        """Remove and return the next failure of `method`."""
        queue = self._failures.get(method)
        return queue.popleft() if queue else None

    def unused(self) -> list[str]:
        """Return a line for each failure that no call met."""
        return [
            f"fail_next({method!r}, {failure.error!r})"
            for method, queue in self._failures.items()
            for failure in queue
        ]
