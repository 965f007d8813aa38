"""Reads OpenAPI documents in a worker process: parsers of strangers' texts stall and crash nobody else there.

A message is a document, an answer what it offers, as the chassis' codec writes it.
"""

from collections.abc import Callable

from services.chassis import codec
from services.tool.core.documents import BadDocument, read_document
from services.tool.core.openapi import Read, read_openapi


def reading() -> Callable[[bytes], bytes]:
    """Return the handler."""
    return read


def read(document: bytes) -> bytes:
    """Read a document."""
    try:
        return codec.encode(read_openapi(read_document(document)))
    except BadDocument as error:
        return codec.encode(Read(problem=str(error)))
