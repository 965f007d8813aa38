"""Synchronous twin of `aios.calls.records`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Sequence

from aios.calls.records import Records
from aios.sync.portal import Portal
from aios.types.files import Filter, Record, RecordHit, WriteMode
from aios.types.memory import SearchMode


class SyncRecords:
    """Puts records into an agent's collections and finds them again."""

    def __init__(self, inner: Records, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def put(
        self,
        collection: str,
        records: Sequence[Record],
        *,
        mode: WriteMode = "any",
        agent: str = "me",
        timeout: float | None = None,
    ) -> list[str]:
        """Write records, all or none, and return their etags.

        Raises AlreadyExists, NotFound, EtagMismatch.
        """
        return self._portal.run(self._inner.put(collection, records, mode=mode, agent=agent, timeout=timeout))

    def query(
        self,
        collection: str,
        query: str = "",
        *,
        keys: Sequence[str] = (),
        filters: Sequence[Filter] = (),
        vector: Sequence[float] = (),
        mode: SearchMode = "hybrid",
        min_score: float = 0.0,
        include_vectors: bool = False,
        limit: int | None = 100,
        agent: str = "me",
        timeout: float | None = None,
    ) -> list[RecordHit]:
        """Return the records that pass every filter: by key, or nearest to a text or vector first.

        Raises InvalidRequest for an unusable query. `timeout` bounds each page.
        """
        return self._portal.run(
            self._inner.query(
                collection,
                query,
                keys=keys,
                filters=filters,
                vector=vector,
                mode=mode,
                min_score=min_score,
                include_vectors=include_vectors,
                limit=limit,
                agent=agent,
                timeout=timeout,
            )
        )

    def delete(
        self,
        collection: str,
        *,
        keys: Sequence[str] = (),
        filters: Sequence[Filter] = (),
        everything: bool = False,
        agent: str = "me",
        timeout: float | None = None,
    ) -> int:
        """Delete records by key, those that pass every filter, or `everything`; return how many went."""
        return self._portal.run(
            self._inner.delete(
                collection, keys=keys, filters=filters, everything=everything, agent=agent, timeout=timeout
            )
        )

    def collections(self, *, agent: str = "me", timeout: float | None = None) -> list[str]:
        """Return the names of the agent's collections."""
        return self._portal.run(self._inner.collections(agent=agent, timeout=timeout))
