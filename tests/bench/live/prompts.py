"""Prompts that tell the model server what they stand for: their blocks and the length of the answer.

A prompt is one token that describes it, then filler tokens up to the length it stands for. An answer's
token `n` is its number. All tokens but the first have the same width, so that lengths of texts tell counts
of tokens, as exactly as a tokenizer would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from tests.bench.sched.prefix_cache import Block

WIDTH: Final = 4
"""Characters of every token but the first."""

FILLER: Final = "und "
_PAD: Final = 64
"""The first token's width is a multiple of this."""


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


def encode(blocks: Sequence[Block], output: int) -> str:
    """Write a prompt of as many tokens as its blocks have."""
    head = orjson.dumps({"blocks": [tuple(block) for block in blocks], "output": output}).decode()
    width = _PAD * (1 + len(head) // _PAD)
    return head.ljust(width - 1) + "\n" + FILLER * (sum(block.tokens for block in blocks) - 1)


def decode(text: str) -> Ask:
    """Read a prompt and what follows it. Raises PromptUnreadable."""
    head, end, rest = text.partition("\n")
    try:
        told = orjson.loads(head)
        blocks = tuple(Block(str(key), int(tokens)) for key, tokens in told["blocks"])
        output = int(told["output"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise PromptUnreadable("the prompt does not say what it stands for") from error
    done = len(rest) // WIDTH - sum(block.tokens for block in blocks) + 1
    if not end or done < 0 or len(rest) % WIDTH:
        raise PromptUnreadable("the prompt has not the length it tells of")
    return Ask(blocks, output, done)


def word(number: int) -> str:
    """Return token `number` of every answer."""
    return f"{number % 1000:03d} "


def answer(count: int) -> str:
    """Return a whole answer."""
    return "".join(word(number) for number in range(count))


def text_tokens(text: str) -> bytes:
    """Return the tokens of a text as TGI's `/tokenize` does, as JSON."""
    head = text.find("\n") + 1
    count = (len(text) - head) // WIDTH
    first = orjson.dumps({"id": 0, "text": text[:head], "start": 0, "stop": head})
    if text.count(FILLER, head) == count:
        rest = _filler(head)[:count]
    else:
        rest = tuple(_token(head, n, text[head + n * WIDTH :][:WIDTH]) for n in range(count))
    return b"[" + b",".join((first, *rest)) + b"]"


@lru_cache(maxsize=8)
def _filler(head: int) -> tuple[bytes, ...]:
    return tuple(_token(head, n, FILLER) for n in range(_LONGEST))


_LONGEST: Final = 32_768


def _token(head: int, number: int, text: str) -> bytes:
    start = head + number * WIDTH
    token: dict[str, Any] = {"id": number + 1, "text": text, "start": start, "stop": start + WIDTH}
    return orjson.dumps(token)
