"""The tokens of a GGUF model: their bytes and kinds, read from the file's header.

The engine reports token text only once characters are complete. Resuming and streaming need the bytes of each
single token, so the vocabulary is read here.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from services.tgi_local.adapters.gguf_header import UnreadableModel, read_header

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
_TEMPLATE: Final = "tokenizer.chat_template"
_CALLS: Final = frozenset({"<tool_call>", "</tool_call>", "<think>", "</think>"})
"""Marks of calls and thoughts: the kernel writes the first into contents itself, and they open no turn."""
_BYTE_LEVEL: Final = frozenset({"gpt2"})
_SENTENCE_PIECE: Final = frozenset({"llama", "t5"})
_SHRINKING: Final = frozenset({"t5"})
_SHORTEST_MARKER: Final = 4


@dataclass(frozen=True)
class Vocabulary:
    """Bytes and kind of every token id. `pieces[i]` is the text of id `i` in bytes."""

    pieces: Sequence[bytes]
    special: frozenset[int]
    """Ids that steer the model and are not part of its text."""

    eos: int
    name: str = ""
    markers: frozenset[str] = frozenset()
    """What no content may hold as a token: the special ones, and others that the chat template writes."""

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
    return _vocabulary(path, read_header(path))


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
        markers=frozenset(_markers(tokens, kinds, str(fields.get(_TEMPLATE, "")))),
        shrinks=model in _SHRINKING,
    )


def _markers(tokens: Sequence[str], kinds: Sequence[int], template: str) -> Iterator[str]:
    for token, kind in zip(tokens, kinds, strict=True):
        if kind in {_CONTROL, _UNKNOWN} or (
            kind == _USER_DEFINED and token.strip() and token in template and token not in _CALLS
        ):
            yield token


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
