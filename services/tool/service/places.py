"""Everything a call waits for before it runs: the things it needs alone, then its turn at the tool."""

import json
import re
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from services.chassis.clock import Clock
from services.chassis.identity import Scope
from services.tool.core.turns import Turns
from services.tool.model import DriverKind, Tool

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_MAX_LOCK: Final = 1_024


class Places:
    """The queues of all tools and locks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns: dict[Hashable, Turns] = {}

    def free(self, scope: Scope, tool: Tool) -> bool:
        """Whether a call would have its place without waiting."""
        turns = self._turns.get(_key(scope, tool))
        return not tool.locks and (turns is None or turns.free)

    @asynccontextmanager
    async def hold(
        self, scope: Scope, tool: Tool, arguments: Mapping[str, Any], wait: float | None
    ) -> AsyncIterator[None]:
        """Hold what the call needs. Raises ToolBusy after `wait` seconds.

        Locks come first and in one order, so that nobody waits for another in a circle, and so that calls
        which wait for a lock leave the tool's places to others.
        """
        ends = None if wait is None else self._clock.monotonic() + wait
        wanted: list[tuple[Hashable, int]] = [
            ((scope.tenant, "lock", name), 1) for name in lock_names(tool, arguments)
        ]
        wanted.append((_key(scope, tool), tool.max_concurrency))
        try:
            async with AsyncExitStack() as stack:
                for key, places in wanted:
                    left = None if ends is None else max(0.0, ends - self._clock.monotonic())
                    await stack.enter_async_context(self._of(key, places).turn(scope, left))
                yield
        finally:
            for key, _ in wanted:
                if key in self._turns and self._turns[key].idle:
                    del self._turns[key]

    def _of(self, key: Hashable, places: int) -> Turns:
        turns = self._turns.setdefault(key, Turns(places))
        turns.resize(places)
        return turns


def lock_names(tool: Tool, arguments: Mapping[str, Any]) -> list[str]:
    """Return the names of the tool's locks with the arguments put in, in order."""

    def filled(match: re.Match[str]) -> str:
        value = arguments.get(match[1])
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    return sorted({_PLACEHOLDER.sub(filled, lock)[:_MAX_LOCK] for lock in tool.locks})


def _key(scope: Scope, tool: Tool) -> Hashable:
    # A tool that comes with the kernel is one tool for all tenants.
    shared = tool.driver.kind is DriverKind.BUILTIN and not tool.owner
    return ("" if shared else scope.tenant), "tool", tool.id
