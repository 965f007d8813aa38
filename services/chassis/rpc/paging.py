"""Opaque page tokens: the position after the last row of a page, tied to the query that made it."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest

Key = str | int | float | None
"""One part of a keyset position; must survive JSON."""

Kind = type[int] | type[str] | type[float]
"""What one part of a position is."""

_LARGEST = 253_402_300_799_999_999
"""The last microsecond of the year 9999: no list is ordered by more, and a time can be made of it."""

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


def decode(token: str, *query: Key, shape: Sequence[Kind]) -> list[Key]:
    """Return the position in a token, or an empty list for the empty token (the first page).

    The digest ties a token to its query but proves nothing: anybody can compute it. So the position is taken
    as what a stranger wrote: it has exactly the kinds of `shape`, numbers lie between 0 and the largest time
    in microseconds, texts are what every database stores. Raises InvalidPageToken when it is not so, or when
    the token was not made by `encode` for the same query.
    """
    if not token:
        return []
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        position = json.loads(raw[_DIGEST_BYTES:])
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidPageToken("the page token is not one this list returned") from error
    right_query = raw[:_DIGEST_BYTES] == _digest(query)
    if len(token) > _MAX_TOKEN or not right_query or not _has_shape(position, shape):
        raise InvalidPageToken("the page token belongs to another list or filter")
    return list(position)


def _digest(query: Sequence[Key]) -> bytes:
    text = json.dumps(list(query), separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]


def _has_shape(position: object, shape: Sequence[Kind]) -> bool:
    return (
        isinstance(position, list)
        and len(position) == len(shape)
        and all(_is_of(part, kind) for part, kind in zip(position, shape, strict=True))
    )


def _is_of(part: object, kind: Kind) -> bool:
    if isinstance(part, bool):
        return False
    if kind is str:
        # NUL and lone surrogates cannot be stored, so no list ever stood there.
        return isinstance(part, str) and "\0" not in part and _encodes(part)
    if kind is int:
        return isinstance(part, int) and 0 <= part <= _LARGEST
    # The comparison leaves out NaN and infinity, and takes whole numbers that no float holds.
    return isinstance(part, int | float) and 0 <= part <= _LARGEST


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
