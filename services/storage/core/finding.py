"""Search over the texts of one scope."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.storage.core import paths, vectors, words
from services.storage.core.globs import Pattern
from services.storage.core.tree import Text
from services.storage.model import Hit, Node, SearchMode
from services.storage.ports import Transaction

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


def describe(text: str) -> Text:
    """Work out what search knows about a text. Takes milliseconds: call it in a thread."""
    head = text[: words.INDEXED_CHARACTERS]
    return Text(head, " ".join(words.words(head)), vectors.embed(head))


def search(tx: Transaction, search: Search) -> list[Hit]:
    """Rank the files below a directory, best first.

    Raises QueryInvalid when the query holds no word.
    """
    query = words.query_words(search.query)
    pattern = Pattern(search.pattern)
    nodes: dict[str, Node] = {}

    def wanted(node: Node) -> bool:
        if not pattern.matches(paths.relative(node.path, search.directory)):
            return False
        nodes[node.id] = node
        return True

    lexical: Mapping[str, float] = {}
    semantic: Mapping[str, float] = {}
    if search.mode is not SearchMode.SEMANTIC:
        found = tx.matching(query, search.directory, limit=MAX_CANDIDATES)
        texts = [(node.id, document.words.split()) for node, document in found if wanted(node)]
        scores = words.relevance(query, [text for _, text in texts], total=tx.count_documents())
        lexical = {node_id: score for (node_id, _), score in zip(texts, scores, strict=True)}
    if search.mode is not SearchMode.LEXICAL:
        near = [pair for pair in tx.vectors(search.directory, limit=MAX_VECTORS) if wanted(pair[0])]
        cosines = vectors.cosine(vectors.embed(search.query), [vector for _, vector in near])
        semantic = {
            node.id: min(1.0, score) for (node, _), score in zip(near, cosines, strict=True) if score > 0.0
        }
    scores_of = _scores(search.mode, lexical, semantic)
    hits = [
        Hit(tx.scope, nodes[node_id], score, lexical.get(node_id, 0.0), semantic.get(node_id, 0.0))
        for node_id, score in scores_of.items()
        if score >= search.min_score
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.node.path))


def _scores(
    mode: SearchMode, lexical: Mapping[str, float], semantic: Mapping[str, float]
) -> Mapping[str, float]:
    if mode is SearchMode.LEXICAL:
        return lexical
    if mode is SearchMode.SEMANTIC:
        return semantic
    return words.fuse(_ranking(lexical), _ranking(semantic))


def _ranking(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda key: (-scores[key], key))
