"""Use case: everything of a killed agent goes, first the index, then the blobs."""

import asyncio
from collections.abc import Mapping
from typing import Final

from services.chassis.auth.identity import Scope
from services.storage.service.changes import ChangeRunner

_FILES: Final = 500


class PurgeService:
    """Deletes scopes for good."""

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; return what and how many. It may be cut and run again.

        Blobs are named within their scope, so no other agent's file needs one of these.
        """
        counts = await self._changes.index.purge(scope)
        blobs = 0
        while removed := await asyncio.to_thread(self._changes.blobs.purge, scope, limit=_FILES):
            blobs += removed
        return {**counts, **({"blobs": blobs} if blobs else {})}
