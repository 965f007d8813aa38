"""Who may have texts split into tokens, and when: turns by agent tree, the long ones in a line of their own.

Splitting happens before admission, because the scheduler wants to know a call's tokens; so it has its own
gate. It costs the backend and this process time in proportion to the text. Pure asyncio.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from services.chassis.dispatch.scheduling import AgentFacts
from services.chassis.gate import Agent, FairGate, GateConfig, Visitor

LONG_TEXT: Final = 64 * 1024
"""Bytes from which a text is a long one."""

_SHORT: Final = GateConfig(
    running=32, running_per_tenant=24, running_per_tree=2, running_per_agent=2, waiting_per_agent=512
)
_LONG: Final = GateConfig(
    running=2,
    running_per_tree=1,
    running_per_agent=1,
    waiting=2048,
    waiting_per_tenant=1024,
    waiting_per_tree=256,
    waiting_per_agent=128,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizingConfig:
    """How many texts are split at once; the rest waits, in turns. What waits beyond that is refused."""

    short: GateConfig = _SHORT
    long: GateConfig = _LONG


class TokenizingGate:
    """Admits the splitting of texts.

    An agent tree that floods it delays another tree's short text by at most one short text of each tree that
    waits, and never by a long one.
    """

    def __init__(self, config: TokenizingConfig) -> None:
        self._short = FairGate(config.short)
        self._long = FairGate(config.long)

    @property
    def waiting(self) -> int:
        """Texts that wait for their turn."""
        return self._short.waiting + self._long.waiting

    @asynccontextmanager
    async def turn(self, agent: Agent, facts: AgentFacts, size: int, deadline: float) -> AsyncIterator[None]:
        """Hold a turn for a text of so many bytes of an agent; `deadline` is on the steady clock.

        Raises TooManyCalls or QueueFull without waiting, DeadlineExceeded.
        """
        gate = self._short if size < LONG_TEXT else self._long
        visitor = Visitor(
            agent=agent,
            weight=float(facts.hints.weight),
            tree=(agent[0], facts.program or agent[1]),
            tree_weight=float(facts.tree_weight or facts.hints.weight),
            tenant_weight=float(facts.tenant_weight),
            deadline=deadline,
        )
        async with gate.admit(visitor):
            yield
