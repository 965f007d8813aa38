"""Ranking notes against a query. Pure, but may take a while: call it in a thread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.chassis.embedding import cosines, embed
from services.chassis.text_search import fuse, query_words, relevance
from services.memory.errors import QueryInvalid
from services.memory.model import Filter, Hit, Link, Listed, SearchMode

LINK_DAMPING: Final = 0.5
"""How much of its source's score a linked note gets, times the link's weight where it has one."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for."""

    query: str
    mode: SearchMode = SearchMode.HYBRID
    wanted: Filter = field(default_factory=Filter)
    limit: int = 10
    min_score: float = 0.0
    link_depth: int = 0

    @property
    def words(self) -> list[str]:
        """The words of the query.

        Raises QueryInvalid when there is none.
        """
        found = query_words(self.query)
        if not found:
            raise QueryInvalid("the query holds no word to look for")
        return found


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a scope has to be ranked."""

    texts: Sequence[tuple[Listed, str]]
    """Words of the notes that hold a word of the query."""
    vectors: Sequence[tuple[Listed, bytes]]
    total: int
    """Notes in the scope."""


def rank(search: Search, candidates: Candidates) -> list[Hit]:
    """Rank notes, best first; of equal ones the more important, then the smaller key. At most `limit`."""
    lexical = _lexical(search, candidates)
    semantic = _semantic(search, candidates)
    importance = {note.key: note.importance for note, _ in (*candidates.texts, *candidates.vectors)}

    def order(scores: Mapping[str, float]) -> list[str]:
        return sorted(scores, key=lambda key: (-scores[key], -importance[key], key))

    scores = _merge(search.mode, lexical, semantic, order)
    hits = [
        Hit(key, scores[key], lexical.get(key, 0.0), semantic.get(key, 0.0))
        for key in order(scores)
        if scores[key] >= search.min_score
    ]
    return hits[: search.limit]


def follow(
    hits: Sequence[Hit],
    depth: int,
    limit: int,
    links_of: Callable[[Sequence[str]], Mapping[str, Sequence[Link]]],
) -> list[Hit]:
    """Add the notes that the hits link to, and those that these link to: `depth` steps, `limit` in all."""
    found = {hit.key: hit for hit in hits}
    edge = list(hits)
    for _ in range(depth):
        links = links_of([hit.key for hit in edge])
        further: dict[str, Hit] = {}
        for hit in edge:
            for link in links.get(hit.key, ()):
                score = hit.score * LINK_DAMPING * (link.weight or 1.0)
                known = further.get(link.key)
                if link.key not in found and (known is None or known.score < score):
                    further[link.key] = Hit(link.key, score, linked_from=hit.key)
        edge = sorted(further.values(), key=lambda hit: (-hit.score, hit.key))
        found |= {hit.key: hit for hit in edge}
    return list(found.values())[:limit]


def _lexical(search: Search, candidates: Candidates) -> dict[str, float]:
    if search.mode is SearchMode.SEMANTIC:
        return {}
    texts = [(note.key, text.split()) for note, text in candidates.texts]
    scores = relevance(search.words, [words for _, words in texts], total=candidates.total)
    return {key: score for (key, _), score in zip(texts, scores, strict=True) if score > 0}


def _semantic(search: Search, candidates: Candidates) -> dict[str, float]:
    if search.mode is SearchMode.LEXICAL:
        return {}
    near = cosines(embed(search.words), [vector for _, vector in candidates.vectors])
    pairs = zip(candidates.vectors, near, strict=True)
    return {note.key: min(1.0, score) for (note, _), score in pairs if score > 0}


def _merge(
    mode: SearchMode,
    lexical: Mapping[str, float],
    semantic: Mapping[str, float],
    order: Callable[[Mapping[str, float]], list[str]],
) -> Mapping[str, float]:
    if mode is SearchMode.LEXICAL:
        return lexical
    if mode is SearchMode.SEMANTIC:
        return semantic
    return fuse(order(lexical), order(semantic))
