"""Use case: everything of a killed agent goes."""

from collections.abc import Mapping

from services.chassis.auth.identity import Scope
from services.context.ports import Store


class Purging:
    """Deletes agents' contexts and snapshots for good."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; return what and how many. It may be cut and run again."""
        return await self._store.purge(scope)
