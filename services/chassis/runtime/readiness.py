"""Whether a process can do its work: named checks of what it depends on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Final

import orjson

from services.chassis.runtime.clock import Clock, SystemClock

Check = Callable[[], Awaitable[str | None]]
"""Returns None when the dependency works, else what is wrong with it."""

_CHECK_SECONDS: Final = 1.0
_READY_SECONDS: Final = 1.0
"""How long it is remembered that all is well."""
_FAILING_SECONDS: Final = 0.05
"""The same of what fails: who waits for a start asks often, and should not wait longer than for that."""


class Readiness:
    """Runs all checks at once, each bounded, and remembers the answer: a good one for a second."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock | None = None) -> None:
        self._checks = dict(checks)
        self._clock = clock or SystemClock()
        self._failing: dict[str, str] = {}
        self._fresh_until = -inf
        self.draining = False

    async def failing(self) -> dict[str, str]:
        """Return what is wrong, by the name of the dependency; empty when ready."""
        if self._clock.monotonic() >= self._fresh_until:
            results = await asyncio.gather(
                *(asyncio.wait_for(check(), _CHECK_SECONDS) for check in self._checks.values()),
                return_exceptions=True,
            )
            self._failing = {
                name: problem
                for name, result in zip(self._checks, results, strict=True)
                if (problem := _problem(result))
            }
            remembered = _FAILING_SECONDS if self._failing else _READY_SECONDS
            self._fresh_until = self._clock.monotonic() + remembered
        return {"process": "draining", **self._failing} if self.draining else self._failing

    async def report(self) -> tuple[bool, bytes]:
        """Return whether the process is ready, and JSON that names what is not."""
        failing = await self.failing()
        return not failing, orjson.dumps({"ready": not failing, "failing": failing})


def _problem(result: str | BaseException | None) -> str | None:
    if isinstance(result, TimeoutError):
        return f"no answer within {_CHECK_SECONDS:g} s"
    if isinstance(result, Exception):
        return f"{type(result).__name__}: {result}"
    if isinstance(result, BaseException):
        raise result
    return result
