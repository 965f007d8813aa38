"""Changes inputs the way somebody would who wants them to cost more than they should."""

import random
from collections.abc import Callable, Sequence
from typing import Final

_TOKENS: Final = (
    b'"', b"'", b"\\", b"\\\\", b"(", b")", b"[", b"]", b"{", b"}", b"<", b">", b",", b":", b";", b".", b"/",
    b"*", b"**", b"?", b"!", b"-", b"|", b"&&", b"\n", b"\r\n", b"\t", b" ", b"\0", b"#", b"%", b"@", b"$ref",
    b"=", b"+", b"^",
    b"null", b"true", b"{}", b"[]", b'""', b"[[", b"{{", b"<|", b"</", b"\x12\x00", b"\x0a\x00", b"\xff",
    b"data:",
)  # fmt: skip
_TEXTS: Final = (
    "\ufeff", "\u202e", "\u0301", "\ud7ff", "\U0001f469\u200d\U0001f52c", "\uff1c\uff5c", "\u0130", "\ufdfa",
    "\u2028", "\u00e9", "\u3164", "\ufdd0",
)  # fmt: skip
_NUMBERS: Final = (
    b"0", b"-1", b"-0", b"1e400", b"-1e-400", b"NaN", b"Infinity", b"2147483648", b"18446744073709551616",
    b"9" * 400, b"1." + b"3" * 300, b"0x7f", b"1e1000000000", b"9007199254740993",
)  # fmt: skip
_BRACKETS: Final = ((b"[", b"]"), (b"(", b")"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"\x1a\x02", b""))
_COUNTS: Final = (2, 3, 7, 40, 300, 4000, 100_000)
Mutator = Callable[[random.Random, bytes, Sequence[bytes], int], bytes]


def mutated(random_: random.Random, one: bytes, corpus: Sequence[bytes], most: int) -> bytes:
    """Change an input in one to three ways; the result has at most `most` bytes."""
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        one = random_.choice(MUTATORS)(random_, one, corpus, most)[:most]
    return one


def _piece(random_: random.Random, one: bytes) -> tuple[int, int]:
    """Choose where a piece begins and ends; short ones are the likeliest."""
    begin = random_.randrange(len(one) + 1)
    return begin, min(len(one), begin + int(2 ** random_.uniform(0, 8)))


def repeat(random_: random.Random, one: bytes, _corpus: Sequence[bytes], most: int) -> bytes:
    """Say a piece again and again."""
    begin, end = _piece(random_, one)
    count = min(random_.choice(_COUNTS), most // max(1, end - begin))
    return one[:begin] + one[begin:end] * count + one[end:]


def fill(random_: random.Random, one: bytes, _corpus: Sequence[bytes], most: int) -> bytes:
    """Put as much of one short thing into the middle as there is room for."""
    at = random_.randrange(len(one) + 1)
    filler = random_.choice((*_TOKENS, *(text.encode() for text in _TEXTS)))
    return one[:at] + filler * (max(0, most - len(one)) // len(filler)) + one[at:]


def nest(random_: random.Random, one: bytes, _corpus: Sequence[bytes], most: int) -> bytes:
    """Put brackets around a piece, many of them."""
    begin, end = _piece(random_, one)
    opening, closing = random_.choice(_BRACKETS)
    count = min(random_.choice(_COUNTS), most // len(opening))
    return one[:begin] + opening * count + one[begin:end] + closing * count + one[end:]


def splice(random_: random.Random, one: bytes, corpus: Sequence[bytes], _most: int) -> bytes:
    """Put a piece of another input in."""
    other = random_.choice(corpus)
    begin, end = _piece(random_, other)
    at, to = _piece(random_, one)
    return one[:at] + other[begin:end] + one[random_.choice((at, to)) :]


def truncate(random_: random.Random, one: bytes, _corpus: Sequence[bytes], _most: int) -> bytes:
    """Cut an end off, or a piece out."""
    begin, end = _piece(random_, one)
    return random_.choice((one[:begin], one[begin:], one[:begin] + one[end:]))


def sign(random_: random.Random, one: bytes, _corpus: Sequence[bytes], _most: int) -> bytes:
    """Put a sign in that means something somewhere."""
    at = random_.randrange(len(one) + 1)
    return one[:at] + random_.choice(_TOKENS) * random_.choice((1, 1, 2, 50)) + one[at:]


def letters(random_: random.Random, one: bytes, _corpus: Sequence[bytes], _most: int) -> bytes:
    """Put letters in that are longer, wider or other than they look."""
    at = random_.randrange(len(one) + 1)
    return one[:at] + random_.choice(_TEXTS).encode() * random_.choice((1, 9, 200)) + one[at:]


def number(random_: random.Random, one: bytes, _corpus: Sequence[bytes], _most: int) -> bytes:
    """Put a number in that few readers expect, in the place of one if there is one."""
    places = [at for at, byte in enumerate(one[:4096]) if 0x30 <= byte < 0x3A]
    at = random_.choice(places) if places else random_.randrange(len(one) + 1)
    return one[:at] + random_.choice(_NUMBERS) + one[at + bool(places) :]


def double(random_: random.Random, one: bytes, _corpus: Sequence[bytes], _most: int) -> bytes:
    """Give a line or a member twice."""
    separator = random_.choice((b",", b"\n", b";"))
    parts = one.split(separator, 64)
    at = random_.randrange(len(parts))
    return separator.join([*parts[: at + 1], *parts[at:]])


def flip(random_: random.Random, one: bytes, _corpus: Sequence[bytes], _most: int) -> bytes:
    """Change one byte."""
    at = random_.randrange(len(one) + 1)
    return one[:at] + bytes([random_.randrange(256)]) + one[at + 1 :]


MUTATORS: Final[tuple[Mutator, ...]] = (
    repeat,
    fill,
    nest,
    splice,
    truncate,
    sign,
    letters,
    number,
    double,
    flip,
)
