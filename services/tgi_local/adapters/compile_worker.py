"""Compiles grammars with the engine's own compiler, in a worker process that loads its library and no model.

Imports the standard library only: the worker starts without packages. The engine compiles in its own process,
in code that cannot be interrupted, and answers freely when it fails. The same library with the same words as
the engine's and the same limits comes to the same end here, where memory and time are bounded.

A message is the length of the grammar in bytes, a newline, the grammar, then output that shall be a beginning
of what the grammar allows (it may be empty). An answer is a sign of few, then the reason of a refusal.
"""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from services.tgi_local.adapters.gguf_header import UnreadableModel
from services.tgi_local.adapters.vocabulary import read_vocabulary

KEPT: Final = b"k"
REFUSED: Final = b"r"
UNUSABLE: Final = b"u"
_FORCED = 256
"""Most tokens to follow where the grammar leaves no choice."""
_BYTES = 256
_WORD = 32
_END = b"\xff<end>"
_ERROR_BYTES = 512


class _TokenizerInit(ctypes.Structure):
    _fields_ = [
        ("vocab_size", ctypes.c_uint32),
        ("tok_eos", ctypes.c_uint32),
        ("token_lens", ctypes.POINTER(ctypes.c_uint32)),
        ("token_bytes", ctypes.c_char_p),
        ("tokenizer_json", ctypes.c_char_p),
        ("tokenize_assumes_string", ctypes.c_bool),
        ("tokenize_fn", ctypes.c_void_p),
        ("use_approximate_greedy_tokenize_fn", ctypes.c_bool),
        ("tokenize_user_data", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
    ]


def judging(library: str, model: str) -> Callable[[bytes], bytes]:
    """Return the handler. `model`: whose words the grammars are compiled for; empty: single bytes."""
    try:
        compiler = _Compiler(ctypes.CDLL(library), _words(model))
    except (OSError, AttributeError, UnreadableModel):
        return lambda _message: UNUSABLE

    def handle(message: bytes) -> bytes:
        length, _, rest = message.partition(b"\n")
        grammar, output = rest[: int(length)], rest[int(length) :]
        problem = compiler.judge(grammar, output)
        return REFUSED + problem if problem else KEPT

    return handle


def _words(model: str) -> tuple[list[bytes], int] | None:
    """Read the words of a model as the engine gives them to the compiler, and which of them is its end."""
    if not model:
        return None
    vocabulary = read_vocabulary(Path(model))
    special, pieces = vocabulary.special, vocabulary.pieces
    return [b"\xff" * (at in special) + piece for at, piece in enumerate(pieces)], vocabulary.eos


class _Compiler:
    def __init__(self, library: ctypes.CDLL, words: tuple[list[bytes], int] | None) -> None:
        self._new_tokenizer = library.llg_new_tokenizer
        self._new_tokenizer.restype = ctypes.c_void_p
        self._defaults = library.llg_constraint_init_set_defaults
        self._defaults.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._new = library.llg_new_matcher
        self._new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        self._new.restype = ctypes.c_void_p
        self._free = library.llg_free_matcher
        self._free.argtypes = [ctypes.c_void_p]
        self._mask = library.llg_matcher_compute_mask
        self._mask.argtypes = [ctypes.c_void_p]
        self._allowed = library.llg_matcher_get_mask
        self._allowed.argtypes, self._allowed.restype = [ctypes.c_void_p], ctypes.POINTER(ctypes.c_uint32)
        self._consume = library.llg_matcher_consume_tokens
        self._consume.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self._error = library.llg_matcher_get_error
        self._error.argtypes, self._error.restype = [ctypes.c_void_p], ctypes.c_char_p
        alphabet = [bytes([value]) for value in range(_BYTES)] + [_END]
        self._bytes = self._tokenizer(alphabet, _BYTES)
        pieces, self._end = words or (alphabet, _BYTES)
        self._count = len(pieces)
        self._words = self._tokenizer(pieces, self._end) if words else self._bytes

    def judge(self, grammar: bytes, output: bytes) -> bytes:
        """Return why the engine would not keep the grammar, or nothing.

        Some grammars compile and are too complex to follow. That mostly shows at the first choice, so what is
        forced before it is followed.
        """
        settings = ctypes.create_string_buffer(1024)  # for the library's defaults, whose form is its own
        self._defaults(settings, self._bytes if output else self._words)
        matcher = self._new(settings, b"lark", grammar)
        try:
            problem: bytes | None = self._error(matcher)
            if problem is None and output:
                ids = (ctypes.c_uint32 * len(output))(*output)
                if self._consume(matcher, ids, len(output)):
                    return b"the output is no beginning of what it allows"
            elif problem is None:
                self._follow(matcher)
            problem = problem or self._error(matcher)
            return _first_line(problem) if problem else b""
        finally:
            self._free(matcher)

    def _follow(self, matcher: int) -> None:
        """Take what is forced at the start, and weigh the choice behind it."""
        for _ in range(_FORCED):
            if self._mask(matcher):
                return
            words = self._allowed(matcher)[: (self._count + _WORD - 1) // _WORD]
            allowed = [at * _WORD + bit for at, word in enumerate(words) if word for bit in _bits(word)]
            if len(allowed) != 1 or allowed[0] == self._end:
                return
            if self._consume(matcher, (ctypes.c_uint32 * 1)(allowed[0]), 1):
                return

    def _tokenizer(self, pieces: Sequence[bytes], end: int) -> ctypes.c_void_p:
        lengths = (ctypes.c_uint32 * len(pieces))(*map(len, pieces))
        wanted = _TokenizerInit(
            vocab_size=len(pieces),
            tok_eos=end,
            token_lens=lengths,
            token_bytes=b"".join(pieces),
            use_approximate_greedy_tokenize_fn=True,
        )
        problem = ctypes.create_string_buffer(_ERROR_BYTES)
        made = self._new_tokenizer(ctypes.byref(wanted), problem, ctypes.c_size_t(_ERROR_BYTES))
        if not made:
            raise OSError(problem.value.decode(errors="replace"))
        return ctypes.c_void_p(made)


def _bits(word: int) -> list[int]:
    return [bit for bit in range(_WORD) if word >> bit & 1]


def _first_line(problem: bytes) -> bytes:
    """Return the reason without the grammar around it, which the caller knows."""
    return (problem.partition(b"\n")[0] or b"it does not compile")[:_ERROR_BYTES]
