"""The agents that a door makes of a client's sessions."""

from tests.clients.door import Door
from tests.system.cluster import Cluster


async def depths(kernel: Cluster, door: Door) -> list[int]:
    """Return how far each agent of a door's tree is from the agent whose key it is, which itself is 0."""
    async with kernel.admin() as admin:
        family = await admin.agents.list(parent=door.agent)
    top = next(each for each in family if each.name == door.agent)
    return sorted(len(each.ancestors) - len(top.ancestors) for each in family)
