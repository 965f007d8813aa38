"""Bodies that clients sent packed, unpacked within a bound. Pure; takes milliseconds for a megabyte."""

import zlib
from typing import Final

WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Content codings that are understood, and how zlib is told of them."""

MOST_MEMBERS: Final = 16
"""A packed body may be several, one after the other. Each costs, also where it holds nothing."""

_DEFLATE: Final = 8
"""The method that a zlib stream's first four bits name."""


class NotPacked(ValueError):
    """The bytes are not packed as it was said, or there is not all of them."""


class TooLarge(ValueError):
    """Unpacked there are more bytes than may be."""


def inflated(packed: bytes, coding: str, most: int) -> bytes:
    """Return what was packed, in one or more members. Raises NotPacked or TooLarge."""
    found = bytearray()
    rest = packed
    for _ in range(MOST_MEMBERS):
        if not rest:
            break
        unpacking = zlib.decompressobj(_window(rest, coding))
        try:
            found += unpacking.decompress(rest, most + 1 - len(found))
        except zlib.error as error:
            raise NotPacked(str(error)) from error
        if len(found) > most or unpacking.unconsumed_tail:
            raise TooLarge
        if not unpacking.eof:
            raise NotPacked("it is cut off")
        rest = unpacking.unused_data
    if rest:
        raise NotPacked("it has too many parts")
    return bytes(found)


def _window(packed: bytes, coding: str) -> int:
    """Return how to tell zlib of a coding. Some clients send deflate without the head that belongs to it."""
    if coding == "deflate" and packed[0] & 0xF != _DEFLATE:
        return -zlib.MAX_WBITS
    return WINDOWS[coding]
