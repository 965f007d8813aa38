"""Synchronous twin of `aios.calls.memory`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from aios.calls.memory import Memory
from aios.sync.portal import Portal
from aios.types.memory import MemoryUsage, Note, NoteHit, NoteLink, SearchMode


class SyncMemory:
    """Remembers notes by key.

    `agent` names another agent's memory, which needs a grant; by default it is the own.
    """

    def __init__(self, inner: Memory, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def put(
        self,
        key: str,
        content: str,
        *,
        tags: Sequence[str] = (),
        context: str = "",
        keywords: Sequence[str] = (),
        category: str = "",
        links: Sequence[NoteLink] = (),
        metadata: Mapping[str, str] | None = None,
        importance: float = 0.0,
        expire_time: datetime | None = None,
        mode: Literal["any", "create", "replace"] = "any",
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> Note:
        """Write a whole note, new or in place of the old one, and return it without its content.

        `mode` `create` refuses to replace, `replace` refuses to create; `etag` replaces only that version.
        Raises AlreadyExists, NotFound, EtagMismatch, QuotaExceeded, PermissionDenied.
        """
        return self._portal.run(
            self._inner.put(
                key,
                content,
                tags=tags,
                context=context,
                keywords=keywords,
                category=category,
                links=links,
                metadata=metadata,
                importance=importance,
                expire_time=expire_time,
                mode=mode,
                etag=etag,
                agent=agent,
                timeout=timeout,
            )
        )

    def get(self, key: str, *, agent: str = "me", timeout: float | None = None) -> Note:
        """Return a note. Raises NotFound, PermissionDenied."""
        return self._portal.run(self._inner.get(key, agent=agent, timeout=timeout))

    def update(
        self,
        key: str,
        *,
        content: str | None = None,
        tags: Sequence[str] | None = None,
        context: str | None = None,
        keywords: Sequence[str] | None = None,
        category: str | None = None,
        links: Sequence[NoteLink] | None = None,
        metadata: Mapping[str, str] | None = None,
        importance: float | None = None,
        expire_time: datetime | None = None,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> Note:
        """Change the fields that are given and leave the others.

        Raises NotFound, EtagMismatch, QuotaExceeded.
        """
        return self._portal.run(
            self._inner.update(
                key,
                content=content,
                tags=tags,
                context=context,
                keywords=keywords,
                category=category,
                links=links,
                metadata=metadata,
                importance=importance,
                expire_time=expire_time,
                etag=etag,
                agent=agent,
                timeout=timeout,
            )
        )

    def delete(
        self,
        key: str,
        *,
        missing_ok: bool = False,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> None:
        """Delete a note and the links that lead to it. Raises NotFound unless `missing_ok`, EtagMismatch."""
        self._portal.run(
            self._inner.delete(key, missing_ok=missing_ok, etag=etag, agent=agent, timeout=timeout)
        )

    def list(
        self,
        *,
        prefix: str = "",
        tags: Sequence[str] = (),
        category: str = "",
        updated_after: datetime | None = None,
        newest_first: bool = False,
        with_content: bool = True,
        agent: str = "me",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[Note]:
        """Return the notes that match every filter, by key, or last changed first.

        `timeout` bounds each page.
        """
        return self._portal.run(
            self._inner.list(
                prefix=prefix,
                tags=tags,
                category=category,
                updated_after=updated_after,
                newest_first=newest_first,
                with_content=with_content,
                agent=agent,
                limit=limit,
                timeout=timeout,
            )
        )

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: SearchMode = "hybrid",
        tags: Sequence[str] = (),
        prefix: str = "",
        min_score: float = 0.0,
        link_depth: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Sequence[NoteHit]:
        """Return the notes that fit the query, best first: by words, by meaning, or both.

        `link_depth` (0 to 2) also returns what the hits link to. Raises InvalidRequest for an unusable query.
        """
        return self._portal.run(
            self._inner.search(
                query,
                limit=limit,
                mode=mode,
                tags=tags,
                prefix=prefix,
                min_score=min_score,
                link_depth=link_depth,
                agent=agent,
                timeout=timeout,
            )
        )

    def link(
        self,
        key: str,
        *,
        add: Sequence[NoteLink] = (),
        remove: Sequence[str] = (),
        both_ways: bool = False,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> Note:
        """Add and remove links from a note; `remove` names notes by key. Raises NotFound for either end."""
        return self._portal.run(
            self._inner.link(
                key, add=add, remove=remove, both_ways=both_ways, etag=etag, agent=agent, timeout=timeout
            )
        )

    def usage(self, *, agent: str = "me", timeout: float | None = None) -> MemoryUsage:
        """Return how much memory the agent uses and may use."""
        return self._portal.run(self._inner.usage(agent=agent, timeout=timeout))
