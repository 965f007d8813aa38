"""Runs of output as bytes."""

import struct
import sys
from array import array

from services.context.model import Emitted

_COUNTS = struct.Struct("<II")


def pack(emitted: Emitted) -> bytes:
    """Write a run of output: two counts, token ids, piece lengths (little-endian int32), then the text."""
    counts = _COUNTS.pack(len(emitted.token_ids), len(emitted.piece_lengths))
    return counts + _ints(emitted.token_ids) + _ints(emitted.piece_lengths) + emitted.text.encode()


def unpack(data: bytes) -> Emitted:
    """Read what `pack` wrote."""
    ids, pieces = _COUNTS.unpack_from(data)
    middle = _COUNTS.size + 4 * ids
    end = middle + 4 * pieces
    return Emitted(_tuple(data[_COUNTS.size : middle]), data[end:].decode(), _tuple(data[middle:end]))


def join(runs: list[Emitted]) -> Emitted:
    """Put runs of output together."""
    if len(runs) == 1:
        return runs[0]
    return Emitted(
        tuple(token for run in runs for token in run.token_ids),
        "".join(run.text for run in runs),
        tuple(length for run in runs for length in run.piece_lengths),
    )


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
