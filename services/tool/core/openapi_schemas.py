"""Schemas of OpenAPI documents as JSON Schemas that stand alone, references followed within bounds. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

MAX_HOPS: Final = 8
"""References that lead to references."""
MAX_PARTS: Final = 4_000
"""Parts of the schemas of one operation, everything they refer to included."""
MAX_ALL_PARTS: Final = 100_000
"""Parts of the schemas of all operations together: each operation stands alone, so one may count often."""
MAX_LEVELS: Final = 64
_SHOWN: Final = 64
_CHARACTERS: Final = 64
"""Of a text that count as another part."""

_ONE: Final = frozenset(
    {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"}
)
_LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
_HOLDING: Final = _ONE | _LISTED | _NAMED
_PLAIN: Final = frozenset(
    {"type", "enum", "const", "title", "description", "default", "format", "pattern", "uniqueItems"}
    | {"multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength"}
    | {"maxItems", "minItems", "maxContains", "minContains", "maxProperties", "minProperties"}
    | {"required", "dependentRequired"}
)
"""Keywords that are kept as they are. What is in none of these tables is left out: it checks nothing, or
changes what references mean (`$id`, `$anchor`, `$dynamicRef`)."""


class Unusable(ValueError):
    """Why an operation cannot be a tool."""


def target_of(document: Mapping[str, Any], node: Any) -> Mapping[str, Any]:
    """Return an object of a document, or what it refers to. Raises Unusable."""
    for _ in range(MAX_HOPS):
        if not isinstance(node, Mapping):
            raise Unusable("it refers to what is no object")
        if "$ref" not in node:
            return node
        node = at(document, node["$ref"])
    raise Unusable("its references lead in a circle, or too far")


def at(document: Mapping[str, Any], reference: Any) -> Any:
    """Return what a reference means. Raises Unusable for one that leads out of the document or nowhere."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        raise Unusable(f"it refers to what is not in the document: {str(reference)[:_SHOWN]!r}")
    if "%" in reference:
        raise Unusable("it refers to something by a name with escapes")
    node: Any = document
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, list) and re.fullmatch("0|[1-9][0-9]{0,4}", name) and int(name) < len(node):
            node = node[int(name)]
        else:
            raise Unusable(f"it refers to what is not there: {reference[:_SHOWN]!r}")
    return node


class Schemas:
    """The schemas of a document. `of_operation` begins with those of the next operation."""

    def __init__(self, document: Mapping[str, Any], *, old: bool, left: list[int] | None = None) -> None:
        self._document = document
        self._old = old
        self._all_left = left if left is not None else [MAX_ALL_PARTS]
        self._left = MAX_PARTS
        self._names: dict[str, str] = {}
        """Names of definitions by reference."""
        self._definitions: dict[str, Any] = {}

    def of_operation(self) -> "Schemas":
        """Return the same for another operation, whose definitions are its own."""
        return Schemas(self._document, old=self._old, left=self._all_left)

    def converted(self, schema: Any) -> Any:
        """Return a schema that refers to definitions only. Raises Unusable."""
        made = self._converted(schema, 0)
        pending = [ref for ref, name in self._names.items() if name not in self._definitions]
        while pending:
            for reference in pending:
                found = at(self._document, reference)
                self._definitions[self._names[reference]] = self._converted(found, 0)
            pending = [ref for ref, name in self._names.items() if name not in self._definitions]
        return made

    def with_definitions(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with all definitions that were referred to."""
        return {**schema, "$defs": self._definitions} if self._definitions else schema

    def is_object(self, schema: Any) -> bool:
        """Whether a converted schema describes an object, as far as its own words and references tell."""
        for _ in range(MAX_HOPS):
            if not isinstance(schema, Mapping):
                return False
            if "$ref" not in schema:
                kind = schema.get("type")
                return (
                    kind == "object"
                    or (isinstance(kind, list) and "object" in kind)
                    or "properties" in schema
                )
            schema = self._definitions.get(schema["$ref"].removeprefix("#/$defs/"))
        return True

    def _converted(self, schema: Any, level: int) -> Any:
        self._count(1)
        if level > MAX_LEVELS:
            raise Unusable("its schemas are nested too deep")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise Unusable("a schema of it is no object")
        made: dict[str, Any] = {}
        if "$ref" in schema:
            made["$ref"] = f"#/$defs/{self._name(schema['$ref'])}"
            if self._old:  # in 3.0 nothing beside a reference counts
                return made
        for keyword, value in schema.items():
            if keyword in _PLAIN:
                self._count(_parts(value))
                made[keyword] = value
            elif keyword in _HOLDING:
                made[keyword] = self._held(keyword, value, level + 1)
        return _of_today(made, schema) if self._old else made

    def _held(self, keyword: str, value: Any, level: int) -> Any:
        if keyword in _ONE:
            return self._converted(value, level)
        if keyword in _LISTED and isinstance(value, list):
            return [self._converted(each, level) for each in value]
        if keyword in _NAMED and isinstance(value, Mapping):
            self._count(_parts(list(value)))
            return {name: self._converted(each, level) for name, each in value.items()}
        raise Unusable("a schema of it is malformed")

    def _count(self, parts: int) -> None:
        self._left -= parts
        self._all_left[0] -= parts
        if self._left < 0 or self._all_left[0] < 0:
            raise Unusable("its schemas have too many parts")

    def _name(self, reference: Any) -> str:
        at(self._document, reference)
        if reference not in self._names:
            last = re.sub("[^A-Za-z0-9_]+", "_", reference.rpartition("/")[2])[:48]
            taken = set(self._names.values())
            self._names[reference] = last if last not in taken else f"{last}_{len(taken)}"
        return self._names[reference]


def _of_today(made: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Write what version 3.0 says in its own words as JSON Schema does."""
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(strict), bool) and made.pop(strict) and bound in made:
            made[strict] = made.pop(bound)
    if given.get("nullable") is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
    return made


def _parts(value: Any) -> int:
    """Count the parts of a value that is taken as it is; a long text is many."""
    count, stack = 0, [value]
    while stack:
        node = stack.pop()
        count += 1
        if isinstance(node, str):
            count += len(node) // _CHARACTERS
        elif isinstance(node, Mapping):
            stack += [*node.keys(), *node.values()]
        elif isinstance(node, list):
            stack += node
    return count
