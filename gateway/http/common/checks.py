"""Bounds of what clients send, told by the field's name in the client's own request. Pure."""

import hashlib
import re
from typing import Final

import msgspec

from gateway.errors import PromptTooLong
from gateway.http.errors import UnsupportedParameter
from services.chassis.rpc.errors import FieldViolation, InvalidRequest

NAME_CHARACTERS: Final = 128
"""Longest id of a tool call, name of a speaker, affinity key."""
CONTENT_BYTES: Final = 1_048_576
ARGUMENTS_BYTES: Final = 262_144
SCHEMA_BYTES: Final = 65_536
MODEL_CHARACTERS: Final = 256

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Checks a whole text and makes nothing of what lies in it: megabytes of it are checked on the event loop."""
_TEXTS: Final = msgspec.json.Decoder(str | list[str])
_TOKEN_IDS: Final = re.compile(rb"\s*\[\s*[\[0-9-]")


def characters(value: str, path: str, most: int, least: int = 0) -> str:
    """Return the text if its length is within bounds. Raises InvalidRequest."""
    if not least <= len(value) <= most:
        least_words = f"{least} to " if least else "at most "
        raise InvalidRequest.field(path, f"has {len(value)} characters; {least_words}{most} are taken")
    return value


def size(value: str, path: str, most: int) -> str:
    """Return the text if its UTF-8 is no longer than `most` bytes. Raises InvalidRequest."""
    if len(value) > most or (len(value) * 4 > most and len(value.encode()) > most):
        raise InvalidRequest.field(path, f"is longer than {most} bytes")
    return value


def content(value: str, path: str) -> str:
    """Return what is said in a message, or all of a prompt. Raises PromptTooLong.

    Clients shorten a conversation that is told to be too long; a field that breaks a rule ends their work.
    """
    if len(value) > CONTENT_BYTES or (len(value) * 4 > CONTENT_BYTES and len(value.encode()) > CONTENT_BYTES):
        raise too_long(path)
    return value


def too_long(path: str) -> PromptTooLong:
    """Make the error for more text than the kernel takes at one place."""
    description = f"has more than {CONTENT_BYTES} bytes"
    return PromptTooLong(
        f"prompt is too long: {path} {description}", violations=[FieldViolation(path, description)]
    )


def integer(value: int, path: str, least: int, most: int) -> int:
    """Return the number if it is within bounds. Raises InvalidRequest."""
    if not least <= value <= most:
        raise InvalidRequest.field(path, f"must be from {least} to {most}")
    return value


def number(value: float, path: str, least: float, most: float) -> float:
    """Return the number if it is within bounds. Raises InvalidRequest; for NaN and infinity too."""
    if not least <= value <= most:
        raise InvalidRequest.field(path, f"must be from {least:g} to {most:g}")
    return value


def present(raw: msgspec.Raw) -> bool:
    """Tell whether a field that is read later was sent, and not as null."""
    return bytes(raw) not in {b"", b"null"}


def json_object(raw: msgspec.Raw, path: str, most: int = SCHEMA_BYTES) -> str:
    """Return the text of a JSON object as the client wrote it; empty when it sent none.

    Raises InvalidRequest when it is something else, or longer than `most` bytes.
    """
    if not present(raw):
        return ""
    if memoryview(raw).nbytes > most:
        raise InvalidRequest.field(path, f"is longer than {most} bytes")
    return object_text(bytes(raw), path)


def object_text(text: bytes, path: str) -> str:
    """Return the text of a JSON object. Raises InvalidRequest when it is something else."""
    try:
        _OBJECT.decode(text)
        return text.decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidRequest.field(path, "must be a JSON object") from None


def texts(raw: msgspec.Raw, path: str) -> str | list[str]:
    """Return one text or several; none when the field was not sent.

    Raises UnsupportedParameter for token ids, which are not made into objects first: a body holds millions of
    lists of them. Raises InvalidRequest for anything else.
    """
    if not present(raw):
        return []
    if _TOKEN_IDS.match(bytes(raw)):
        raise UnsupportedParameter.field(path, "token ids are not supported; send text")
    try:
        return _TEXTS.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidRequest.field(path, "must be a text or a list of texts") from None


def arguments(text: str, path: str) -> str:
    """Return the arguments of a tool call, the text of a JSON object or nothing. Raises InvalidRequest."""
    size(text, path, ARGUMENTS_BYTES)
    return object_text(text.encode(), path) if text.strip() else ""


def key(text: str, most: int = NAME_CHARACTERS) -> str:
    """Return a text that only has to be the same each time: as it is, or its hash if it is long or strange.

    So ids of tool calls and affinity keys of any length and any characters come through.
    """
    if len(text) <= most and text.isprintable():
        return text
    return "h-" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]
