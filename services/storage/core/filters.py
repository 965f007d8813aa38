"""Conditions on the fields of a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from services.storage.errors import QueryInvalid

Json: TypeAlias = "bool | float | int | str | Sequence[Json] | Mapping[str, Json] | None"
MAX_CHOICES = 100


class Operator(Enum):
    """How a field is compared with a value."""

    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    LESS = "less"
    LESS_OR_EQUAL = "less_or_equal"
    GREATER = "greater"
    GREATER_OR_EQUAL = "greater_or_equal"
    IN = "in"
    CONTAINS = "contains"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. `field` steps into objects at dots."""

    field: str
    operator: Operator
    value: Json = None


class _Missing:
    """Marks a field that is not there."""


_MISSING: Final = _Missing()
_ORDER: Final = {Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}


def check(filters: Sequence[Filter]) -> None:
    """Refuse conditions that can never be meant.

    Raises QueryInvalid.
    """
    for condition in filters:
        value = condition.value
        if condition.operator in _ORDER and (
            isinstance(value, bool) or not isinstance(value, float | int | str)
        ):
            raise _invalid(condition, "needs a number or a text")
        if condition.operator is Operator.IN:
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise _invalid(condition, "needs a list")
            if len(value) > MAX_CHOICES:
                raise _invalid(condition, f"has more than {MAX_CHOICES} choices")


def passes(fields: Mapping[str, Json], filters: Sequence[Filter]) -> bool:
    """Tell whether a record's fields meet every condition."""
    return all(_meets(_field(fields, condition.field), condition) for condition in filters)


def _field(fields: Mapping[str, Json], path: str) -> "Json | _Missing":
    here: Json | _Missing = fields
    for step in path.split("."):
        if not isinstance(here, Mapping) or step not in here:
            return _MISSING
        here = here[step]
    return here


def _meets(found: "Json | _Missing", condition: Filter) -> bool:
    if isinstance(found, _Missing):
        return condition.operator is Operator.NOT_EQUAL
    if condition.operator in _ORDER:
        return _ordered(found, condition.operator, condition.value)
    return _TESTS[condition.operator](found, condition.value)


def _contains(found: Json, value: Json) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, Sequence) and any(_equal(item, value) for item in found)


def _equal(left: Json, right: Json) -> bool:
    """Compare as JSON does: true is not 1."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left == right


def _ordered(found: Json, operator: Operator, value: Json) -> bool:
    if isinstance(found, str) and isinstance(value, str):
        return _compare((found > value) - (found < value), operator)
    if isinstance(found, bool) or isinstance(value, bool):
        return False
    if isinstance(found, float | int) and isinstance(value, float | int):
        return _compare((found > value) - (found < value), operator)
    return False


def _compare(sign: int, operator: Operator) -> bool:
    if operator is Operator.LESS:
        return sign < 0
    if operator is Operator.LESS_OR_EQUAL:
        return sign <= 0
    if operator is Operator.GREATER:
        return sign > 0
    return sign >= 0


def _invalid(condition: Filter, why: str) -> QueryInvalid:
    return QueryInvalid(
        f"the filter on {condition.field!r} {why}",
        metadata={"field": condition.field, "operator": condition.operator.value},
    )


_TESTS: Final[Mapping[Operator, Callable[[Json, Json], bool]]] = {
    Operator.EXISTS: lambda _found, _value: True,
    Operator.EQUAL: _equal,
    Operator.NOT_EQUAL: lambda found, value: not _equal(found, value),
    Operator.IN: lambda found, value: _contains(value, found),
    Operator.CONTAINS: _contains,
}
