"""What came of a call at an MCP server, as the kernel tells it. Pure, beside the SDK's types.

A structured result is the value, else the text is. Images and sounds are pieces. Links and addresses are told
as text: nothing that follows links by itself gets one from a server.
"""

import base64
import binascii
import math
import re
from typing import Final

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from services.tool.core.pins import visible
from services.tool.errors import ToolFailed
from services.tool.model import CallError, ContentPart, Progress, ToolOutcome, UnreadableResult

MAX_PIECES: Final = 32
MAX_PIECE: Final = 1024 * 1024
"""Bytes of one piece."""
MAX_MESSAGE: Final = 4_096
MAX_PROGRESS: Final = 1_024
MOST_PROGRESS: Final = 1e12
_MEDIA: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}")


def outcome(result: CallToolResult) -> ToolOutcome:
    """Return what a call came to."""
    texts = [text for text in map(_text, result.content) if text is not None]
    text = "\n".join(texts)
    if result.is_error:
        return ToolOutcome(error=failure(text))
    try:
        pieces = tuple(piece for piece in map(_piece, result.content) if piece is not None)
    except ValueError as error:
        return ToolOutcome(value=UnreadableResult(f"the tool's result cannot be taken: {error}"))
    if result.structured_content is not None:
        return ToolOutcome(value=result.structured_content, pieces=_bounded(pieces))
    return ToolOutcome(value=text if texts or not pieces else None, pieces=_bounded(pieces))


def failure(text: str) -> CallError:
    """Return a failure in the server's words."""
    said = visible(text[: 2 * MAX_MESSAGE])[:MAX_MESSAGE]
    return CallError(ToolFailed.reason, said or "the tool failed")


def progress(told: float, total: float | None, message: str | None) -> Progress:
    """Return how far a call is; numbers that are none are nothing."""
    text = visible((message or "")[: 2 * MAX_PROGRESS])[:MAX_PROGRESS]
    return Progress(_number(told), _number(total or 0.0), text)


def _number(value: float) -> float:
    return min(max(float(value), 0.0), MOST_PROGRESS) if math.isfinite(value) else 0.0


def _bounded(pieces: tuple[ContentPart, ...]) -> tuple[ContentPart, ...]:
    return pieces[:MAX_PIECES]


def _text(block: ContentBlock) -> str | None:
    match block:
        case TextContent():
            return block.text
        case ResourceLink():
            name = visible(block.title or block.name, lines=False)
            return f"[link: {name}: {visible(str(block.uri), lines=False)}]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case _:
            return None


def _piece(block: ContentBlock) -> ContentPart | None:
    match block:
        case ImageContent() | AudioContent():
            return _data(block.data, block.mime_type)
        case EmbeddedResource(resource=BlobResourceContents() as resource):
            return _data(resource.blob, resource.mime_type or "")
        case _:
            return None


def _data(encoded: str, media_type: str) -> ContentPart:
    """Return a piece of bytes. Raises ValueError for what is none, or too large."""
    if len(encoded) > MAX_PIECE * 4 // 3 + 4:
        raise ValueError(f"a piece is larger than {MAX_PIECE} bytes")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("a piece is not base64") from None
    media = media_type if _MEDIA.fullmatch(media_type) else "application/octet-stream"
    return ContentPart(data_base64=base64.b64encode(data).decode(), media_type=media)
