"""Notes between protobuf and the model: the only code that knows both."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from aios.api.memory.v1 import memory_pb2
from services.chassis.auth.identity import Caller, Scope
from services.chassis.db import rankings
from services.chassis.db.rankings import Place
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest
from services.chassis.rpc.wire import moment, stamp
from services.chassis.times import micros
from services.memory.core.notes import Written
from services.memory.core.ranking import Search
from services.memory.model import Fields, Filter, Link, LinkKind, Listed, Mode, Note, Order, SearchMode, Usage
from services.memory.ports import Position
from services.memory.service.notes import Held
from services.memory.service.searching import Found

NOTES: Final = "notes"
PAGE: Final = 50
MOST: Final = 500
HITS: Final = 10
MOST_HITS: Final = 100
PAGE_BYTES: Final = 3 * 1024 * 1024
BASIC_BYTES: Final = 24 * 1024 * 1024
"""Bytes of notes that one page reads when their contents are left out."""

_KINDS: Final = {
    memory_pb2.LINK_KIND_UNSPECIFIED: LinkKind.UNSAID,
    memory_pb2.LINK_KIND_RELATED: LinkKind.RELATED,
    memory_pb2.LINK_KIND_DERIVED_FROM: LinkKind.DERIVED_FROM,
    memory_pb2.LINK_KIND_SUPERSEDES: LinkKind.SUPERSEDES,
    memory_pb2.LINK_KIND_CONTRADICTS: LinkKind.CONTRADICTS,
}
_KINDS_BACK: Final = {kind: number for number, kind in _KINDS.items()}
_MODES: Final = {
    memory_pb2.PUT_MODE_UNSPECIFIED: Mode.ANY,
    memory_pb2.PUT_MODE_CREATE: Mode.CREATE,
    memory_pb2.PUT_MODE_REPLACE: Mode.REPLACE,
}
_ORDERS: Final = {
    memory_pb2.NOTE_ORDER_UNSPECIFIED: Order.KEY,
    memory_pb2.NOTE_ORDER_UPDATE_TIME_DESC: Order.UPDATED,
    memory_pb2.NOTE_ORDER_CREATE_TIME: Order.CREATED,
}
_SEARCHES: Final = {
    memory_pb2.SEARCH_MODE_UNSPECIFIED: SearchMode.HYBRID,
    memory_pb2.SEARCH_MODE_LEXICAL: SearchMode.LEXICAL,
    memory_pb2.SEARCH_MODE_SEMANTIC: SearchMode.SEMANTIC,
    memory_pb2.SEARCH_MODE_HYBRID: SearchMode.HYBRID,
}
_CHANGEABLE: Final = {
    "content": "content",
    "tags": "tags",
    "context": "context",
    "keywords": "keywords",
    "category": "category",
    "links": "links",
    "metadata": "metadata",
    "importance": "importance",
    "expire_time": "expires_at",
}
"""Fields that an update mask may name, and what the model calls them."""


def key(name: str, caller: Caller, field: str = "name") -> str:
    """Return the key at the end of a note's name. Raises InvalidRequest."""
    return names.parse_in(name, NOTES, me=caller.agent, field=field).id


def fields(note: memory_pb2.Note, caller: Caller) -> Fields:
    """Read what the agent says in a note. Raises InvalidRequest."""
    return Fields(
        content=note.content,
        tags=tuple(note.tags),
        context=note.context,
        keywords=tuple(note.keywords),
        category=note.category,
        links=links(note.links, caller, "note.links"),
        metadata=dict(note.metadata),
        importance=note.importance,
        expires_at=moment(note, "expire_time", "note.expire_time"),
    )


def links(given: Sequence[memory_pb2.NoteLink], caller: Caller, field: str) -> tuple[Link, ...]:
    """Read links, the last one to each note. Raises InvalidRequest for a note of another agent."""
    found: dict[str, Link] = {}
    for link in given:
        target = target_key(link.note, caller, field)
        found[target] = Link(target, _KINDS.get(link.kind, LinkKind.UNSAID), link.weight)
    return tuple(found.values())


def target_key(name: str, caller: Caller, field: str) -> str:
    """Return the key of a note that must belong to the same agent. Raises InvalidRequest."""
    parsed = names.parse_in(name, NOTES, me=caller.agent, field=field)
    if parsed.owner != caller.owner:
        raise InvalidRequest.field(field, "a link leads to a note of the same agent")
    return parsed.id


def changes(request: memory_pb2.UpdateNoteRequest, caller: Caller) -> dict[str, Any]:
    """Read the fields that the mask names. Raises InvalidRequest."""
    given = fields(request.note, caller)
    paths = list(request.update_mask.paths)
    if not paths or set(paths) - _CHANGEABLE.keys():
        raise InvalidRequest.field("update_mask", f"name fields out of: {', '.join(sorted(_CHANGEABLE))}")
    return {_CHANGEABLE[path]: getattr(given, _CHANGEABLE[path]) for path in paths}


def mode(request: memory_pb2.PutNoteRequest) -> Mode:
    """Read what to do about a note that exists or does not."""
    return _MODES.get(request.mode, Mode.ANY)


def note(owner: Scope, found: Note, *, resident: bool, full: bool = True) -> memory_pb2.Note:
    """Write a note, without its content unless `full`."""
    said = found.fields
    message = memory_pb2.Note(
        name=names.in_agent(owner.agent, NOTES, found.key),
        key=found.key,
        content=said.content if full else "",
        tags=said.tags,
        context=said.context,
        keywords=said.keywords,
        category=said.category,
        metadata=said.metadata,
        importance=said.importance,
        create_time=stamp(found.created_at),
        update_time=stamp(found.updated_at),
        access_time=stamp(found.accessed_at),
        etag=found.etag,
        size_bytes=found.size,
        residence=memory_pb2.RESIDENCE_MEMORY if resident else memory_pb2.RESIDENCE_STORAGE,
        writer=names.agent_name(found.writer),
        untrusted=found.untrusted,
    )
    for link in said.links:
        target = names.in_agent(owner.agent, NOTES, link.key)
        message.links.add(note=target, kind=_KINDS_BACK[link.kind], weight=link.weight)
    if said.expires_at is not None:
        message.expire_time.FromDatetime(said.expires_at)
    return message


def written(owner: Scope, done: Written) -> memory_pb2.Note:
    """Write a note that was just written."""
    return note(owner, done.note, resident=True, full=False)


def full(view: int) -> bool:
    """Tell whether a view holds the content."""
    return view != memory_pb2.NOTE_VIEW_BASIC


def room(view: int) -> int:
    """Return how many bytes of notes one page may read."""
    return PAGE_BYTES if full(view) else BASIC_BYTES


def wanted(request: memory_pb2.ListNotesRequest) -> Filter:
    """Read which notes to list."""
    since = moment(request, "updated_after")
    return Filter(request.key_prefix, tuple(request.tags), request.category, since)


def order(request: memory_pb2.ListNotesRequest) -> Order:
    """Read the order of a list."""
    return _ORDERS.get(request.order, Order.KEY)


def position(request: memory_pb2.ListNotesRequest, owner: Scope) -> Position | None:
    """Read where the page begins; None for the first one. Raises InvalidPageToken."""
    shape = (str,) if order(request) is Order.KEY else (int, str)
    parts = paging.decode(request.page_token, *_list_query(request, owner), shape=shape)
    if not parts:
        return None
    match parts, order(request):
        case [str(last)], Order.KEY:
            return (last,)
        case [int(at), str(last)], Order.UPDATED | Order.CREATED:
            return (at, last)
        case _:
            raise InvalidPageToken("the page token is not one this list returned")


def note_page(
    request: memory_pb2.ListNotesRequest, owner: Scope, found: Sequence[Held], last: Listed | None
) -> memory_pb2.ListNotesResponse:
    """Write a page; `last` is its last note when there are more."""
    show = full(request.view)
    response = memory_pb2.ListNotesResponse(
        notes=[note(owner, held.note, resident=held.resident, full=show) for held in found]
    )
    if last is not None:
        times = {Order.UPDATED: last.updated_at, Order.CREATED: last.created_at}
        at = times.get(order(request))
        place: list[str | int] = [last.key] if at is None else [micros(at), last.key]
        response.next_page_token = paging.encode(place, *_list_query(request, owner))
    return response


def search(request: memory_pb2.SearchNotesRequest) -> Search:
    """Read what to look for."""
    return Search(
        query=request.query,
        mode=_SEARCHES.get(request.mode, SearchMode.HYBRID),
        wanted=Filter(request.key_prefix, tuple(request.tags)),
        limit=paging.page_size(request.limit, default=HITS, maximum=MOST_HITS),
        min_score=request.min_score,
        link_depth=request.link_depth,
    )


def place(request: memory_pb2.SearchNotesRequest, owner: Scope) -> Place:
    """Return where a page of hits begins. Raises InvalidPageToken."""
    return rankings.place(request.page_token, *_search_query(request, owner))


def hits(
    request: memory_pb2.SearchNotesRequest, owner: Scope, found: Sequence[Found], following: Place | None
) -> memory_pb2.SearchNotesResponse:
    """Write a page of hits, and where the next one begins."""
    show = full(request.view)
    response = memory_pb2.SearchNotesResponse()
    for item in found:
        source = item.hit.linked_from
        response.hits.add(
            note=note(owner, item.note, resident=item.resident, full=show),
            score=item.hit.score,
            lexical_score=item.hit.lexical,
            semantic_score=item.hit.semantic,
            linked_from=names.in_agent(owner.agent, NOTES, source) if source else "",
        )
    if following is not None:
        position: list[paging.Key] = [following.ranking, following.rank]
        response.next_page_token = paging.encode(position, *_search_query(request, owner))
    return response


def usage(found: Usage) -> memory_pb2.GetUsageResponse:
    """Write how much memory an agent uses."""
    response = memory_pb2.GetUsageResponse(
        note_count=found.totals.count,
        used_bytes=found.totals.bytes,
        resident_bytes=found.resident.bytes,
        resident_count=found.resident.count,
        quota_bytes=found.quota_bytes,
        high_water_bytes=found.high_water_bytes,
        evicted_count=found.evicted,
        restored_count=found.restored,
    )
    if found.mean_residence is not None:
        response.mean_residence.FromTimedelta(timedelta(seconds=found.mean_residence))
    return response


def _list_query(request: memory_pb2.ListNotesRequest, owner: Scope) -> list[str | int]:
    since = request.updated_after.ToNanoseconds() if request.HasField("updated_after") else 0
    narrow: list[str | int] = [request.key_prefix, request.category, since, request.order, *request.tags]
    return ["notes", owner.tenant, owner.agent, *narrow]


def _search_query(request: memory_pb2.SearchNotesRequest, owner: Scope) -> list[str | int]:
    kind: list[str | int] = [request.limit, request.mode, request.link_depth, str(request.min_score)]
    texts = [request.query, request.key_prefix, *request.tags]
    return ["hits", owner.tenant, owner.agent, *kind, *texts]
