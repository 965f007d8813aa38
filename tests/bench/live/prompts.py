"""Prompts that tell the model server what they stand for: their blocks and the length of the answer.

Each block is a message: one token that names it, then filler tokens up to its length. So equal blocks are
equal texts, to whoever looks for shared beginnings. A last message of one token tells the length of the
answer, whose token `n` is the number n. Widths are multiples of WIDTH and all tokens but those that name
something are as wide, so that lengths of texts tell counts of tokens, as exactly as a tokenizer would.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import orjson

from tests.bench.sched.prefix_cache import Block

WIDTH: Final = 4
"""Characters of a token that names nothing."""

FILLER: Final = " und"
_NAME, _LENGTH = "[", "="


class PromptUnreadable(ValueError):
    """The text does not begin as a prompt of `encode`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a prompt stands for, and what of its answer follows it already."""

    blocks: tuple[Block, ...]
    output: int
    """Tokens of the whole answer."""

    done: int
    """Tokens of the answer that the text contains already."""

    @property
    def prompt(self) -> int:
        """Tokens before the answer."""
        return sum(block.tokens for block in self.blocks)


def messages(blocks: Sequence[Block], output: int) -> list[str]:
    """Write a prompt; it has one token more than its blocks."""
    return [*(_token(_NAME, list(b)) + FILLER * (b.tokens - 1) for b in blocks), _token(_LENGTH, output)]


def decode(text: str) -> Ask:
    """Read a prompt and what follows it. Raises PromptUnreadable."""
    blocks: list[Block] = []
    at = 0
    try:
        while text[at] == _NAME:
            end = text.index("\n", at) + 1
            key, tokens = orjson.loads(text[at + 1 : end])
            blocks.append(Block(str(key), int(tokens)))
            at = end + WIDTH * (int(tokens) - 1)
        end = text.index("\n", at) + 1
        output = int(orjson.loads(text[at:end].removeprefix(_LENGTH)))
    except (IndexError, TypeError, ValueError) as error:
        raise PromptUnreadable("the prompt does not say what it stands for") from error
    if not blocks or (len(text) - end) % WIDTH:
        raise PromptUnreadable("the prompt has not the length it tells of")
    return Ask(tuple(blocks), output, (len(text) - end) // WIDTH)


def _token(mark: str, value: object) -> str:
    text = mark + orjson.dumps(value).decode()
    return text.ljust(WIDTH * (1 + len(text) // WIDTH) - 1) + "\n"


def word(number: int) -> str:
    """Return token `number` of every answer."""
    return f" {number % 1000:03d}"


def answer(count: int) -> str:
    """Return a whole answer."""
    return "".join(word(number) for number in range(count))


def text_tokens(text: str) -> bytes:
    """Return the tokens of a text as TGI's `/tokenize` does, as JSON."""
    return b"[" + b",".join(chain.from_iterable(_pieces(text))) + b"]"


def _pieces(text: str) -> Iterator[Sequence[bytes]]:
    at = 0
    while at < len(text):
        if text[at] in (_NAME, _LENGTH):
            end = text.index("\n", at) + 1
            yield (_encoded(1, text[at:end], at),)
        else:
            name = text.find(_NAME, at)
            length = text.find(_LENGTH, at)
            end = min((found for found in (name, length) if found >= 0), default=len(text))
            yield _fillers(at, end) if text.startswith(FILLER, at) else _words(text, at, end)
        at = end


def _words(text: str, at: int, end: int) -> list[bytes]:
    return [_encoded(2, text[start : start + WIDTH], start) for start in range(at, end, WIDTH)]


_known_fillers: list[bytes] = []
"""By their place in the text; made once, because prompts are mostly these."""


def _fillers(at: int, end: int) -> list[bytes]:
    known = len(_known_fillers) * WIDTH
    _known_fillers.extend(_encoded(0, FILLER, start) for start in range(known, end, WIDTH))
    return _known_fillers[at // WIDTH : end // WIDTH]


def _encoded(number: int, text: str, start: int) -> bytes:
    return orjson.dumps({"id": number, "text": text, "start": start, "stop": start + len(text)})
