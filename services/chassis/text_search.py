"""Words of a text and how well texts match a query: the same on every database.

Text is split and scored here, not by the database, so that every adapter finds the same in the same order.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

MAX_WORD: Final = 64
MAX_QUERY_WORDS: Final = 32
_WORD: Final = re.compile(r"[^\W_]+")
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75
_RRF_K: Final = 60


def words(text: str) -> list[str]:
    """Split text into words: letters and digits, case folded, without accents, cut at MAX_WORD characters."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    bare = folded if folded.isascii() else "".join(c for c in folded if not unicodedata.combining(c))
    return [match[:MAX_WORD] for match in _WORD.findall(bare)]


def query_words(query: str) -> list[str]:
    """Return the distinct words of a query, at most MAX_QUERY_WORDS; empty when there is none."""
    return list(dict.fromkeys(words(query)))[:MAX_QUERY_WORDS]


def relevance(query: Sequence[str], texts: Sequence[Sequence[str]], *, total: int) -> list[float]:
    """Score texts against a query by BM25, divided by the best score possible: 0 to 1.

    `texts` are the words of all texts that match, out of `total`. Robertson and Zaragoza, "The Probabilistic
    Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75.
    """
    counts = [Counter(text) for text in texts]
    average = sum(map(len, texts)) / len(texts) if texts else 1.0
    rarity = {word: _rarity(sum(word in count for count in counts), max(total, len(texts))) for word in query}
    best = sum(rarity.values()) * (_SATURATION + 1)
    scores = []
    for text, count in zip(texts, counts, strict=True):
        damping = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * len(text) / (average or 1.0))
        score = sum(
            rarity[word] * count[word] * (_SATURATION + 1) / (count[word] + damping)
            for word in query
            if word in count
        )
        scores.append(min(1.0, score / best) if best else 0.0)
    return scores


def fuse(*rankings: Sequence[str]) -> Mapping[str, float]:
    """Merge rankings of ids by reciprocal rank, scaled so that the first of all of them gets 1.

    Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion", SIGIR 2009; k = 60.
    """
    scores: dict[str, float] = {}
    share = (_RRF_K + 1) / max(1, len(rankings))
    for ranking in rankings:
        for rank, identifier in enumerate(ranking, start=1):
            scores[identifier] = min(1.0, scores.get(identifier, 0.0) + share / (_RRF_K + rank))
    return scores


def _rarity(matching: int, total: int) -> float:
    return math.log(1 + (total - matching + 0.5) / (matching + 0.5))
