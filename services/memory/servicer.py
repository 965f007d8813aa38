"""The gRPC face of the memory manager: each method converts, calls a use case, converts back."""

from dataclasses import replace

from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from services.chassis.auth.identity import current_caller
from services.chassis.rpc import paging
from services.chassis.rpc.wire import quota_usage, request_identity
from services.chassis.shares import Openings
from services.memory.service.facade import MemoryService
from services.memory.wire import notes


class MemoryServicer(memory_pb2_grpc.MemoryServiceServicer):
    """Implements aios.api.memory.v1.MemoryService. The proto says what each method promises."""

    def __init__(self, service: MemoryService, openings: Openings | None = None) -> None:
        self._openings = openings
        self._notes = service.notes
        self._searching = service.searching

    async def PutNote(
        self, request: memory_pb2.PutNoteRequest, _context: object
    ) -> memory_pb2.PutNoteResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "PutNote", request)
        key, fields = notes.key(request.note.name, caller, "note.name"), notes.fields(request.note, caller)
        mode, etag = notes.mode(request), request.note.etag
        done = await self._notes.put(scope, actor, key, fields, mode=mode, etag=etag)
        note = notes.written(scope, done)
        note.untrusted = caller.untrusted  # it says nothing that its writer did not say
        return memory_pb2.PutNoteResponse(note=note, created=done.created)

    async def GetNote(
        self, request: memory_pb2.GetNoteRequest, _context: object
    ) -> memory_pb2.GetNoteResponse:
        caller = current_caller()
        scope = caller.scope
        found = await self._notes.get(scope, notes.key(request.name, caller))
        return memory_pb2.GetNoteResponse(note=notes.note(scope, found, resident=True))

    async def UpdateNote(
        self, request: memory_pb2.UpdateNoteRequest, _context: object
    ) -> memory_pb2.UpdateNoteResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "UpdateNote", request)
        key, changes = notes.key(request.note.name, caller, "note.name"), notes.changes(request, caller)
        done = await self._notes.update(scope, actor, key, changes, etag=request.note.etag)
        return memory_pb2.UpdateNoteResponse(note=notes.written(scope, done))

    async def DeleteNote(
        self, request: memory_pb2.DeleteNoteRequest, _context: object
    ) -> memory_pb2.DeleteNoteResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "DeleteNote", request)
        key, missing = notes.key(request.name, caller), request.allow_missing
        await self._notes.delete(scope, actor, key, etag=request.etag, allow_missing=missing)
        return memory_pb2.DeleteNoteResponse()

    async def ListNotes(
        self, request: memory_pb2.ListNotesRequest, _context: object
    ) -> memory_pb2.ListNotesResponse:
        scope = current_caller().scope
        limit = paging.page_size(request.page_size, default=notes.PAGE, maximum=notes.MOST)
        wanted, order, after = notes.wanted(request), notes.order(request), notes.position(request, scope)
        found, last = await self._notes.page(
            scope, wanted, order, after=after, limit=limit, room=notes.room(request.view)
        )
        return notes.note_page(request, scope, found, last)

    async def SearchNotes(
        self, request: memory_pb2.SearchNotesRequest, _context: object
    ) -> memory_pb2.SearchNotesResponse:
        scope, search = current_caller().scope, notes.search(request)
        limit = paging.page_size(request.page_size, default=search.limit, maximum=notes.MOST_HITS)
        place, room = notes.place(request, scope), notes.room(request.view)
        found, following = await self._searching.find(
            scope, search, skip=place.rank, limit=limit, room=room, ranking=place.ranking
        )
        next_place = None if following is None else replace(place, rank=following)
        return notes.hits(request, scope, found, next_place)

    async def LinkNotes(
        self, request: memory_pb2.LinkNotesRequest, _context: object
    ) -> memory_pb2.LinkNotesResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "LinkNotes", request)
        done = await self._notes.link(
            scope,
            actor,
            notes.key(request.name, caller),
            add=notes.links(request.add, caller, "add"),
            remove=[notes.target_key(name, caller, "remove") for name in request.remove],
            both_ways=request.both_ways,
            etag=request.etag,
        )
        return memory_pb2.LinkNotesResponse(note=notes.written(scope, done))

    async def GetUsage(
        self, _request: memory_pb2.GetUsageRequest, _context: object
    ) -> memory_pb2.GetUsageResponse:
        caller = current_caller()
        response = notes.usage(await self._notes.usage(caller.scope))
        response.quotas.extend(quota_usage(await self._notes.quotas(caller.scope), caller, self._openings))
        return response
