"""Which schemas and patterns are judged in a moment, told from their texts alone. Pure.

Native compilers and validators keep the interpreter for as long as they work. What takes them long are
patterns, of which a single one of some hundred characters may take a tenth of a second, and long texts. All
else is compiled in a millisecond or two.
"""

from collections.abc import Iterable
from typing import Final

LIGHT_BYTES: Final = 4096
"""Longest text, in characters, that is judged in a moment."""
LIGHT_VALUE: Final = 16_384
"""Longest JSON text, in characters, that is held against a light schema in a moment."""

_HEAVY: Final = ("pattern", "\\u")
"""What only a text without it is light: the keywords for patterns, and escapes in which one may hide."""


def light(schemas: Iterable[str]) -> bool:
    """Whether judging and compiling JSON schemas takes a moment. Looks at each character once at most."""
    left = LIGHT_BYTES
    for text in schemas:
        left -= len(text)
        if left < 0 or any(word in text for word in _HEAVY):
            return False
    return True
