"""Splits texts with the engine's own tokenizer, in a worker process that loads the vocabulary alone.

Imports the standard library only: the worker starts without packages. A message is JSON, a list of texts and
whether special tokens written in each are meant; the answer lists the ids of each.
"""

import ctypes
import json
from collections.abc import Callable, Sequence

_VOCAB_ONLY = 0x48
_DEFAULTS = bytes((0, 0, 1, 0))
"""What stands where `vocab_only` and the next three switches are, in the defaults of the library that this
was written for. In any other the whole file is mapped, which costs address space and little else."""
_SPECIAL = 1 << 3 | 1 << 4
"""The library's bits of tokens that steer, and of those of a user's own: it looks for both by their text."""
_SIGN = "\ufdd3"
"""In no vocabulary: it is split into its bytes, or is unknown."""
_PARAMS_BYTES = 512
"""More than the library's parameters have; what is beyond them is not looked at."""


class _Params(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * _PARAMS_BYTES)]


def splitting(library: str, model: str) -> Callable[[bytes], bytes]:
    """Load a model's vocabulary and return the handler. Raises OSError or RuntimeError when it cannot."""
    vocabulary = _Vocabulary(ctypes.CDLL(library), model)

    def handle(message: bytes) -> bytes:
        texts, begins = json.loads(message)
        return json.dumps(vocabulary.parts(texts, begins=begins), separators=(",", ":")).encode()

    return handle


class _Vocabulary:
    def __init__(self, library: ctypes.CDLL, model: str) -> None:
        library.llama_model_default_params.restype = _Params
        params = library.llama_model_default_params()
        if bytes(params.bytes[_VOCAB_ONLY : _VOCAB_ONLY + len(_DEFAULTS)]) == _DEFAULTS:
            params.bytes[_VOCAB_ONLY] = 1
        silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self._log = silent(lambda _level, _text, _data: None)  # kept: the library goes on calling it
        library.llama_log_set(self._log, None)
        library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _Params]
        library.llama_model_load_from_file.restype = ctypes.c_void_p
        loaded = library.llama_model_load_from_file(model.encode(), params)
        if not loaded:
            raise RuntimeError("the model cannot be loaded")
        library.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        library.llama_model_get_vocab.restype = ctypes.c_void_p
        self._vocabulary = library.llama_model_get_vocab(loaded)
        self._tokenize = library.llama_tokenize
        self._tokenize.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.POINTER(ctypes.c_int32),
            ctypes.c_int32,
            ctypes.c_bool,
            ctypes.c_bool,
        ]
        self._tokenize.restype = ctypes.c_int32
        self._kind = library.llama_vocab_get_attr
        self._kind.argtypes, self._kind.restype = [ctypes.c_void_p, ctypes.c_int32], ctypes.c_int32
        self._before = self._blank_before()
        """How many tokens a sign before a text takes, where the tokenizer puts a blank before it; 0: none."""

    def parts(self, texts: Sequence[tuple[str, bool]], *, begins: bool) -> list[list[int]]:
        """Split each text alone, as the parts of one; `begins`: whether that gets its first special token.

        Some vocabularies put a blank before a text and behind each special token in it. Where a part only
        goes on it gets none: it is split behind a sign that no token has anything of, whose tokens are left
        out.
        """
        found: list[list[int]] = []
        goes_on = False
        for at, (text, special) in enumerate(texts):
            bare = goes_on and self._before > 0
            ids = self.ids(_SIGN * bare + text, special=special, begins=begins and at == 0)
            found.append(ids[self._before :] if bare else ids)
            if found[-1]:
                goes_on = not self._kind(self._vocabulary, found[-1][-1]) & _SPECIAL
        return found

    def _blank_before(self) -> int:
        once, twice = (self.ids(_SIGN * n, special=False, begins=False) for n in (1, 2))
        return len(once) if len(once) > 1 and twice == [*once, *once[1:]] else 0

    def ids(self, text: str, *, special: bool, begins: bool) -> list[int]:
        """Split one text; a text without room for its ids tells how many there are."""
        data = text.encode()
        room = len(data) + 8
        while True:
            ids = (ctypes.c_int32 * room)()
            count = self._tokenize(self._vocabulary, data, len(data), ids, room, begins, special)
            if count >= 0:
                return ids[:count]
            room = -count
