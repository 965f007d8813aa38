"""Use case: everything of a killed agent goes, from the store and from RAM."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from services.chassis.auth.identity import Scope
from services.memory.ports import NoteStore
from services.memory.service.agent_caches import AgentCache, AgentCaches

_SCOPES: Final = 100


class Purging:
    """Deletes agents' notes for good."""

    def __init__(self, store: NoteStore, caches: AgentCaches) -> None:
        self._store = store
        self._caches = caches

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; return what and how many. It may be cut and run again.

        What it wrote into the scopes of others stays theirs and no longer tells who wrote it.
        """
        counts = await self._caches.exclusive(scope, partial(self._delete, scope))
        written = 0
        while others := await self._store.written_by(scope, limit=_SCOPES):
            for other in others:
                written += await self._caches.exclusive(other, partial(self._forget_writer, scope, other))
        return {**counts, **({"written": written} if written else {})}

    async def _delete(self, scope: Scope, agent: AgentCache) -> Mapping[str, int]:
        counts = await self._store.purge(scope)
        self._caches.empty(agent)
        return counts

    async def _forget_writer(self, writer: Scope, owner: Scope, agent: AgentCache) -> int:
        count = await self._store.forget_writer(writer, owner)
        self._caches.reload(agent)
        return count
