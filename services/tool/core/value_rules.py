"""What the rules of a schema say of single values: types, bounds, enumerations. Pure."""

from collections.abc import Mapping
from typing import Any, Final

Facts = tuple[Any, ...]
"""Schemas that all hold at once."""

NUMBERS: Final = frozenset({"integer", "fraction"})
ALL_TYPES: Final = frozenset({"null", "boolean", "object", "array", "string"}) | NUMBERS
_TYPES: Final = {type(None): "null", bool: "boolean", int: "integer", str: "string", list: "array"}
_NAMES: Final[Mapping[str, frozenset[str]]] = {
    **{name: frozenset({name}) for name in ALL_TYPES - {"fraction"}},
    "number": NUMBERS,
}


def types_of(facts: Facts) -> frozenset[str]:
    """Return the types of the values that schemas may take; a number is an integer or a fraction."""
    found = ALL_TYPES
    for fact in facts:
        if fact is False:
            return frozenset()
        if fact is True:
            continue
        if "type" in fact:
            named = fact["type"] if isinstance(fact["type"], list) else [fact["type"]]
            found &= frozenset().union(*(_NAMES.get(name, frozenset()) for name in named))
        for values in _listed(fact):
            found &= {_type_of(value) for value in values}
    return found


def finite_values(facts: Facts) -> list[Any] | None:
    """Return the few values that schemas may take at most; None: they may take any number."""
    types = types_of(facts)
    lists = [values for fact in facts for values in _listed(fact)]
    if not lists:
        return None
    return [value for value in min(lists, key=len) if _type_of(value) in types]


def bound_problem(facts: Facts, keyword: str, value: Any) -> str:
    """Say why a rule on single values does not follow from schemas; empty: it does.

    What is no such rule does not follow.
    """
    follows = False
    match keyword:
        case "type":
            wanted = types_of(({"type": value},))
            follows = types_of(facts) <= wanted
        case "enum" | "const":
            values = finite_values(facts)
            allowed = value if keyword == "enum" else [value]
            follows = values is not None and all(
                any(same_value(one, other) for other in allowed) for one in values
            )
        case "required":
            follows = set(value) <= {name for fact in facts for name in fact.get("required", ())}
        case "minimum" | "exclusiveMinimum":
            follows = _above(facts, value, strictly=keyword == "exclusiveMinimum")
        case "maximum" | "exclusiveMaximum":
            follows = _below(facts, value, strictly=keyword == "exclusiveMaximum")
        case "multipleOf":
            follows = any(_divides(value, fact["multipleOf"]) for fact in facts if "multipleOf" in fact)
        case "minLength" | "minItems" | "minProperties":
            follows = value <= _least(facts, keyword)
        case "maxLength" | "maxItems" | "maxProperties":
            follows = any(fact[keyword] <= value for fact in facts if keyword in fact)
        case "uniqueItems":
            single = any(fact.get("maxItems", 2) <= 1 for fact in facts)
            follows = value is False or single or any(fact.get("uniqueItems") is True for fact in facts)
    return "" if follows else f"{keyword} is narrower, or new"


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other)


def _listed(fact: Any) -> list[list[Any]]:
    found = [fact["enum"]] if "enum" in fact else []
    return [*found, [fact["const"]]] if "const" in fact else found


def _type_of(value: Any) -> str:
    if isinstance(value, float):
        return "integer" if value.is_integer() else "fraction"
    return _TYPES.get(type(value), "object")


def _above(facts: Facts, bound: float, *, strictly: bool) -> bool:
    """Tell whether every number is at least a bound, or above it."""
    at_least = any(
        fact["minimum"] > bound if strictly else fact["minimum"] >= bound
        for fact in facts
        if "minimum" in fact
    )
    return at_least or any(fact["exclusiveMinimum"] >= bound for fact in facts if "exclusiveMinimum" in fact)


def _below(facts: Facts, bound: float, *, strictly: bool) -> bool:
    """Tell whether every number is at most a bound, or below it."""
    at_most = any(
        fact["maximum"] < bound if strictly else fact["maximum"] <= bound
        for fact in facts
        if "maximum" in fact
    )
    return at_most or any(fact["exclusiveMaximum"] <= bound for fact in facts if "exclusiveMaximum" in fact)


def _divides(new: float, old: float) -> bool:
    """Tell whether the multiples of `old` are multiples of `new`; of fractions only whether both are one."""
    if isinstance(new, int) and isinstance(old, int):
        return old % new == 0
    return new == old


def _least(facts: Facts, keyword: str) -> int:
    least = max((fact[keyword] for fact in facts if keyword in fact), default=0)
    if keyword == "minProperties":
        return max(int(least), len({name for fact in facts for name in fact.get("required", ())}))
    return int(least)
