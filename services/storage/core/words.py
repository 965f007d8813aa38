"""Full-text search that means the same on every store: words, relevance, excerpts, fusion of rankings.

Text is normalised here and scored here, not by the database: all adapters index and match the very same
words, and a score depends on nothing outside the scope.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from services.storage.errors import QueryInvalid

MAX_WORD = 64
MAX_QUERY_WORDS = 32
INDEXED_CHARACTERS = 64 * 1024
"""How much of a text search knows."""

EXCERPT_CHARACTERS = 240
_WORD = re.compile(r"[^\W_]+")
_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75
_RRF_K = 60


def words(text: str) -> list[str]:
    """Split text into words: letters and digits, case folded, without accents, cut at MAX_WORD characters."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    bare = folded if folded.isascii() else "".join(c for c in folded if not unicodedata.combining(c))
    return [match[:MAX_WORD] for match in _WORD.findall(bare)]


def query_words(query: str) -> list[str]:
    """Return the distinct words of a query, at most MAX_QUERY_WORDS.

    Raises QueryInvalid when there is none.
    """
    found = list(dict.fromkeys(words(query)))[:MAX_QUERY_WORDS]
    if not found:
        raise QueryInvalid("the query holds no word to look for", metadata={"query": query[:200]})
    return found


def relevance(query: Sequence[str], texts: Sequence[Sequence[str]], *, total: int) -> list[float]:
    """Score texts that match a query by BM25, divided by the best score possible: 0 to 1.

    `texts` are the words of all matching texts out of `total`. Robertson and Zaragoza, "The Probabilistic
    Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75.
    """
    counts = [Counter(text) for text in texts]
    average = sum(len(text) for text in texts) / len(texts) if texts else 1.0
    weights = {word: _rarity(sum(1 for count in counts if count[word]), max(total, 1)) for word in query}
    best = sum(weights.values()) * (_SATURATION + 1)
    scores = []
    for text, count in zip(texts, counts, strict=True):
        damping = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * len(text) / (average or 1.0))
        score = sum(
            weights[word] * count[word] * (_SATURATION + 1) / (count[word] + damping)
            for word in query
            if count[word]
        )
        scores.append(min(1.0, score / best) if best else 0.0)
    return scores


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


def fuse(*rankings: Sequence[str]) -> Mapping[str, float]:
    """Merge rankings of ids by reciprocal rank, scaled so that first in all of them is 1.

    Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion", SIGIR 2009; k = 60.
    """
    scores: dict[str, float] = {}
    share = (_RRF_K + 1) / max(1, len(rankings))
    for ranking in rankings:
        for rank, identifier in enumerate(ranking, start=1):
            scores[identifier] = min(1.0, scores.get(identifier, 0.0) + share / (_RRF_K + rank))
    return scores


def _rarity(matching: int, total: int) -> float:
    return math.log(1 + (max(0, total - matching) + 0.5) / (matching + 0.5))
