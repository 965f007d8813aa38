"""Runs of output as bytes."""

import struct
import sys
from array import array
from collections.abc import Iterator

from services.context.model import Emitted, Place

_COUNTS = struct.Struct("<II")
_SIZE = struct.Struct("<I")
_PLACE = struct.Struct("<QI")
_HAS_PLACES = 1 << 31
MOST_PLACES = 4_096
"""Places whose alternatives are kept; the newest ones."""


def pack(emitted: Emitted) -> bytes:
    """Write a run of output: two counts, token ids, piece lengths (little-endian int32), then the text.

    The highest bit of the first count tells of places, which lie after the counts with their size before
    them.
    """
    places = b"".join(_PLACE.pack(p.sequence, len(p.data)) + p.data for p in emitted.places)
    mark = _HAS_PLACES if places else 0
    counts = _COUNTS.pack(len(emitted.token_ids) | mark, len(emitted.piece_lengths))
    head = counts + _SIZE.pack(len(places)) + places if places else counts
    return head + _ints(emitted.token_ids) + _ints(emitted.piece_lengths) + emitted.text.encode()


def unpack(data: bytes) -> Emitted:
    """Read what `pack` wrote."""
    ids, pieces = _COUNTS.unpack_from(data)
    start = _COUNTS.size
    places: tuple[Place, ...] = ()
    if ids & _HAS_PLACES:
        ids ^= _HAS_PLACES
        start += _SIZE.size + _SIZE.unpack_from(data, start)[0]
        places = tuple(_places(data[_COUNTS.size + _SIZE.size : start]))
    middle = start + 4 * ids
    end = middle + 4 * pieces
    return Emitted(_tuple(data[start:middle]), data[end:].decode(), _tuple(data[middle:end]), places)


def join(runs: list[Emitted]) -> Emitted:
    """Put runs of output together; of their places the newest are kept."""
    if len(runs) == 1:
        return runs[0]
    return Emitted(
        tuple(token for run in runs for token in run.token_ids),
        "".join(run.text for run in runs),
        tuple(length for run in runs for length in run.piece_lengths),
        tuple(place for run in runs for place in run.places)[-MOST_PLACES:],
    )


def _places(data: bytes) -> Iterator[Place]:
    at = 0
    while at < len(data):
        sequence, size = _PLACE.unpack_from(data, at)
        at += _PLACE.size + size
        yield Place(sequence, data[at - size : at])


def _ints(values: tuple[int, ...]) -> bytes:
    numbers = array("i", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _tuple(data: bytes) -> tuple[int, ...]:
    numbers = array("i")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)
