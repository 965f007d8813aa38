"""`kernel.memory`: the agent's notes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from google.protobuf.field_mask_pb2 import FieldMask

from aios._paging import pages
from aios._transport import Transport
from aios._wire import memory as wire
from aios._wire.common import agent_name, timestamp
from aios.api.memory.v1 import memory_pb2 as pb
from aios.types.memory import MemoryUsage, Note, NoteHit, NoteLink, SearchMode


class Memory:
    """Remembers notes by key.

    `agent` names another agent's memory, which needs a grant; by default it is the own.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def put(
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
        note = pb.Note(
            name=wire.note_name(key, agent),
            content=content,
            tags=tags,
            context=context,
            keywords=keywords,
            category=category,
            links=[wire.link_message(link) for link in links],
            metadata=metadata or {},
            importance=importance,
            expire_time=timestamp(expire_time),
            etag=etag,
        )
        request = pb.PutNoteRequest(note=note, mode=wire.put_mode(mode))
        response = await self._transport.call(request, pb.PutNoteResponse, timeout=timeout)
        return wire.note(response.note)

    async def get(self, key: str, *, agent: str = "me", timeout: float | None = None) -> Note:
        """Return a note. Raises NotFound, PermissionDenied."""
        request = pb.GetNoteRequest(name=wire.note_name(key, agent))
        response = await self._transport.call(request, pb.GetNoteResponse, timeout=timeout)
        return wire.note(response.note)

    async def update(
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
        values = {
            "content": content,
            "tags": tags,
            "context": context,
            "keywords": keywords,
            "category": category,
            "links": links,
            "metadata": metadata,
            "importance": importance,
            "expire_time": expire_time,
        }
        note = pb.Note(
            name=wire.note_name(key, agent),
            content=content or "",
            tags=tags or (),
            context=context or "",
            keywords=keywords or (),
            category=category or "",
            links=[wire.link_message(link) for link in links or ()],
            metadata=metadata or {},
            importance=importance or 0.0,
            expire_time=timestamp(expire_time),
            etag=etag,
        )
        mask = FieldMask(paths=[field for field, value in values.items() if value is not None])
        request = pb.UpdateNoteRequest(note=note, update_mask=mask)
        response = await self._transport.call(request, pb.UpdateNoteResponse, timeout=timeout)
        return wire.note(response.note)

    async def delete(
        self,
        key: str,
        *,
        missing_ok: bool = False,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> None:
        """Delete a note and the links that lead to it. Raises NotFound unless `missing_ok`, EtagMismatch."""
        name = wire.note_name(key, agent)
        request = pb.DeleteNoteRequest(name=name, etag=etag, allow_missing=missing_ok)
        await self._transport.call(request, pb.DeleteNoteResponse, timeout=timeout)

    async def list(
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

        async def page(token: str) -> tuple[list[Note], str]:
            request = pb.ListNotesRequest(
                parent=agent_name(agent),
                key_prefix=prefix,
                tags=tags,
                category=category,
                updated_after=timestamp(updated_after),
                order=pb.NOTE_ORDER_UPDATE_TIME_DESC if newest_first else pb.NOTE_ORDER_UNSPECIFIED,
                view=pb.NOTE_VIEW_FULL if with_content else pb.NOTE_VIEW_BASIC,
                page_size=200,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListNotesResponse, timeout=timeout)
            return [wire.note(note) for note in response.notes], response.next_page_token

        return await pages(page, limit)

    async def search(
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
        request = pb.SearchNotesRequest(
            parent=agent_name(agent),
            query=query,
            limit=limit,
            mode=wire.search_mode(mode),
            tags=tags,
            key_prefix=prefix,
            min_score=min_score,
            link_depth=link_depth,
        )
        response = await self._transport.call(request, pb.SearchNotesResponse, timeout=timeout)
        return [wire.hit(hit) for hit in response.hits]

    async def link(
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
        request = pb.LinkNotesRequest(
            name=wire.note_name(key, agent),
            add=[wire.link_message(link, agent) for link in add],
            remove=[wire.note_name(other, agent) for other in remove],
            both_ways=both_ways,
            etag=etag,
        )
        response = await self._transport.call(request, pb.LinkNotesResponse, timeout=timeout)
        return wire.note(response.note)

    async def usage(self, *, agent: str = "me", timeout: float | None = None) -> MemoryUsage:
        """Return how much memory the agent uses and may use."""
        request = pb.GetUsageRequest(name=agent_name(agent))
        return wire.usage(await self._transport.call(request, pb.GetUsageResponse, timeout=timeout))
