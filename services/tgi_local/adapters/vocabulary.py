"""The tokens of a GGUF model: their bytes and kinds, read from the file's header.

The engine reports token text only once characters are complete. Resuming and streaming need the bytes of each
single token, so the vocabulary is read here. Layout: the GGUF specification, version 2 and 3 (little endian).
"""

import mmap
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

_FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9
_NORMAL, _CONTROL, _BYTE = 1, 3, 6
_BYTE_LEVEL: Final = frozenset({"gpt2"})
_SENTENCE_PIECE: Final = frozenset({"llama", "t5"})
_SHRINKING: Final = frozenset({"t5"})
_VERSIONS: Final = (2, 3)
_SHORTEST_MARKER: Final = 4
_HEADER: Final = 24


class UnreadableModel(Exception):
    """The file is not a GGUF model whose tokenizer this server knows."""


@dataclass(frozen=True)
class Vocabulary:
    """Bytes and kind of every token id. `pieces[i]` is the text of id `i` in bytes."""

    pieces: Sequence[bytes]
    special: frozenset[int]
    """Ids that steer the model and are not part of its text."""

    eos: int
    name: str = ""
    shrinks: bool = False
    """Whether a text may lose bytes before it is split, as where blanks are put together."""

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def ids_by_bytes(self) -> dict[bytes, tuple[int, ...]]:
        """Every ordinary token by its bytes."""
        found: dict[bytes, list[int]] = defaultdict(list)
        for token, piece in enumerate(self.pieces):
            if token not in self.special and piece:
                found[piece].append(token)
        return {piece: tuple(tokens) for piece, tokens in found.items()}

    @cached_property
    def longest(self) -> int:
        """Bytes that a token stands for at most; 0: unknown.

        It is known where nothing of a text is lost: each byte has its own token, so that none is dropped.
        """
        if self.shrinks or not {bytes([byte]) for byte in range(256)} <= set(self.pieces):
            return 0
        return max(map(len, self.pieces))

    def text(self, ids: Sequence[int]) -> str:
        """Return the ids as text, special tokens left out, broken characters replaced."""
        return b"".join(self.pieces[i] for i in ids if i not in self.special).decode(errors="replace")

    def may_end(self, token: int) -> bool:
        """Whether the engine may treat this token as the end: it knows some by their look, as `[EOT]`."""
        piece = self.pieces[token]
        return token in self.special or (len(piece) >= _SHORTEST_MARKER and piece.endswith((b">", b"]")))


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the tokenizer of a GGUF file. Raises UnreadableModel."""
    if path.stat().st_size < _HEADER:
        raise UnreadableModel(f"{path}: not a GGUF file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            fields = dict(_fields(data))
        except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
            raise UnreadableModel(f"{path}: the GGUF header is damaged") from error
    return _vocabulary(path, fields)


def _vocabulary(path: Path, fields: dict[str, Any]) -> Vocabulary:
    model = fields.get("tokenizer.ggml.model")
    tokens: list[str] | None = fields.get("tokenizer.ggml.tokens")
    if tokens is None or model not in _BYTE_LEVEL | _SENTENCE_PIECE:
        raise UnreadableModel(f"{path}: no tokenizer of a supported kind (found {model!r})")
    kinds = fields.get("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
    piece = _byte_level_piece if model in _BYTE_LEVEL else _sentence_piece
    return Vocabulary(
        pieces=tuple(piece(token, kind) for token, kind in zip(tokens, kinds, strict=True)),
        special=frozenset(i for i, kind in enumerate(kinds) if kind == _CONTROL),
        eos=int(fields.get("tokenizer.ggml.eos_token_id", 0)),
        name=str(fields.get("general.name", path.stem)),
        shrinks=model in _SHRINKING,
    )


def _byte_level_piece(token: str, kind: int) -> bytes:
    """GPT-2's byte-level BPE writes each byte as one printable character."""
    if kind != _NORMAL:
        return token.encode()
    return bytes(_BYTE_OF[c] for c in token) if all(c in _BYTE_OF for c in token) else token.encode()


def _sentence_piece(token: str, kind: int) -> bytes:
    """SentencePiece writes a space as U+2581 and stray bytes as `<0xAB>`."""
    if kind == _BYTE:
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581", " ").encode() if kind == _NORMAL else token.encode()


def _byte_alphabet() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + n): b for n, b in enumerate(others)}


_BYTE_OF: Final = _byte_alphabet()


def _fields(data: mmap.mmap) -> Iterator[tuple[str, Any]]:
    """Walk the key-value part of the header; arrays that are not about tokens are skipped over."""
    magic, version, _tensors, count = struct.unpack_from("<4sIQQ", data, 0)
    if magic != b"GGUF" or version not in _VERSIONS:
        raise UnreadableModel("not a GGUF file of version 2 or 3")
    at = _HEADER
    for _ in range(count):
        key, at = _read(data, at, _STRING)
        (kind,) = struct.unpack_from("<I", data, at)
        value, at = _read(data, at + 4, kind)
        yield key, value


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
