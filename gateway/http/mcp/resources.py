"""resources/list, resources/templates/list, resources/read: files, notes, conversations of the caller."""

from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any, Final

import mcp_types as types

from aios.api.context.v1 import context_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import resources_pb2 as stored
from aios.api.storage.v1 import storage_pb2
from gateway.http.kernel import Kernel
from gateway.http.mcp import convert, reading
from gateway.http.mcp.failures import META, no_resource
from gateway.http.mcp.settings import McpSettings
from gateway.http.mcp.syscalls import Caller, ask, build
from gateway.http.mcp.uris import Kind, of_name, parse
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import InvalidPageToken, KernelError

_PAGE: Final = 200
_MARK: Final = ":"

_TEMPLATES: Final = (
    types.ResourceTemplate(
        name="file", uri_template="aios://files/{+path}", description="A file of yours, by its path."
    ),
    types.ResourceTemplate(
        name="note",
        uri_template="aios://notes/{+key}",
        description="A note of yours, by its key.",
        mime_type="text/plain",
    ),
    types.ResourceTemplate(
        name="context",
        uri_template="aios://contexts/{name}",
        description="A conversation of yours: its newest messages, oldest first.",
        mime_type="application/json",
    ),
)

Page = tuple[list[types.Resource], str]


class ResourceHandlers:
    """What the door does about resources."""

    def __init__(self, kernel: Kernel, settings: McpSettings) -> None:
        self._kernel = kernel
        self._most = settings.read_bytes
        self._lists: dict[Kind, Callable[[Caller, str], Awaitable[Page]]] = {
            Kind.FILE: self._files,
            Kind.NOTE: self._notes,
            Kind.CONTEXT: self._contexts,
        }

    async def list(self, caller: Caller, cursor: str) -> types.ListResourcesResult:
        """List files, then notes, then conversations. A kind that the caller may not read is left out.

        A page goes on with the next kind while it has room: many clients read the first page alone.
        """
        kind, token = _read_cursor(cursor)
        kinds = list(self._lists)
        found: list[types.Resource] = []
        refused: KernelError | None = None
        answered = False
        for each in kinds[kinds.index(kind) :]:
            if len(found) >= _PAGE:
                return types.ListResourcesResult(resources=found, next_cursor=f"{each.value}{_MARK}")
            try:
                page, more = await self._lists[each](caller, token)
            except KernelError as error:
                if error.code is not Code.PERMISSION_DENIED:
                    raise
                refused = error
                continue
            finally:
                token = ""
            answered = True
            found += page
            if more:
                return types.ListResourcesResult(resources=found, next_cursor=f"{each.value}{_MARK}{more}")
        if refused is not None and not answered:
            raise refused
        return types.ListResourcesResult(resources=found)

    def templates(self) -> types.ListResourceTemplatesResult:
        """List the templates; they are the same for everybody."""
        return types.ListResourceTemplatesResult(resource_templates=list(_TEMPLATES))

    async def read(self, caller: Caller, uri: str, revision: str) -> types.ReadResourceResult:
        """Read a resource whole. Raises MCPError when there is none."""
        modern = convert.is_modern(revision)
        resource = parse(uri)
        if resource is None:
            raise no_resource(uri, modern=modern)
        try:
            found = await reading.whole(self._kernel, caller, resource, self._most)
        except KernelError as error:
            if error.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                raise no_resource(uri, modern=modern) from error
            raise
        return types.ReadResourceResult(contents=[found])

    async def _files(self, caller: Caller, token: str) -> Page:
        request = build(
            storage_pb2.ListFilesRequest,
            parent="agents/me/files",
            recursive=True,
            page_size=_PAGE,
            page_token=token,
        )
        page = await ask(self._kernel.storage.ListFiles, request, caller)
        files = [file for file in page.files if file.kind != stored.FILE_KIND_DIRECTORY]
        return [_file(file) for file in files], page.next_page_token

    async def _notes(self, caller: Caller, token: str) -> Page:
        request = build(
            memory_pb2.ListNotesRequest,
            parent="agents/me",
            view=memory_pb2.NOTE_VIEW_BASIC,
            page_size=_PAGE,
            page_token=token,
        )
        page = await ask(self._kernel.memory.ListNotes, request, caller)
        return [_note(note) for note in page.notes], page.next_page_token

    async def _contexts(self, caller: Caller, token: str) -> Page:
        request = build(
            context_pb2.ListContextsRequest, parent="agents/me", page_size=_PAGE, page_token=token
        )
        page = await ask(self._kernel.context.ListContexts, request, caller)
        found = [
            _shown(context, title=context.title, mime_type="application/json") for context in page.contexts
        ]
        return found, page.next_page_token


def _read_cursor(cursor: str) -> tuple[Kind, str]:
    """Return which list goes on, and where. Raises InvalidPageToken."""
    if not cursor:
        return Kind.FILE, ""
    name, mark, token = cursor.partition(_MARK)
    if not mark or name not in {kind.value for kind in Kind}:
        raise InvalidPageToken("the cursor is not one that resources/list returned")
    return Kind(name), token


def _file(file: stored.File) -> types.Resource:
    return _shown(
        file,
        mime_type=file.media_type or None,
        size=file.size_bytes,
        _meta={META: {"version": file.version, "etag": file.etag, "writer": file.writer}},
    )


def _note(note: memory_pb2.Note) -> types.Resource:
    return _shown(note, description=note.context or None, mime_type="text/plain")


def _shown(found: Any, **more: Any) -> types.Resource:
    """Show what has a name and an update_time."""
    resource = of_name(found.name)
    changed = None
    if found.HasField("update_time"):
        changed = types.Annotations(last_modified=found.update_time.ToDatetime(UTC).isoformat())
    return types.Resource(name=resource.path, uri=resource.uri, annotations=changed, **more)
