"""How many values a JSON text holds, before anything parses it. Pure.

Parsing a text of brackets alone takes hundreds of milliseconds of the event loop for each megabyte, and no
thread would help: Python parses one text at a time. What is done here takes a few, all of it in native code.
"""

from typing import Final

from services.chassis.rpc.errors import RequestTooLarge

MOST: Final = 50_000
"""Values of one request."""
_HARMLESS: Final = 64 * 1024
"""Bytes of a text that may hold whatever it wants."""


def check(text: bytes) -> None:
    """Raise RequestTooLarge when a JSON text holds too many values.

    Up to the first place where it is no JSON the count is exact; no parser gets further.
    """
    if len(text) <= _HARMLESS:
        return
    # Without escaped quotes each quote begins or ends a string: what lies outside is every other part.
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * MOST:
        raise _too_many()
    outside = b"".join(plain.split(b'"')[::2])
    if sum(outside.count(mark) for mark in (b"[", b"{", b",")) > MOST:
        raise _too_many()


def _too_many() -> RequestTooLarge:
    return RequestTooLarge(f"the request holds more than {MOST} values", metadata={"max_values": str(MOST)})
