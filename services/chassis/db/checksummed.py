"""Stored bytes with their checksum, so that a damaged row is noticed and never answered with."""

import hashlib
from typing import Final

from services.chassis.rpc.errors import DataCorrupt

_DIGEST_BYTES: Final = 16


def add_checksum(data: bytes) -> bytes:
    """Put a checksum (BLAKE2b, 16 bytes) before the data."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest() + data


def verify_checksum(sealed: bytes, what: str) -> bytes:
    """Return the data that `add_checksum` was given.

    Raises DataCorrupt when a bit has changed.
    """
    data = sealed[_DIGEST_BYTES:]
    if hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest() != sealed[:_DIGEST_BYTES]:
        raise DataCorrupt(f"the stored bytes of {what} do not match their checksum", metadata={"what": what})
    return data
