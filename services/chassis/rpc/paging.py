"""Opaque page tokens: the position after the last row of a page, tied to the query that made it."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest

Key = str | int | float | None
"""One part of a keyset position; must survive JSON."""

_DIGEST_BYTES = 9
_MAX_TOKEN = 4096


def page_size(requested: int, *, default: int = 50, maximum: int = 1000) -> int:
    """Choose the number of rows of a page: 0 means `default`, more than `maximum` means `maximum`.

    Raises InvalidRequest when negative.
    """
    if requested < 0:
        raise InvalidRequest.field("page_size", "must not be negative")
    return min(requested, maximum) if requested else default


def encode(position: Sequence[Key], *query: Key) -> str:
    """Make a token for the rows after `position` in the list that `query` describes.

    Put everything that selects rows into `query` (tenant, owner, filter, order) but not the page size.
    """
    body = json.dumps(list(position), separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_digest(query) + body).decode().rstrip("=")


def decode(token: str, *query: Key) -> list[Key]:
    """Return the position in a token, or an empty list for the empty token (the first page).

    Raises InvalidPageToken when the token was not made by `encode` for the same query.
    """
    if not token:
        return []
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        position = json.loads(raw[_DIGEST_BYTES:])
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidPageToken("the page token is not one this list returned") from error
    right_query = raw[:_DIGEST_BYTES] == _digest(query)
    if len(token) > _MAX_TOKEN or not right_query or not _is_position(position):
        raise InvalidPageToken("the page token belongs to another list or filter")
    return list(position)


def _digest(query: Sequence[Key]) -> bytes:
    text = json.dumps(list(query), separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]


def _is_position(value: object) -> bool:
    return isinstance(value, list) and all(
        part is None or (isinstance(part, str | int | float) and not isinstance(part, bool)) for part in value
    )
