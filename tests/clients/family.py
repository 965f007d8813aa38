"""The agents that a door makes of a client's sessions, and what each of them used."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.clients.door import Door
from tests.fakes.waiting import until
from tests.system.cluster import Cluster


@dataclass(slots=True)
class Family:
    """The tree of agents below a door's key."""

    kernel: Cluster
    door: Door
    tokens: Counter[str] = field(default_factory=Counter)
    """Tokens of the finished calls, by agent."""

    async def depths(self) -> dict[str, int]:
        """Return how far each agent is from the one whose key it is, which itself is 0."""
        async with self.kernel.admin() as admin:
            found = await admin.agents.list(parent=self.door.agent)
        top = next(each for each in found if each.name == self.door.agent)
        return {each.name: len(each.ancestors) - len(top.ancestors) for each in found}

    async def is_root_and_child(self) -> None:
        """Assert that a session and its subagent are below the key's agent, and that both were charged."""
        depths = await self.depths()
        assert sorted(depths.values()) == [0, 1, 2]
        await until(lambda: {name for name, depth in depths.items() if depth} == set(self.tokens))


@asynccontextmanager
async def family(kernel: Cluster, door: Door) -> AsyncIterator[Family]:
    """Follow what the agents below a door's key use, for the length of a block."""
    made = Family(kernel, door)

    async def follow() -> None:
        async for event in door.kernel.queue.watch():
            if event.kind == "finished" and event.syscall is not None and event.syscall.tokens_done:
                made.tokens[event.syscall.name.partition("/calls/")[0]] += event.syscall.tokens_done

    following = asyncio.create_task(follow())
    try:
        yield made
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
