"""Reads OpenAPI documents in a worker process: parsers of strangers' texts stall and crash nobody else there.

A message is a document; an answer is JSON: `{"problem": why}`, or what the document offers.
"""

import dataclasses
import json
from collections.abc import Callable

from services.tool.core.documents import BadDocument, read_document
from services.tool.core.openapi import read_openapi


def reading() -> Callable[[bytes], bytes]:
    """Return the handler."""
    return read


def read(document: bytes) -> bytes:
    """Read a document."""
    try:
        found = dataclasses.asdict(read_openapi(read_document(document)))
    except BadDocument as error:
        found = {"problem": str(error)}
    return json.dumps(found).encode()
