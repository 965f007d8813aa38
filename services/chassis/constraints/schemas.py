"""What it can cost to check a value against a JSON schema from outside. Pure."""

from collections.abc import Mapping
from typing import Any, Final

MAX_EXPANDED: Final = 20_000
"""Most parts of a schema with all references followed."""
MAX_PATTERN: Final = 512
"""Longest regular expression in a schema. Unit: characters."""

_DYNAMIC: Final = frozenset({"$dynamicRef", "$recursiveRef"})


class BadSchema(ValueError):
    """The schema refers elsewhere or to itself, or costs too much to check."""


def expanded_size(schema: Mapping[str, Any]) -> int:
    """Count the parts of a schema with its references followed.

    Twenty nested choices between two references to the next one are a million checks, so a schema is bounded
    by this size rather than by its length. Nesting must have been bounded before. Raises BadSchema.
    """
    return _Expansion(schema).size(schema)


def no_retrieval(uri: str) -> Any:
    """Refuse to fetch another document: give it as `retriever` to every validator. Raises BadSchema."""
    raise BadSchema(f"references to {uri} are not followed")


class _Expansion:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._open: set[str] = set()
        self._known: dict[str, int] = {}

    def size(self, node: Any) -> int:
        if isinstance(node, list):
            return self._bounded(1 + sum(self.size(child) for child in node))
        if not isinstance(node, Mapping):
            return 1
        if not _DYNAMIC.isdisjoint(node):
            raise BadSchema("dynamic references are not supported")
        total = 1
        for name, child in node.items():
            if name == "$ref" and isinstance(child, str):
                total += self._target(child)
            elif name == "pattern" and isinstance(child, str) and len(child) > MAX_PATTERN:
                raise BadSchema(f"a pattern is longer than {MAX_PATTERN} characters")
            else:
                total += self.size(child)
        return self._bounded(total)

    def _bounded(self, total: int) -> int:
        if total > MAX_EXPANDED:
            raise BadSchema("too costly to check")
        return total

    def _target(self, reference: str) -> int:
        if reference in self._open:
            raise BadSchema(f"{reference[:64]} refers to itself")
        if reference not in self._known:
            self._open.add(reference)
            self._known[reference] = self.size(self._find(reference))
            self._open.discard(reference)
        return self._known[reference]

    def _find(self, reference: str) -> Any:
        node: Any = self._schema
        if reference != "#" and not reference.startswith("#/"):
            raise BadSchema(f"references must begin with #/, not {reference[:64]}")
        for part in reference.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or key not in node:
                raise BadSchema(f"{reference[:64]} leads nowhere")
            node = node[key]
        return node
