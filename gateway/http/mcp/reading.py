"""What a resource holds: files, notes and conversations, each read in the caller's name."""

import base64
from typing import Any, Final

import mcp_types as types

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2
from aios.api.context.v1 import resources_pb2 as conversations
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import resources_pb2 as stored
from aios.api.storage.v1 import storage_pb2
from gateway.http.kernel import Kernel
from gateway.http.mcp.convert import arguments_json
from gateway.http.mcp.errors import ResourceTooLarge
from gateway.http.mcp.syscalls import Caller, ask, build, follow
from gateway.http.mcp.uris import Kind, Resource

Contents = types.TextResourceContents | types.BlobResourceContents

_ROLE: Final = "ROLE_"
_MESSAGES: Final = 200


async def whole(kernel: Kernel, caller: Caller, resource: Resource, most: int) -> Contents:
    """Read a resource of at most `most` bytes. Raises ResourceTooLarge and what the kernel refuses."""
    if resource.kind is Kind.NOTE:
        request = build(memory_pb2.GetNoteRequest, name=resource.name)
        note: memory_pb2.Note = (await ask(kernel.memory.GetNote, request, caller)).note
        return types.TextResourceContents(uri=resource.uri, text=note.content, mime_type="text/plain")
    if resource.kind is Kind.CONTEXT:
        return await _conversation(kernel, caller, resource, most)
    file, data = await file_part(kernel, caller, resource, offset=0, length=most)
    if file.size_bytes > most:
        raise ResourceTooLarge(
            f"{resource.path} has {file.size_bytes} bytes, more than {most}; read it in parts",
            metadata={"size_bytes": str(file.size_bytes), "limit_bytes": str(most)},
        )
    return contents(resource, data, file.media_type)


async def file_part(
    kernel: Kernel, caller: Caller, resource: Resource, *, offset: int, length: int
) -> tuple[stored.File, bytes]:
    """Read a part of a file. Raises what the kernel refuses."""
    request = build(storage_pb2.ReadFileRequest, name=resource.name, offset=offset, length=length)
    file, data = stored.File(), bytearray()
    async for event in follow(kernel.storage.ReadFile, request, caller):
        if event.WhichOneof("event") == "file":
            file = event.file
        else:
            data += event.data
    return file, bytes(data)


def contents(resource: Resource, data: bytes, media_type: str) -> Contents:
    """Show bytes as text where they are text, and in base64 otherwise."""
    text = _text(data)
    if text is not None:
        return types.TextResourceContents(uri=resource.uri, text=text, mime_type=media_type or "text/plain")
    blob = base64.b64encode(data).decode()
    return types.BlobResourceContents(
        uri=resource.uri, blob=blob, mime_type=media_type or "application/octet-stream"
    )


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def embedded(resource: Resource, data: bytes, media_type: str) -> types.ContentBlock:
    """Show bytes in the result of a tool."""
    shown = contents(resource, data, media_type)
    if isinstance(shown, types.TextResourceContents):
        return types.TextContent(text=shown.text)
    return types.EmbeddedResource(resource=shown)


async def _conversation(kernel: Kernel, caller: Caller, resource: Resource, most: int) -> Contents:
    """Read the newest messages of a conversation that fit into `most` bytes, as JSON, oldest first."""
    found = await ask(
        kernel.context.GetContext, build(context_pb2.GetContextRequest, name=resource.name), caller
    )
    context: conversations.Context = found.context
    request = build(
        context_pb2.ListMessagesRequest, name=resource.name, newest_first=True, page_size=_MESSAGES
    )
    shown: list[str] = []
    room = most
    more = True
    while more and room > 0:
        page = await ask(kernel.context.ListMessages, request, caller)
        for message in page.messages:
            text = arguments_json(_message(message))
            room -= len(text.encode())
            if room < 0:
                break
            shown.append(text)
        request.page_token = page.next_page_token
        more = bool(page.next_page_token)
    head = {
        "name": resource.path,
        "title": context.title,
        "message_count": context.message_count,
        "complete": len(shown) == context.message_count,
    }
    text = f'{arguments_json(head)[:-1]},"messages":[{",".join(reversed(shown))}]}}'
    return types.TextResourceContents(uri=resource.uri, text=text, mime_type="application/json")


def _message(found: conversations.Message) -> dict[str, Any]:
    said = found.message
    shown: dict[str, Any] = {
        "position": found.position,
        "role": chat_pb2.Role.Name(said.role).removeprefix(_ROLE).lower(),
        "content": said.content,
    }
    if said.tool_calls:
        shown["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments_json or "{}"}
            for call in said.tool_calls
        ]
    if said.tool_call_id:
        shown["tool_call_id"] = said.tool_call_id
    return shown
