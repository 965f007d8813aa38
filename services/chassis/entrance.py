"""Lets work in, a little in each turn of the event loop, by turns of those it is for. Pure asyncio.

A burst of one party is hundreds of tasks that all take their next step before anything else has its turn, and
whoever comes meanwhile takes as many steps, each behind all of theirs. So what comes passes here first: a few
are let in each turn of the loop. Who waits is next by turns: of tenants, of a tenant's trees, of a tree's
agents. While less comes than is let in nobody waits, and passing costs next to nothing.
"""

import asyncio
import sys
from typing import Final

from services.chassis.turns import Bounds, Party, Path, Turns

AT_ONCE: Final = 2
"""How many are let in, in one turn of the loop. Each takes some tenths of a millisecond."""

_ANY: Final = sys.maxsize
_LEVELS: Final = tuple(Bounds(name, _ANY, _ANY) for name in ("process", "tenant", "tree", "agent"))

Passing = asyncio.Future[None]


class Entrance:
    """Where the work of one event loop comes in."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._left = at_once
        """How many more are let in, in this turn."""
        self._counting = False
        """Whether the next turn begins to count anew."""
        self._turns: Turns[Passing] = Turns(_LEVELS, asyncio.Future.cancelled)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._turns.waiting

    async def enter(self, tenant: str, tree: str, agent: str) -> None:
        """Wait for a turn of the loop in which there is room."""
        if not self._counting:
            self._count()
        if self._left and not self._turns.waiting:
            self._left -= 1
            return
        path: Path = ((tenant, 1.0), ((tenant, tree), 1.0), ((tenant, agent), 1.0))
        passing: Passing = asyncio.get_running_loop().create_future()
        party = self._turns.join(path, passing)
        try:
            await passing
        except asyncio.CancelledError:
            self._turns.forget(party, passing)
            raise

    def _count(self) -> None:
        self._counting = True
        self._left = self._at_once
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._counting = False
        if not self._turns.waiting:
            return
        self._count()
        while self._left and (found := self._turns.next()) is not None:
            party: Party[Passing] = found[0]
            self._turns.leave(party)
            found[1].set_result(None)
            self._left -= 1
