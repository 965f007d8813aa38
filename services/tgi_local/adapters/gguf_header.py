"""The key-value part of a GGUF file's header: versions 2 and 3 of the specification, little endian."""

import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

_FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9
_VERSIONS: Final = (2, 3)
_HEADER: Final = 24


class UnreadableModel(Exception):
    """The file is not a GGUF model that this server knows how to read."""


def read_header(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Any]:
    """Return the header's fields whose names are wanted, stepping over the others.

    Raises UnreadableModel.
    """
    if path.stat().st_size < _HEADER:
        raise UnreadableModel(f"{path}: not a GGUF file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return dict(_fields(data, wanted))
        except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
            raise UnreadableModel(f"{path}: the GGUF header is damaged") from error


def _fields(data: mmap.mmap, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
    magic, version, _tensors, count = struct.unpack_from("<4sIQQ", data, 0)
    if magic != b"GGUF" or version not in _VERSIONS:
        raise UnreadableModel("not a GGUF file of version 2 or 3")
    at = _HEADER
    for _ in range(count):
        key, at = _read(data, at, _STRING)
        (kind,) = struct.unpack_from("<I", data, at)
        if wanted(key):
            value, at = _read(data, at + 4, kind)
            yield key, value
        else:
            at = _after(data, at + 4, kind)


def _read(data: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    """Return the value at offset `at` and the offset after it."""
    if kind == _STRING:
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 8 + length
        return data[at + 8 : end].decode(), end
    if kind == _ARRAY:
        item, length = struct.unpack_from("<IQ", data, at)
        return _read_array(data, at + 12, item, length)
    form = "<" + _FORMATS[kind]
    return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)


def _read_array(data: mmap.mmap, at: int, item: int, length: int) -> tuple[list[Any], int]:
    if item in _FORMATS:
        form = f"<{length}{_FORMATS[item]}"
        return list(struct.unpack_from(form, data, at)), at + struct.calcsize(form)
    values = []
    for _ in range(length):
        value, at = _read(data, at, item)
        values.append(value)
    return values, at


def _after(data: mmap.mmap, at: int, kind: int) -> int:
    """Return the offset after a value, without making it."""
    if kind in _FORMATS:
        return at + struct.calcsize("<" + _FORMATS[kind])
    if kind == _STRING:
        (length,) = struct.unpack_from("<Q", data, at)
        return int(at + 8 + length)
    item, length = struct.unpack_from("<IQ", data, at)
    at += 12
    if item in _FORMATS:
        return int(at + length * struct.calcsize("<" + _FORMATS[item]))
    for _ in range(length):
        at = _after(data, at, item)
    return at
