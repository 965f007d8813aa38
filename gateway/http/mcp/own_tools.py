"""The door's own tools: notes and files, for clients that know tools only.

Their names begin with `_aios_`. No registered tool's name begins with an underscore, so none can stand in the
way.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs
import mcp_types as types

from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import resources_pb2 as stored
from aios.api.storage.v1 import storage_pb2
from gateway.http.kernel import Kernel
from gateway.http.mcp import reading
from gateway.http.mcp.convert import arguments_json
from gateway.http.mcp.errors import ArgumentsInvalid, ToolNotFound
from gateway.http.mcp.settings import McpSettings
from gateway.http.mcp.syscalls import Caller, ask, build
from gateway.http.mcp.uris import Kind, Resource, of_name

PREFIX: Final = "_aios_"

_PATH: Final = {"type": "string", "minLength": 1, "description": "Path of the file, such as reports/may.md."}
_KEY: Final = {"type": "string", "minLength": 1, "description": "Key of the note, such as trip/budget."}
_QUERY: Final = {"type": "string", "minLength": 1, "description": "What to look for, in plain words."}
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10, "description": "Most hits."}
_TAGS: Final = {"type": "array", "items": {"type": "string"}, "maxItems": 16, "description": "Labels."}
_WRITE_SECONDS: Final = 60.0
_NAMES_SHOWN: Final = 200

Answer = tuple[list[types.ContentBlock], dict[str, Any]]
Work = Callable[[Caller, Mapping[str, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _OwnTool:
    shown: types.Tool
    validator: Any
    work: Work


def is_own(name: str) -> bool:
    """Tell whether a name is one of the door's."""
    return name.startswith(PREFIX)


class OwnTools:
    """The door's tools, each a few calls of the kernel in the caller's name."""

    def __init__(self, kernel: Kernel, settings: McpSettings) -> None:
        self._kernel = kernel
        self._most_bytes = settings.read_bytes
        made = (
            _made(
                "read_file",
                "Reads a file of yours, or a part of it.",
                self._read_file,
                read_only=True,
                path=_PATH,
                required=("path",),
                offset={"type": "integer", "minimum": 0, "description": "Where to begin. Unit: bytes."},
                length={"type": "integer", "minimum": 1, "description": "How much to read. Unit: bytes."},
            ),
            _made(
                "write_file",
                "Writes a file of yours. Earlier versions are kept.",
                self._write_file,
                path=_PATH,
                required=("path", "content"),
                content={"type": "string", "description": "The text to write."},
                append={"type": "boolean", "default": False, "description": "Add to the end instead."},
            ),
            _made(
                "list_files",
                "Lists files of yours below a directory.",
                self._list_files,
                read_only=True,
                path={"type": "string", "default": "", "description": "The directory; empty: all files."},
                cursor={
                    "type": "string",
                    "default": "",
                    "description": "The `next_cursor` of the page before.",
                },
            ),
            _made(
                "search_files",
                "Finds files of yours by what they say.",
                self._search_files,
                read_only=True,
                query=_QUERY,
                limit=_LIMIT,
                required=("query",),
            ),
            _made(
                "put_note",
                "Remembers a text under a key, in place of what was there.",
                self._put_note,
                key=_KEY,
                required=("key", "content"),
                tags=_TAGS,
                content={"type": "string", "minLength": 1, "description": "The text to remember."},
            ),
            _made(
                "get_note",
                "Returns the note with a key.",
                self._get_note,
                read_only=True,
                key=_KEY,
                required=("key",),
            ),
            _made(
                "search_notes",
                "Finds notes of yours by what they say.",
                self._search_notes,
                read_only=True,
                query=_QUERY,
                limit=_LIMIT,
                tags=_TAGS,
                required=("query",),
            ),
        )
        self._tools = {tool.shown.name: tool for tool in made}

    @property
    def shown(self) -> Sequence[types.Tool]:
        """The tools as tools/list tells them."""
        return [tool.shown for tool in self._tools.values()]

    def schema(self, name: str) -> dict[str, Any] | None:
        """Return the schema of a tool's arguments, or None."""
        tool = self._tools.get(name)
        return None if tool is None else tool.shown.input_schema

    async def call(
        self, caller: Caller, name: str, arguments: Mapping[str, Any] | None
    ) -> types.CallToolResult:
        """Run one of the tools. Raises ToolNotFound, ArgumentsInvalid and what the kernel refuses."""
        tool = self._tools.get(name)
        if tool is None:
            raise ToolNotFound(f"no tool {name}", metadata={"tool": name})
        given = arguments or {}
        arguments_json(given)  # refuses what is no JSON before it reaches native code
        problem = next(tool.validator.iter_errors(given), None)
        if problem is not None:
            raise ArgumentsInvalid(f"{problem.message} (at /{'/'.join(map(str, problem.instance_path))})")
        content, structured = await tool.work(caller, given)
        return types.CallToolResult(content=content, structured_content=structured)

    async def _read_file(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        resource = Resource(Kind.FILE, given["path"])
        offset, length = given.get("offset", 0), min(given.get("length", self._most_bytes), self._most_bytes)
        file, data = await reading.file_part(self._kernel, caller, resource, offset=offset, length=length)
        told = {"path": resource.path, "offset": offset, "read": len(data), "size": file.size_bytes}
        return [reading.embedded(resource, data, file.media_type)], told

    async def _write_file(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        request = build(
            storage_pb2.WriteFileRequest,
            name=Resource(Kind.FILE, given["path"]).name,
            content=given["content"].encode(),
            append=given.get("append", False),
            request_id=uuid.uuid4().hex,
        )
        written = await ask(self._kernel.storage.WriteFile, request, caller, seconds=_WRITE_SECONDS)
        return _told(_file(written.file) | {"created": written.created})

    async def _list_files(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        path = given.get("path", "").strip("/")
        request = build(
            storage_pb2.ListFilesRequest,
            parent=Resource(Kind.FILE, path).name.rstrip("/"),
            recursive=True,
            page_size=_NAMES_SHOWN,
            page_token=given.get("cursor", ""),
        )
        page = await ask(self._kernel.storage.ListFiles, request, caller)
        files = [_file(file) for file in page.files if file.kind != stored.FILE_KIND_DIRECTORY]
        return _told({"files": files, "next_cursor": page.next_page_token})

    async def _search_files(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        request = build(
            storage_pb2.SearchFilesRequest,
            parent="agents/me/files",
            query=given["query"],
            page_size=given.get("limit", 10),
        )
        page = await ask(self._kernel.storage.SearchFiles, request, caller)
        hits = [_file(hit.file) | {"score": hit.score, "snippet": hit.snippet} for hit in page.hits]
        return _told({"hits": hits})

    async def _put_note(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        note = build(
            memory_pb2.Note,
            name=Resource(Kind.NOTE, given["key"]).name,
            content=given["content"],
            tags=given.get("tags", ()),
        )
        request = memory_pb2.PutNoteRequest(note=note, request_id=uuid.uuid4().hex)
        written = await ask(self._kernel.memory.PutNote, request, caller, seconds=_WRITE_SECONDS)
        return _told(_note(written.note) | {"created": written.created})

    async def _get_note(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        request = build(memory_pb2.GetNoteRequest, name=Resource(Kind.NOTE, given["key"]).name)
        note: memory_pb2.Note = (await ask(self._kernel.memory.GetNote, request, caller)).note
        return [types.TextContent(text=note.content)], _note(note) | {"content": note.content}

    async def _search_notes(self, caller: Caller, given: Mapping[str, Any]) -> Answer:
        request = build(
            memory_pb2.SearchNotesRequest,
            parent="agents/me",
            query=given["query"],
            limit=given.get("limit", 10),
            tags=given.get("tags", ()),
        )
        page = await ask(self._kernel.memory.SearchNotes, request, caller)
        hits = [_note(hit.note) | {"content": hit.note.content, "score": hit.score} for hit in page.hits]
        return _told({"hits": hits})


def _made(
    name: str,
    description: str,
    work: Work,
    *,
    required: Sequence[str] = (),
    read_only: bool = False,
    **properties: dict[str, Any],
) -> _OwnTool:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    hints = types.ToolAnnotations(
        read_only_hint=read_only, destructive_hint=False, idempotent_hint=read_only, open_world_hint=False
    )
    shown = types.Tool(name=PREFIX + name, description=description, input_schema=schema, annotations=hints)
    return _OwnTool(shown, jsonschema_rs.validator_for(schema), work)


def _told(structured: dict[str, Any]) -> Answer:
    return [types.TextContent(text=arguments_json(structured))], structured


def _file(file: stored.File) -> dict[str, Any]:
    resource = of_name(file.name)
    return {"path": resource.path, "uri": resource.uri, "size": file.size_bytes, "version": file.version}


def _note(note: memory_pb2.Note) -> dict[str, Any]:
    resource = of_name(note.name)
    return {"key": resource.path, "uri": resource.uri, "tags": list(note.tags)}
