"""Turns of watches on their way in: a few of each tree of agents at a time, before anything is asked.

To let a watch in costs several processes some milliseconds, and to refuse it as much. A burst of thousands is
opened by one party in a moment. So each tree has a few on their way; one that is refused keeps its turn until
it has been told, which the pace of refusals delays where there are many. Who waits costs memory alone.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from services.chassis.auth.identity import Principal
from services.chassis.gate import FairGate, GateConfig, Visitor

AT_ONCE: Final = 8
"""Watches of a tree that are on their way in at once, at each service."""
DOUBT_SECONDS: Final = 0.02
"""Managers say that a watch is let in before they have looked at all of it: so long it may yet be refused."""

_TURNS: Final = GateConfig(
    running=sys.maxsize,
    running_per_tenant=sys.maxsize,
    running_per_tree=AT_ONCE,
    running_per_agent=AT_ONCE,
)


class Turn:
    """The turn of one watch. It is given back once."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave
        self._soon: asyncio.TimerHandle | None = None

    def free(self) -> None:
        """Give it back, unless that was done."""
        self.keep()
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def free_soon(self) -> None:
        """Give it back in a moment, unless the watch is refused until then."""
        if self._soon is None and self._leave is not None:
            self._soon = asyncio.get_running_loop().call_later(DOUBT_SECONDS, self.free)

    def keep(self) -> None:
        """Keep it until it is given back: the watch was refused."""
        if self._soon is not None:
            self._soon.cancel()


_TURN: ContextVar[Turn | None] = ContextVar("turn of a watch", default=None)


class WatchTurns:
    """The turns at one server, for each service apart: one that hangs delays no watch of another."""

    def __init__(self) -> None:
        self._gates: defaultdict[str, FairGate] = defaultdict(lambda: FairGate(_TURNS))

    @property
    def waiting(self) -> int:
        """Watches that wait for their turn."""
        return sum(gate.waiting for gate in self._gates.values())

    @property
    def running(self) -> int:
        """Watches that are on their way in."""
        return sum(gate.running for gate in self._gates.values())

    async def take(self, service: str, principal: Principal, tree: str) -> Turn:
        """Wait for a turn of the running call at a service.

        Raises TooManyCalls when too many of an agent, its tree or its tenant wait.
        """
        tenant = principal.tenant
        visitor = Visitor(agent=(tenant, principal.agent), kind=principal.kind, tree=(tenant, tree))
        turn = Turn(await self._gates[service].take(visitor))
        _TURN.set(turn)
        return turn


def let_in() -> None:
    """Note that the running call, if it is a watch with a turn, has been let in as far as is known."""
    turn = _TURN.get()
    if turn is not None:
        turn.free_soon()


def refused() -> None:
    """Note that the running call, if it is a watch with a turn, was refused and is to be told."""
    turn = _TURN.get()
    if turn is not None:
        turn.keep()
