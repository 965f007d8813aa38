"""Whether a process can do its work: named checks of what it depends on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson

Check = Callable[[], Awaitable[str | None]]
"""Returns None when the dependency works, else what is wrong with it."""

_CHECK_SECONDS: Final = 1.0
_FRESH_SECONDS: Final = 1.0


class Readiness:
    """Runs all checks at once, each bounded, and remembers the answer for a second."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self._failing: dict[str, str] = {}
        self._checked = -_FRESH_SECONDS
        self.draining = False

    async def failing(self) -> dict[str, str]:
        """Return what is wrong, by the name of the dependency; empty when ready."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._checked >= _FRESH_SECONDS:
            results = await asyncio.gather(
                *(asyncio.wait_for(check(), _CHECK_SECONDS) for check in self._checks.values()),
                return_exceptions=True,
            )
            self._failing = {
                name: problem
                for name, result in zip(self._checks, results, strict=True)
                if (problem := _problem(result))
            }
            self._checked = loop.time()
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
