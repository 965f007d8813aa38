"""What a JSON schema from outside costs: to check values against it, and to force output into it. Pure.

A schema is short and what it stands for is not. An engine that turns it into a grammar writes `maxItems`
out as so many places, follows a reference once for each mention and tries every combination of the branches
of an `allOf`. So a schema is judged by what it unrolls to. Each of its objects is looked at once, whatever
refers to it, so the judgement itself is linear in the text.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from services.chassis.constraints.recursion import NO_CIRCLE, NO_RETURNS, ONE_RETURN, Circle, Returns
from services.chassis.constraints.references import BadSchema, target
from services.chassis.constraints.regexes import BadRegex, regex_cost

__all__ = ["MAX_LEVELS", "MAX_PARTS", "MAX_PATTERN", "MAX_UNROLLED", "BadSchema", "Cost", "schema_cost"]

MAX_PARTS: Final = 20_000
"""Most parts of a schema with all references followed: what checking one value may visit."""
MAX_UNROLLED: Final = 50_000
"""Most symbols of grammar. The engine compiles as many in some 0.1 s and 80 MB."""
MAX_LEVELS: Final = 64
"""Deepest nesting of schemas with references followed; validators and engines go down by recursion."""
MAX_PATTERN: Final = 512
"""Longest regular expression in a schema. Unit: characters."""

_CHARACTERS_PER_SYMBOL: Final = 64
"""A bound on a text's length is a counter in most engines, not a chain of places; it still has a limit."""
_PROPERTIES_PER_SYMBOL: Final = 100
_SYMBOLS_PER_DIGIT: Final = 4
_FORMAT_SYMBOLS: Final = 64
_DIVISION_PARTS: Final = 500
"""Validators divide exactly, which takes as long as so many other looks (3 to 10 us)."""
_LEAST_DIVISOR: Final = 1e-12
"""Exact division by less takes 20 us."""
_UNEVALUATED_PARTS: Final = 100
"""To know what is unevaluated validators look at everything beside and above it again."""

_IN_PLACE: Final = frozenset({"not", "if", "then", "else"})
_CHOICES: Final = frozenset({"anyOf", "oneOf"})
_BELOW: Final = frozenset({"propertyNames", "contentSchema"})
_EACH_ITEM: Final = frozenset({"additionalItems", "unevaluatedItems"})
_EACH_PROPERTY: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_UNEVALUATED: Final = frozenset({"unevaluatedItems", "unevaluatedProperties"})
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
_DEPENDENT: Final = frozenset({"dependentSchemas", "dependencies"})
_LITERALS: Final = frozenset({"enum", "const", "required", "dependentRequired"})
_COUNTS: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
    | {"minContains", "maxContains"}
)
_BOUNDS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_REFUSED: Final = frozenset({"$dynamicRef", "$recursiveRef", "x-guidance"})
"""References whose target depends on the way taken, and the embedded engine's own switches."""
_ROOT_ONLY: Final = frozenset({"$id", "$schema", "$vocabulary"})
"""Further down they would change where references lead, or what the words mean."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one schema costs."""

    parts: int = 0
    """Its parts with references followed."""
    unrolled: int = 0
    """Symbols of the grammar it stands for."""
    ways: int = 1
    """Into how many cases it multiplies what holds beside it for the same value."""
    levels: int = 0
    """Its nesting with references followed."""
    returns: Returns = NO_RETURNS
    """Its references back to what contains it, which are not followed for the other figures."""

    circle: Circle = NO_CIRCLE
    """What those lead back to."""

    @property
    def recursive(self) -> bool:
        """Whether it comes back to itself, some way further down its value each time."""
        return bool(self.circle.parts)


_ANYTHING: Final = Cost(parts=1, unrolled=1, levels=1)
_BACK: Final = Cost(parts=1, unrolled=1, levels=1, returns=ONE_RETURN)
"""A reference to a schema that is just being judged: the name of a rule that is written once."""


def schema_cost(schema: Mapping[str, Any], *, recursive: bool = False) -> Cost:
    """Judge a schema. Raises BadSchema when it costs more than is allowed, or cannot be judged.

    `recursive`: it may come back to itself below a property or an item, so that it ends with its value. One
    that comes back for the same value is refused in any case: following it would not end.
    """
    judge = _Judge(schema)
    found = judge.cost(schema, 0)
    circle = judge.circle()
    if circle.parts and not recursive:
        raise _circle()
    judge.check_circles()
    return replace(found, circle=circle)


class _Judge:
    """Holds what is known of each object of one schema. Objects are told apart by identity."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.root = schema
        self._known: dict[int, Cost | None] = {}
        self._met_again: set[int] = set()
        self._same_value: dict[int, list[int]] = {}
        """For each object those that speak of the same value because it says so."""

    def cost(self, node: Any, level: int) -> Cost:
        """Cost of a schema at this depth of the descent."""
        if isinstance(node, bool):
            return _ANYTHING
        if not isinstance(node, Mapping):
            raise BadSchema("a schema must be an object or a boolean")
        if level > MAX_LEVELS:
            raise _too_deep()
        key = id(node)
        if key not in self._known:
            self._known[key] = None  # under way: who meets it now has come round in a circle
            self._known[key] = _Sum(self, node, level).total()
        known = self._known[key]
        if known is None:
            self._met_again.add(key)
            return _BACK
        return known

    def circle(self) -> Circle:
        """Return the largest of what was met again while it was judged."""
        met = [known for key in self._met_again if (known := self._known[key]) is not None]
        return Circle(max((each.parts for each in met), default=0), _most(met))

    def note_same_value(self, node: Any, other: Any) -> None:
        """Keep that `node` holds its own value against `other` too."""
        self._same_value.setdefault(id(node), []).append(id(other))

    def check_circles(self) -> None:
        """Raise BadSchema for a circle in which every step is about the same value."""
        done: set[int] = set()
        for first in self._same_value:
            way, under_way = [(first, iter(self._same_value[first]))], {first}
            while way:
                node, rest = way[-1]
                other = next((each for each in rest if each not in done), None)
                if other is None:
                    way.pop()
                    under_way.discard(node)
                    done.add(node)
                elif other in under_way:
                    raise _circle()
                else:
                    under_way.add(other)
                    way.append((other, iter(self._same_value.get(other, ()))))


class _Sum:
    """Adds up one schema object, keyword by keyword.

    Keywords that speak of the same value multiply: an engine must hold each case of the one against each
    case of the other. Keywords that speak of parts of the value add up, and so do the keywords that count
    them.
    """

    def __init__(self, judge: _Judge, node: Mapping[str, Any], level: int) -> None:
        self._judge = judge
        self._node = node
        self._level = level
        self._own = 1
        self._parts = 1 + len(node) + _UNEVALUATED_PARTS * sum(map(_UNEVALUATED.__contains__, node))
        self._levels = 0
        self._conjuncts: list[tuple[int, int]] = []
        self._below = 0
        self._below_ways = 1
        self._returns = NO_RETURNS

    def total(self) -> Cost:
        """Return the cost of the object."""
        for keyword, value in self._node.items():
            self._read(keyword, value)
        self._arrays()
        self._objects()
        self._texts()
        self._conjoin(self._below, self._below_ways)
        ways = _product(each for _, each in self._conjuncts)
        crossed = sum(cost * (ways // own) for cost, own in self._conjuncts)
        found = Cost(self._parts, self._own + crossed, ways, self._levels + 1, self._returns)
        if found.parts > MAX_PARTS or found.unrolled > MAX_UNROLLED or ways > MAX_UNROLLED:
            raise BadSchema("it is too costly: it unrolls to too much")
        if found.levels > MAX_LEVELS:
            raise _too_deep()
        return found

    def _read(self, keyword: str, value: Any) -> None:
        if keyword in _REFUSED or (keyword in _ROOT_ONLY and self._node is not self._judge.root):
            raise BadSchema(f"{keyword} is not supported here")
        if keyword == "$ref":
            self._conjoin_schema(self._beside(target(self._judge.root, value)))
        elif keyword == "allOf":
            for each in _list(keyword, value):
                self._conjoin_schema(self._beside(each))
        elif keyword in _CHOICES:
            costs = [self._beside(each) for each in _list(keyword, value)]
            self._conjoin(sum(c.unrolled for c in costs), max(1, sum(c.ways for c in costs)))
        elif keyword in _IN_PLACE:
            found = self._beside(value)
            self._conjoin(found.unrolled, found.ways + 1)
        elif keyword in _DEPENDENT:
            self._dependent(keyword, value)
        elif keyword in _DEFINITIONS:
            for each in _map(keyword, value).values():  # they count where they are referred to
                found = self._judge.cost(each, self._level + 1)
                self._levels = max(self._levels, found.levels)
        else:
            self._read_value(keyword, value)

    def _read_value(self, keyword: str, value: Any) -> None:
        if keyword in _COUNTS:
            _count(keyword, value)
        elif keyword in _BOUNDS:
            self._own += _SYMBOLS_PER_DIGIT * _digits(keyword, value)
        elif keyword == "multipleOf":
            size = _multiple(value)
            self._parts += _DIVISION_PARTS
            self._conjoin(size, size)
        elif keyword == "pattern":
            size = _pattern(value)
            self._conjoin(size, size)
        elif keyword == "format":
            self._own += _FORMAT_SYMBOLS
        elif keyword in _BELOW:
            found = self._child(value)
            self._add_below(found)
            self._come_back(Returns(others=found.returns.most))
        elif keyword in _LITERALS:
            parts, symbols = _literal_size(value)
            self._parts += parts
            self._own += symbols
        else:  # annotations, and what is counted with its neighbours below
            self._own += keyword not in _ANNOTATIONS

    def _dependent(self, keyword: str, value: Any) -> None:
        for each in _map(keyword, value).values():
            if isinstance(each, list):
                self._own += len(each)
                continue
            found = self._beside(each)
            self._conjoin(found.unrolled, found.ways + 1)

    def _arrays(self) -> None:
        node = self._node
        items = node.get("items")
        listed = [
            *_list("prefixItems", node.get("prefixItems", ())),
            *(items if isinstance(items, list) else ()),
        ]
        places = [self._child(each) for each in listed]
        for each in places:
            self._add_below(each)
        rest = [self._child(node[name]) for name in sorted(_EACH_ITEM) if name in node]
        if "items" in node and not isinstance(items, list):
            rest.append(self._child(items))
        count = max(node.get("minItems", 0), node.get("maxItems", 0)) - len(listed)
        self._repeat_below(rest, count)
        if "contains" in node:
            times = max(node.get("minContains", 1), node.get("maxContains", 1))
            rest.append(self._child(node["contains"]))
            self._repeat_below(rest[-1:], times)
        # An element has one place in a tuple, and whatever is said of every element holds for it too.
        self._come_back(Returns(elements=_most(places) + sum(each.returns.most for each in rest)))

    def _objects(self) -> None:
        node = self._node
        properties = _map("properties", node.get("properties", {}))
        members = {name: self._child(each) for name, each in properties.items()}
        for each in members.values():
            self._add_below(each)
        # Each may be followed by every one behind it, those that are only required included.
        required = node.get("required", ())
        named = {*properties, *(each for each in _list("required", required) if isinstance(each, str))}
        self._below += len(named) ** 2 // _PROPERTIES_PER_SYMBOL
        names = _map("patternProperties", node.get("patternProperties", {}))
        sizes = [_pattern(name) for name in names]
        # Which of two patterns a name falls under is found by crossing them.
        self._below += sum(sizes) + (sum(sizes) ** 2 - sum(size**2 for size in sizes)) // 2
        matched = [self._child(each) for each in names.values()]
        rest = [self._child(node[name]) for name in sorted(_EACH_PROPERTY) if name in node]
        self._repeat_below([*matched, *rest], max(node.get("minProperties", 0), node.get("maxProperties", 0)))
        any_name = sum(each.returns.most for each in matched)
        others = any_name + sum(each.returns.most for each in rest)
        by_name = {name: any_name + each.returns.most for name, each in members.items()}
        self._come_back(Returns(named=by_name, others=others))

    def _texts(self) -> None:
        length = max(self._node.get("minLength", 0), self._node.get("maxLength", 0))
        self._own += length // _CHARACTERS_PER_SYMBOL

    def _repeat_below(self, costs: list[Cost], count: int) -> None:
        """Add what stands for each of `count` parts of the value; once where nothing counts them."""
        each = max(1, sum(cost.unrolled for cost in costs))
        self._below += each * max(count, 1 if costs else 0)
        self._below_ways = max([self._below_ways, *(cost.ways for cost in costs)])

    def _add_below(self, found: Cost) -> None:
        self._below += found.unrolled
        self._below_ways = max(self._below_ways, found.ways)

    def _beside(self, node: Any) -> Cost:
        """Look at a schema that speaks of the same value."""
        found = self._child(node)
        self._judge.note_same_value(self._node, node)
        self._come_back(found.returns)
        return found

    def _come_back(self, returns: Returns) -> None:
        self._returns = self._returns.beside(returns)

    def _child(self, node: Any) -> Cost:
        found = self._judge.cost(node, self._level + 1)
        self._parts += found.parts
        self._levels = max(self._levels, found.levels)
        return found

    def _conjoin_schema(self, found: Cost) -> None:
        self._conjoin(found.unrolled, found.ways)

    def _conjoin(self, cost: int, ways: int) -> None:
        self._conjuncts.append((cost, ways))


_ANNOTATIONS: Final = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"}
)


def _most(costs: Iterable[Cost]) -> int:
    return max((each.returns.most for each in costs), default=0)


def _circle() -> BadSchema:
    return BadSchema("it refers to itself")


def _too_deep() -> BadSchema:
    return BadSchema(f"it is too costly: nested deeper than {MAX_LEVELS} levels with its references followed")


def _product(factors: Iterable[int]) -> int:
    """Multiply, but never make a number much larger than the limit it is held against."""
    product = 1
    for factor in factors:
        product *= factor
        if product > MAX_UNROLLED:
            raise BadSchema("it is too costly: its combinations multiply")
    return product


def _list(keyword: str, value: Any) -> Iterable[Any]:
    if not isinstance(value, list | tuple):
        raise BadSchema(f"{keyword} must be a list")
    return value


def _map(keyword: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSchema(f"{keyword} must be an object")
    return value


def _count(keyword: str, value: Any) -> None:
    """Refuse what is no plain count: a whole float is one to some engines and an error to others."""
    if type(value) is not int or not value >= 0:
        raise BadSchema(f"{keyword} must be an integer of at least 0")
    if value > MAX_UNROLLED * _CHARACTERS_PER_SYMBOL:
        raise BadSchema(f"it is too costly: {keyword} is too large")


def _number(keyword: str, value: Any) -> int | float:
    if type(value) not in {int, float} or (type(value) is float and not math.isfinite(value)):
        raise BadSchema(f"{keyword} must be a number")
    return value  # type: ignore[no-any-return]


def _digits(keyword: str, value: Any) -> int:
    """Count the digits of a bound as an engine writes them out, without exponent."""
    number = abs(_number(keyword, value))
    if type(number) is int:
        return number.bit_length() // 3 + 1
    whole = 0 if number < 1 else math.frexp(number)[1] // 3
    return 1 + whole + len(repr(number))


def _multiple(value: Any) -> int:
    """Return the states of a divisibility check: as many as the divisor, its decimal point left out."""
    number = _number("multipleOf", value)
    if number <= 0:
        raise BadSchema("multipleOf must be larger than 0")
    if number > MAX_UNROLLED:
        raise BadSchema("it is too costly: multipleOf is too large")
    if number < _LEAST_DIVISOR:
        raise BadSchema("it is too costly: multipleOf is too small")
    mantissa = repr(number).partition("e")[0].replace(".", "")
    return int(mantissa.lstrip("0") or "1")


def _pattern(value: Any) -> int:
    if not isinstance(value, str):
        raise BadSchema("a pattern must be a string")
    if len(value) > MAX_PATTERN:
        raise BadSchema(f"a pattern is longer than {MAX_PATTERN} characters")
    try:
        return regex_cost(value, whole=False)
    except BadRegex as error:
        raise BadSchema(f"a pattern is not supported: {error}") from error


def _literal_size(value: Any) -> tuple[int, int]:
    """Count the parts of literal values, long texts by their length, and their symbols. Without recursion."""
    parts, symbols, stack = 0, 0, [value]
    while stack:
        node = stack.pop()
        parts += 1
        if isinstance(node, Mapping):
            parts += len(node)
            symbols += sum(map(len, node))
            stack += node.values()
        elif isinstance(node, list):
            stack += node
        elif isinstance(node, str):
            parts += len(node) // 16
            symbols += len(node)
    return parts, parts + symbols
