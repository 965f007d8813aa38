"""The notes of a fake kernel: a dict."""

import hashlib

from aios.api.memory.v1 import memory_pb2 as pb
from aios.errors import AlreadyExists, EtagMismatch, NotFound
from aios.testing.caller import Caller


class FakeMemory:
    """Keeps notes in a dict. Search counts common words."""

    def __init__(self) -> None:
        self.notes: dict[str, pb.Note] = {}

    async def put_note(self, request: pb.PutNoteRequest, caller: Caller) -> pb.PutNoteResponse:
        name = caller.resolve(request.note.name, write=True)
        old = self.notes.get(name)
        if old is not None and request.mode == pb.PUT_MODE_CREATE:
            raise AlreadyExists(f"{name} exists")
        if old is None and (request.mode == pb.PUT_MODE_REPLACE or request.note.etag):
            raise _missing(name)
        _check_etag(old, request.note.etag)
        note = pb.Note()
        note.CopyFrom(request.note)
        note.create_time.GetCurrentTime()
        if old is not None:
            note.create_time.CopyFrom(old.create_time)
        self._store(name, note, caller)
        return pb.PutNoteResponse(note=_without_content(note), created=old is None)

    async def get_note(self, request: pb.GetNoteRequest, caller: Caller) -> pb.GetNoteResponse:
        return pb.GetNoteResponse(note=self._find(caller.resolve(request.name)))

    async def update_note(self, request: pb.UpdateNoteRequest, caller: Caller) -> pb.UpdateNoteResponse:
        name = caller.resolve(request.note.name, write=True)
        note = self._find(name)
        _check_etag(note, request.note.etag)
        request.update_mask.MergeMessage(
            request.note, note, replace_message_field=True, replace_repeated_field=True
        )
        self._store(name, note, caller)
        return pb.UpdateNoteResponse(note=_without_content(note))

    async def delete_note(self, request: pb.DeleteNoteRequest, caller: Caller) -> pb.DeleteNoteResponse:
        name = caller.resolve(request.name, write=True)
        if name not in self.notes and request.allow_missing:
            return pb.DeleteNoteResponse()
        _check_etag(self._find(name), request.etag)
        del self.notes[name]
        return pb.DeleteNoteResponse()

    async def list_notes(self, request: pb.ListNotesRequest, caller: Caller) -> pb.ListNotesResponse:
        """ListNotes, in one page."""
        found = [
            note
            for note in self._of(caller.resolve(request.parent))
            if note.key.startswith(request.key_prefix)
            and set(request.tags) <= set(note.tags)
            and request.category in ("", note.category)
        ]
        if request.order == pb.NOTE_ORDER_UPDATE_TIME_DESC:
            found.sort(key=lambda note: note.update_time.ToNanoseconds(), reverse=True)
        if request.view == pb.NOTE_VIEW_BASIC:
            found = [_without_content(note) for note in found]
        return pb.ListNotesResponse(notes=found)

    async def search_notes(self, request: pb.SearchNotesRequest, caller: Caller) -> pb.SearchNotesResponse:
        """SearchNotes: the share of the query's words that a note has."""
        words = set(request.query.lower().split())
        hits = []
        for note in self._of(caller.resolve(request.parent)):
            text = f"{note.content} {note.context} {' '.join(note.keywords)}".lower()
            score = sum(word in text for word in words) / max(len(words), 1)
            if score > 0 and note.key.startswith(request.key_prefix) and set(request.tags) <= set(note.tags):
                hits.append(pb.NoteHit(note=note, score=score, lexical_score=score))
        hits.sort(key=lambda hit: -hit.score)
        return pb.SearchNotesResponse(hits=hits[: request.limit or 10])

    async def link_notes(self, request: pb.LinkNotesRequest, caller: Caller) -> pb.LinkNotesResponse:
        """LinkNotes, one way."""
        name = caller.resolve(request.name, write=True)
        note = self._find(name)
        gone = {caller.resolve(other, write=True) for other in request.remove}
        kept = [link for link in note.links if link.note not in gone]
        del note.links[:]
        note.links.extend(kept)
        for link in request.add:
            target = caller.resolve(link.note, write=True)
            self._find(target)
            note.links.add(note=target, kind=link.kind, weight=link.weight)
        self._store(name, note, caller)
        return pb.LinkNotesResponse(note=_without_content(note))

    async def get_usage(self, request: pb.GetUsageRequest, caller: Caller) -> pb.GetUsageResponse:
        notes = self._of(caller.resolve(request.name))
        used = sum(note.size_bytes for note in notes)
        return pb.GetUsageResponse(
            note_count=len(notes),
            used_bytes=used,
            resident_bytes=used,
            resident_count=len(notes),
            quota_bytes=1 << 24,
            high_water_bytes=1 << 23,
        )

    def _of(self, agent: str) -> list[pb.Note]:
        return [note for name, note in sorted(self.notes.items()) if name.startswith(f"{agent}/notes/")]

    def _find(self, name: str) -> pb.Note:
        if name not in self.notes:
            raise _missing(name)
        return self.notes[name]

    def _store(self, name: str, note: pb.Note, caller: Caller) -> None:
        note.name = name
        note.key = name.partition("/notes/")[2]
        note.writer = f"agents/{caller.agent}"
        note.residence = pb.RESIDENCE_MEMORY
        note.size_bytes = len(note.content.encode())
        note.update_time.GetCurrentTime()
        note.access_time.GetCurrentTime()
        note.etag = ""
        note.etag = hashlib.sha256(note.SerializeToString(deterministic=True)).hexdigest()[:16]
        self.notes[name] = note


def _missing(name: str) -> NotFound:
    key = name.partition("/notes/")[2]
    return NotFound(f"no note {key!r}", reason="NOTE_NOT_FOUND", metadata={"key": key})


def _check_etag(note: pb.Note | None, etag: str) -> None:
    if etag and note is not None and note.etag != etag:
        raise EtagMismatch(f"{note.name} has changed")


def _without_content(note: pb.Note) -> pb.Note:
    short = pb.Note()
    short.CopyFrom(note)
    short.content = ""
    return short
