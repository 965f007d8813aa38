"""Which tools fit some words best, by what their agents say of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.chassis import text_search
from services.tool.model import Tool

MOST: Final = 2_000
"""Most tools that are looked at for one search."""
_READ: Final = 1_000
"""Characters that are read of what is said of a tool: whoever writes more is not found better."""
_NAME_WEIGHT: Final = 3


@dataclass(slots=True)
class ToolSearch:
    """Takes tools in turn and keeps of each what ranking needs, not the tool."""

    query: str
    total: int = 0
    _words: list[str] = field(default_factory=list)
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._words = text_search.query_words(self.query)

    @property
    def full(self) -> bool:
        """Whether no more are looked at."""
        return self.total >= MOST

    def add(self, tools: Sequence[Tool]) -> None:
        """Look at tools. Takes milliseconds for many: call it in a thread."""
        wanted = frozenset(self._words)
        for tool in tools[: MOST - self.total]:
            said = text_search.words(f"{tool.title} {tool.description}"[:_READ])
            text = text_search.words(tool.id) * _NAME_WEIGHT + said
            if not wanted.isdisjoint(text):
                self._texts[tool.id] = text
        self.total = min(MOST, self.total + len(tools))

    def best(self) -> list[str]:
        """Return the ids of the tools that have a word of the query, best first. Call it in a thread."""
        texts = list(self._texts.values())
        scores = text_search.relevance(self._words, texts, total=self.total)
        ranked = sorted(zip(scores, self._texts, strict=True), key=lambda scored: (-scored[0], scored[1]))
        return [tool_id for _, tool_id in ranked]
