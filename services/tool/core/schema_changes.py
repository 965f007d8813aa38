"""Whether a changed schema takes every value that the old one took. Pure.

The proof goes down both schemas side by side: each rule of the new one must follow from rules of the old one.
A rule of the old one that is not understood is left out, which makes the old schema take more; a rule of the
new one that is not understood must stand in the old one in the same words. So a change that is called
compatible is, and some that are compatible are not called so. The work is bounded, whatever the schemas are.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from services.chassis.constraints.references import BadSchema, target
from services.chassis.constraints.schemas import validator
from services.tool.core.schemas import parse_schema
from services.tool.core.value_rules import (
    ALL_TYPES,
    NUMBERS,
    Facts,
    bound_problem,
    finite_values,
    types_of,
)
from services.tool.errors import SchemaInvalid

NO_ARGUMENTS: Final = '{"type":"object","additionalProperties":false}'
"""What a tool without a schema of its arguments takes."""
ANYTHING: Final = "{}"
"""What a tool without a schema of its result may return."""
MAX_WORK: Final = 100_000
"""Rules of the old schema that are looked at in all; as many take some tenths of a second."""
MAX_LEVELS: Final = 80
"""Deepest nesting of steps."""
_MOST_VALUES: Final = 256
"""Values of an enumeration that are tried one by one."""
_SAID_ONLY: Final = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"$comment", "$schema", "$id", "$anchor", "$vocabulary", "$defs", "definitions"}
    | {"contentEncoding", "contentMediaType", "contentSchema", "then", "else", "allOf", "$ref"}
    | {"minContains", "maxContains"}
)
"""Keywords that refuse no value, or are looked at with another one."""
_TOGETHER: Final = {"if": ("if", "then", "else"), "contains": ("contains", "minContains", "maxContains")}
_UNEVALUATED: Final = ("unevaluatedProperties", "unevaluatedItems")
_OBJECTS: Final = frozenset({"properties", "patternProperties", "additionalProperties"})
_ARRAYS: Final = frozenset({"prefixItems", "items"})
_ONLY_FOR: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern"), frozenset({"string"})),
    **dict.fromkeys(
        (*_ARRAYS, "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems"),
        frozenset({"array"}),
    ),
    **dict.fromkeys(
        (*_OBJECTS, "required", "minProperties", "maxProperties", "propertyNames", "dependentRequired"),
        frozenset({"object"}),
    ),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), NUMBERS),
}
"""Types of the values that a keyword has a say on; the others: all."""
_OF_TYPE: Final = {
    name: {"type": name} for name in ("null", "boolean", "object", "array", "string", "number")
}


def breaking_parameters(old: str, new: str) -> str:
    """Say in what a tool's new schema of arguments refuses what the old one took; empty: in nothing.

    Takes the texts of two schemas that can be used. May take some tenths of a second.
    """
    return _difference(old or NO_ARGUMENTS, new or NO_ARGUMENTS)


def breaking_result(old: str, new: str) -> str:
    """Say in what a tool's new schema of results allows what the old one did not; empty: in nothing."""
    return _difference(new or ANYTHING, old or ANYTHING)


def _difference(narrow: str, wide: str) -> str:
    """Say why not every value of one schema is taken by the other; empty: each is."""
    if narrow == wide:
        return ""
    try:
        old, new = parse_schema(narrow, "the old schema"), parse_schema(wide, "the new schema")
        return "" if _text(old) == _text(new) else _Proof(old, new).follows((old,), new, "")
    except SchemaInvalid as error:  # kept by a release that read schemas otherwise
        return error.message
    except _TooComplexError:
        return "the schemas are too complex to be compared"


class _TooComplexError(Exception):
    """The proof takes more work than it may."""


class _Proof:
    """One comparison of two schemas."""

    def __init__(self, old_root: Mapping[str, Any], new_root: Mapping[str, Any]) -> None:
        self._old_root = old_root
        self._new_root = new_root
        self._open: set[tuple[frozenset[int], int, frozenset[int]]] = set()
        self._texts: dict[int, str] = {}
        self._work = 0
        self._level = 0

    def follows(self, olds: Facts, new: Any, path: str, split: frozenset[int] = frozenset()) -> str:
        """Say why not each value that all of `olds` take is taken by `new`; empty: it is.

        `split`: choices of the old schemas of which one way is taken already.
        """
        if new is True or new == {}:
            return ""
        key = (frozenset(map(id, olds)), id(new), split)
        if key in self._open:  # further down the value the same question again: it holds if it holds here
            return ""
        self._level += 1
        if self._level > MAX_LEVELS:
            raise _TooComplexError
        self._open.add(key)
        try:
            return self._follows(olds, new, path, split)
        finally:
            self._open.remove(key)
            self._level -= 1

    def _follows(self, olds: Facts, new: Any, path: str, split: frozenset[int]) -> str:
        facts = self._flat(olds, self._old_root)
        if facts is None or not types_of(facts):
            return ""  # the old schemas take nothing
        parts = self._flat((new,), self._new_root)
        if parts is None:
            return f"{path or '/'}: takes nothing any more"
        for part in parts:
            problem = self._part(facts, part, path)
            if problem and self._ways(facts, part, path, split):
                problem = ""
            if problem:
                return problem
        return ""

    def _ways(self, facts: Facts, part: Mapping[str, Any], path: str, split: frozenset[int]) -> bool:
        """Tell whether a rule follows whichever way a choice of the old schemas goes."""
        for fact in facts:
            branches = fact.get("anyOf") or fact.get("oneOf")
            if branches and id(fact) not in split:
                taken = split | {id(fact)}
                return all(not self.follows((*facts, one), part, path, taken) for one in branches)
        types = types_of(facts)
        if ("anyOf" not in part and "oneOf" not in part) or len(types) < 2:  # noqa: PLR2004 - no choice of types
            return False
        names = {"number" if name in NUMBERS else name for name in types}
        if len(names) < 2:  # noqa: PLR2004 - the same
            return False
        return all(not self.follows((*facts, _OF_TYPE[name]), part, path, split) for name in sorted(names))

    def _flat(self, schemas: Iterable[Any], root: Mapping[str, Any]) -> Facts | None:
        """Return schemas with what they refer to and their `allOf`, each once; None: one takes nothing."""
        found: dict[int, Mapping[str, Any]] = {}
        left = list(schemas)
        while left:
            node = left.pop(0)
            if node is False:
                return None
            if node is True or id(node) in found:
                continue
            self._work += 1
            if self._work > MAX_WORK:
                raise _TooComplexError
            found[id(node)] = node
            left += node.get("allOf", ())
            if "$ref" in node:
                left.append(target(root, node["$ref"]))
        return tuple(found.values())

    def _part(self, facts: Facts, part: Mapping[str, Any], path: str) -> str:
        """Say which rule of one object of the new schema does not follow; empty: all do."""
        self._work += len(facts)
        if any(self._same(fact, part) for fact in facts):
            return ""
        unevaluated = next((word for word in _UNEVALUATED if part.get(word, True) is not True), "")
        if unevaluated:  # it depends on all that stands beside it
            return f"{path or '/'}: {unevaluated} and what is beside it are not the same"
        types = types_of(facts)
        if self._tried(facts, part):
            return ""
        for keyword, value in part.items():
            if keyword in _SAID_ONLY or keyword.startswith("x-"):
                continue
            if not types & _ONLY_FOR.get(keyword, ALL_TYPES):
                continue
            problem = self._rule(facts, part, keyword, value, path)
            if problem:
                return problem
        return ""

    def _rule(self, facts: Facts, part: Mapping[str, Any], keyword: str, value: Any, path: str) -> str:
        match keyword:
            case "anyOf":
                follows = any(not self.follows(facts, one, path) for one in value)
            case "oneOf":
                exclusive = len(value) == 1 or self._disjoint(value)
                follows = exclusive and any(not self.follows(facts, one, path) for one in value)
                follows = follows or self._stands(facts, part, ("oneOf",))
            case "properties" | "patternProperties" | "additionalProperties":
                first = next(word for word in part if word in _OBJECTS)
                return self._objects(facts, part, path) if keyword == first else ""
            case "prefixItems" | "items":
                first = next(word for word in part if word in _ARRAYS)
                return self._arrays(facts, part, path) if keyword == first else ""
            case "dependentRequired":
                follows = all(self._depends(facts, name, needed) for name, needed in value.items())
            case _:
                problem = bound_problem(facts, keyword, value)
                follows = not problem or self._stands(facts, part, _TOGETHER.get(keyword, (keyword,)))
                if problem and not follows:
                    return f"{path or '/'}: {problem}"
        return "" if follows else f"{path or '/'}: {keyword} does not follow"

    def _objects(self, facts: Facts, part: Mapping[str, Any], path: str) -> str:
        known, patterns = part.get("properties", {}), part.get("patternProperties", {})
        rest = part.get("additionalProperties", True)
        names = dict.fromkeys(known) | dict.fromkeys(
            name for fact in facts for name in fact.get("properties", {})
        )
        for name in names:
            below = f"{path}/{name}"
            matched = [schema for pattern, schema in patterns.items() if _matches(pattern, name)]
            wanted = ([known[name]] if name in known else []) + matched
            for schema in wanted or [rest]:
                if problem := self.follows(_property(facts, name), schema, below):
                    return problem
        for pattern, schema in patterns.items():
            if problem := self.follows(_pattern(facts, pattern), schema, f"{path}/{{{pattern}}}"):
                return problem
        return self.follows(_others(facts, frozenset(patterns)), rest, f"{path}/*")

    def _arrays(self, facts: Facts, part: Mapping[str, Any], path: str) -> str:
        tuples = [fact.get("prefixItems", ()) for fact in (part, *facts)]
        longest = max(map(len, tuples))
        most = min((fact["maxItems"] for fact in facts if "maxItems" in fact), default=longest + 1)
        for index in range(min(longest, int(most))):
            wanted = _item(part, index)
            old = tuple(_item(fact, index) for fact in facts)
            if any(one is False for one in old):
                return ""  # no old array is as long
            if problem := self.follows(old, wanted, f"{path}/{index}"):
                return problem
        if most <= longest:
            return ""
        return self.follows(
            tuple(fact.get("items", True) for fact in facts), part.get("items", True), f"{path}/-"
        )

    def _depends(self, facts: Facts, name: str, needed: Iterable[str]) -> bool:
        there = {each for fact in facts for each in fact.get("required", ())}
        there |= {each for fact in facts for each in fact.get("dependentRequired", {}).get(name, ())}
        return set(needed) <= there or any(one is False for one in _property(facts, name))

    def _disjoint(self, branches: Iterable[Any]) -> bool:
        """Tell whether no value is of the types of two branches."""
        seen: set[str] = set()
        for branch in branches:
            flat = self._flat((branch,), self._new_root)
            types = frozenset() if flat is None else types_of(flat)
            if seen & types:
                return False
            seen |= types
        return True

    def _tried(self, facts: Facts, part: Mapping[str, Any]) -> bool:
        """Tell whether the old schemas take a few values only, each of which the new one takes."""
        values = finite_values(facts)
        if values is None or len(values) > _MOST_VALUES or "$ref" in self._text(part):
            return False
        self._work += len(values)
        try:
            check = validator({word: value for word, value in part.items() if word not in {"$id", "$schema"}})
        except BadSchema:
            return False
        return all(check.is_valid(value) for value in values)

    def _stands(self, facts: Facts, part: Mapping[str, Any], words: Iterable[str]) -> bool:
        """Tell whether an old schema has the same rule in the same words."""
        wanted = [part.get(word) for word in words]
        return any(
            self._equal(wanted, [fact.get(word) for word in words])
            for fact in facts
            if any(word in fact for word in words)
        )

    def _same(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        if old.keys() != new.keys():
            return False
        return self._text(old) == self._text(new) and self._means_the_same(self._text(new))

    def _equal(self, old: Any, new: Any) -> bool:
        text = _text(new)
        self._work += len(text) // 64
        return _text(old) == text and self._means_the_same(text)

    def _means_the_same(self, text: str) -> bool:
        """Tell whether a text of both schemas means the same in both: a reference may lead elsewhere."""
        return '"$ref"' not in text

    def _text(self, node: Mapping[str, Any]) -> str:
        """Return a schema as text; it is asked for often."""
        known = self._texts.get(id(node))
        if known is None:
            known = self._texts[id(node)] = _text(node)
            self._work += len(known) // 64
        return known


def _text(node: Any) -> str:
    return json.dumps(node, sort_keys=True)


def _property(facts: Facts, name: str) -> tuple[Any, ...]:
    """Return what the old schemas say of a property."""
    return tuple(_property_rules(facts, name))


def _property_rules(facts: Facts, name: str) -> Iterator[Any]:
    for fact in facts:
        known = fact.get("properties", {})
        if name in known:
            yield known[name]
        elif not fact.get("patternProperties"):
            yield fact.get("additionalProperties", True)


def _pattern(facts: Facts, pattern: str) -> tuple[Any, ...]:
    """Return what the old schemas say of properties that match a pattern and are named nowhere."""
    found = []
    for fact in facts:
        patterns = fact.get("patternProperties", {})
        if pattern in patterns:
            found.append(patterns[pattern])
        elif not patterns:
            found.append(fact.get("additionalProperties", True))
    return tuple(found)


def _others(facts: Facts, patterns: frozenset[str]) -> tuple[Any, ...]:
    """Return what the old schemas say of properties that are named nowhere and match none of the patterns."""
    return tuple(
        fact.get("additionalProperties", True)
        for fact in facts
        if fact.get("patternProperties", {}).keys() <= patterns
    )


def _item(schema: Mapping[str, Any], index: int) -> Any:
    """Return what a schema says of an item."""
    first = schema.get("prefixItems", ())
    return first[index] if index < len(first) else schema.get("items", True)


def _matches(pattern: str, name: str) -> bool:
    try:
        return bool(validator({"pattern": pattern}).is_valid(name))
    except BadSchema:
        return True
