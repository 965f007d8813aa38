"""What search knows of a text, and what it shows of it."""

from collections.abc import Sequence
from typing import Final

from services.chassis import text_search
from services.storage.errors import QueryInvalid

INDEXED_CHARACTERS: Final = 64 * 1024
"""How much of a text search knows."""

EXCERPT_CHARACTERS: Final = 240


def query_words(query: str) -> list[str]:
    """Return the distinct words of a query.

    Raises QueryInvalid when there is none.
    """
    found = text_search.query_words(query)
    if not found:
        raise QueryInvalid("the query holds no word to look for", metadata={"query": query[:200]})
    return found


def excerpt(text: str, query: Sequence[str]) -> tuple[str, int]:
    """Cut the passage around the first word of the query; the beginning when none is found as written.

    Returns the passage on one line and the byte offset where it begins.
    """
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters change their length; offsets would be wrong
        lowered = text
    first = min((at for at in (lowered.find(word) for word in query) if at >= 0), default=0)
    start = max(0, first - EXCERPT_CHARACTERS // 4)
    if start:
        start = text.find(" ", start, first) + 1 or start
    passage = text[start : start + EXCERPT_CHARACTERS]
    return " ".join(passage.split()), len(text[:start].encode())
