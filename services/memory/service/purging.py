"""Use case: everything of a killed agent goes, from the store and from RAM."""

from collections.abc import Mapping

from services.chassis.auth.identity import Scope
from services.memory.ports import NoteStore
from services.memory.service.agent_caches import AgentCache, AgentCaches


class Purging:
    """Deletes agents' notes for good."""

    def __init__(self, store: NoteStore, caches: AgentCaches) -> None:
        self._store = store
        self._caches = caches

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; return what and how many. It may be cut and run again."""

        async def work(agent: AgentCache) -> Mapping[str, int]:
            counts = await self._store.purge(scope)
            self._caches.empty(agent)
            return counts

        return await self._caches.exclusive(scope, work)
