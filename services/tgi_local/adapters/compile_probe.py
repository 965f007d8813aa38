"""Compiles one grammar with the engine's own compiler, in a process of its own. Run by path, with no site.

Native code cannot be interrupted, and where its memory runs out it takes the process with it. Here that is
this process, which was started for one grammar and has limits on memory and time. It loads the library of
the engine but no model: single bytes stand for the vocabulary.

argv: the library. stdin: the length of the grammar in bytes, a newline, the grammar, then output that shall
be a beginning of what the grammar allows (it may be empty). Exit status: 0 kept, 10 refused (the reason on
stdout), 11 the library cannot be used. Any other end, a signal too, means that a limit was reached.
"""

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys

EXTRA_BYTES = 160 * 1024 * 1024
"""Memory a compilation may take beyond what the library itself maps."""
CPU_SECONDS = 0.3
"""The engine takes as long once more, for every call, and generates for nobody meanwhile."""
_OUTPUT_PER_SECOND = 100_000
"""Bytes of output that are followed within a second, with much to spare."""
_MAPPED_BYTES = 1024 * 1024 * 1024
_FORCED = 256
"""Most bytes to follow where the grammar leaves no choice."""
_BYTES = 256
_WORD = 32
_END = b"\xff<end>"
_ERROR_BYTES = 512
_REFUSED, _UNUSABLE = 10, 11  # not 1, which is the interpreter's own for whatever went wrong


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


def main(library: str) -> int:
    """Judge what stands on stdin."""
    length, _, rest = sys.stdin.buffer.read().partition(b"\n")
    grammar, output = rest[: int(length)], rest[int(length) :]
    try:
        compiler = _Compiler(ctypes.CDLL(library))
    except (OSError, AttributeError):
        return _UNUSABLE
    _limit(CPU_SECONDS + len(output) / _OUTPUT_PER_SECOND)
    problem = compiler.judge(grammar, output)
    sys.stdout.buffer.write(problem)
    sys.stdout.buffer.flush()
    return _REFUSED if problem else 0


class _Compiler:
    def __init__(self, library: ctypes.CDLL) -> None:
        self._new_tokenizer = library.llg_new_tokenizer
        self._new_tokenizer.restype = ctypes.c_void_p
        self._defaults = library.llg_constraint_init_set_defaults
        self._defaults.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._new = library.llg_new_matcher
        self._new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        self._new.restype = ctypes.c_void_p
        self._mask = library.llg_matcher_compute_mask
        self._mask.argtypes = [ctypes.c_void_p]
        self._allowed = library.llg_matcher_get_mask
        self._allowed.argtypes, self._allowed.restype = [ctypes.c_void_p], ctypes.POINTER(ctypes.c_uint32)
        self._consume = library.llg_matcher_consume_tokens
        self._consume.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self._error = library.llg_matcher_get_error
        self._error.argtypes, self._error.restype = [ctypes.c_void_p], ctypes.c_char_p

    def judge(self, grammar: bytes, output: bytes) -> bytes:
        """Return why the engine would not keep the grammar, or nothing.

        Some grammars compile and are too complex to follow. That mostly shows at the first choice, so what is
        forced before it is followed.
        """
        settings = ctypes.create_string_buffer(1024)  # for the library's defaults, whose form is its own
        self._defaults(settings, self._tokenizer())
        matcher = self._new(settings, b"lark", grammar)
        problem: bytes | None = self._error(matcher)
        if problem is None and output:
            ids = (ctypes.c_uint32 * len(output))(*output)
            if self._consume(matcher, ids, len(output)):
                return b"the output is no beginning of what it allows"
        elif problem is None:
            self._follow(matcher)
        problem = problem or self._error(matcher)
        return _first_line(problem) if problem else b""

    def _follow(self, matcher: int) -> None:
        """Take the bytes that are forced at the start, and weigh the choice behind them."""
        for _ in range(_FORCED):
            if self._mask(matcher):
                return
            words = self._allowed(matcher)[: _BYTES // _WORD + 1]
            allowed = [bit for bit in range(_BYTES + 1) if words[bit // _WORD] >> bit % _WORD & 1]
            if len(allowed) != 1 or allowed[0] == _BYTES:
                return
            if self._consume(matcher, (ctypes.c_uint32 * 1)(allowed[0]), 1):
                return

    def _tokenizer(self) -> ctypes.c_void_p:
        pieces = [bytes([value]) for value in range(_BYTES)] + [_END]
        lengths = (ctypes.c_uint32 * len(pieces))(*map(len, pieces))
        wanted = _TokenizerInit(
            vocab_size=len(pieces),
            tok_eos=_BYTES,
            token_lens=lengths,
            token_bytes=b"".join(pieces),
            use_approximate_greedy_tokenize_fn=True,
        )
        problem = ctypes.create_string_buffer(_ERROR_BYTES)
        return ctypes.c_void_p(
            self._new_tokenizer(ctypes.byref(wanted), problem, ctypes.c_size_t(_ERROR_BYTES))
        )


def _first_line(problem: bytes) -> bytes:
    """Return the reason without the grammar around it, which the caller knows."""
    return (problem.partition(b"\n")[0] or b"it does not compile")[:_ERROR_BYTES]


def _limit(seconds: float) -> None:
    """Bound what comes now by what is mapped already. No core file: it would hold the grammar."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, seconds)  # ends the process; the limit counts in seconds
    whole = math.ceil(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - as few imports as can be
            mapped = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        mapped = _MAPPED_BYTES  # no such file outside Linux
    resource.setrlimit(resource.RLIMIT_AS, (mapped + EXTRA_BYTES, mapped + EXTRA_BYTES))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("1000")  # where the container's memory runs out, this process goes and not the engine


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))  # no destructors: there is nothing to save
