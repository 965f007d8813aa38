"""Search over the texts of one scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from services.chassis import text_search
from services.chassis.auth.identity import Scope
from services.chassis.embedding import cosines, embed
from services.storage.core import paths
from services.storage.core.file_tree import Text
from services.storage.core.globs import Pattern
from services.storage.core.texts import INDEXED_CHARACTERS, excerpt, query_words
from services.storage.model import Hit, Node, SearchMode
from services.storage.ports import Transaction

T = TypeVar("T")

MAX_CANDIDATES = 200
"""Texts that are scored by their words."""

MAX_VECTORS = 50_000
"""Texts that are scored by meaning."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for."""

    directory: str
    query: str
    mode: SearchMode
    pattern: str = ""
    min_score: float = 0.0
    only: str = ""
    """Path of the one file to search; empty for all."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one scope has to be ranked."""

    scope: Scope
    texts: Sequence[tuple[Node, str]]
    """Words of the texts that hold a word of the query."""
    total: int
    """Texts in the scope."""
    vectors: Sequence[tuple[Node, bytes]]


def index_text(text: str) -> Text:
    """Work out what search knows about a text. Takes milliseconds: call it in a thread."""
    head = text[:INDEXED_CHARACTERS]
    found = text_search.words(head)
    return Text(head, " ".join(found), embed(found))


def gather(tx: Transaction, search: Search) -> Gathered:
    """Fetch what ranking needs."""
    texts: list[tuple[Node, str]] = []
    near: list[tuple[Node, bytes]] = []
    if search.mode is not SearchMode.SEMANTIC:
        texts = tx.matching(query_words(search.query), search.directory, limit=MAX_CANDIDATES)
    if search.mode is not SearchMode.LEXICAL:
        near = tx.vectors(search.directory, limit=MAX_VECTORS)
    return Gathered(tx.scope, texts, tx.count_documents() if texts else 0, near)


def rank(search: Search, gathered: Gathered) -> list[Hit]:
    """Rank files, best first. Pure, but may take a while: call it in a thread."""
    query = query_words(search.query)
    texts = [(node, text.split()) for node, text in _wanted(search, gathered.texts)]
    relevances = text_search.relevance(query, [text for _, text in texts], total=gathered.total)
    lexical = {node.id: score for (node, _), score in zip(texts, relevances, strict=True)}
    near = _wanted(search, gathered.vectors)
    nearness = cosines(embed(text_search.words(search.query)), [vector for _, vector in near])
    lexical = {node_id: score for node_id, score in lexical.items() if score > 0}
    semantic = {
        node.id: min(1.0, score) for (node, _), score in zip(near, nearness, strict=True) if score > 0
    }
    nodes = {node.id: node for node, _ in (*texts, *near)}
    hits = [
        Hit(gathered.scope, nodes[node_id], score, lexical.get(node_id, 0.0), semantic.get(node_id, 0.0))
        for node_id, score in _scores(search.mode, lexical, semantic).items()
        if score >= search.min_score
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.node.path))


def illustrate(tx: Transaction, hits: Sequence[Hit], query: str) -> list[Hit]:
    """Add to each hit the passage that fits best."""
    wanted = query_words(query)
    shown: list[Hit] = []
    for hit in hits:
        document = tx.document(hit.node.id)
        passage, offset = excerpt(document.text, wanted) if document else ("", 0)
        shown.append(replace(hit, excerpt=passage, excerpt_offset=offset))
    return shown


def _wanted(search: Search, found: Sequence[tuple[Node, T]]) -> list[tuple[Node, T]]:
    pattern = Pattern(search.pattern)
    return [
        pair
        for pair in found
        if (not search.only or pair[0].path == search.only)
        and pattern.matches(paths.relative(pair[0].path, search.directory))
    ]


def _scores(
    mode: SearchMode, lexical: Mapping[str, float], semantic: Mapping[str, float]
) -> Mapping[str, float]:
    if mode is SearchMode.LEXICAL:
        return lexical
    if mode is SearchMode.SEMANTIC:
        return semantic
    return text_search.fuse(_ranking(lexical), _ranking(semantic))


def _ranking(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda key: (-scores[key], key))
