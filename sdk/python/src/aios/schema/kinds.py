"""What kinds of types there are: shared by writing schemas and reading values."""

import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import pathlib
import types
import typing
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin

SIMPLE: Final[Mapping[Any, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    None: "null",
}
WRITTEN: Final[Mapping[Any, Mapping[str, str]]] = {
    dt.datetime: {"type": "string", "format": "date-time"},
    dt.date: {"type": "string", "format": "date"},
    dt.time: {"type": "string", "format": "time"},
    dt.timedelta: {"type": "number", "description": "seconds"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    decimal.Decimal: {"type": "number"},
    pathlib.Path: {"type": "string"},
    pathlib.PurePath: {"type": "string"},
    pathlib.PurePosixPath: {"type": "string"},
}
"""Types that JSON holds in another form."""
LISTS: Final = (list, Sequence, tuple, set, frozenset, AbstractSet)
UNIONS: Final = (Union, types.UnionType)
NOTED: Final = (Annotated, Required, NotRequired)
ANYTHING: Final = (Any, inspect.Parameter.empty, object)


def plain(annotation: Any) -> Any:
    """Return what a name for a type stands for: NewType, a `type` statement's alias, a type variable."""
    while True:
        if isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation


def is_enum(kind: Any) -> bool:
    """Tell whether a type is an enumeration."""
    return inspect.isclass(kind) and issubclass(kind, enum.Enum)


def is_model(kind: Any) -> bool:
    """Tell whether a type is a model of Pydantic, which writes and reads itself."""
    return inspect.isclass(kind) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate")


def is_named_tuple(kind: Any) -> bool:
    """Tell whether a type is a NamedTuple."""
    return inspect.isclass(kind) and issubclass(kind, tuple) and hasattr(kind, "_field_defaults")


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A member of an object."""

    annotation: Any
    required: bool = True
    default: Any = inspect.Parameter.empty
    description: str = ""


def fields_of(kind: Any) -> dict[str, Field] | None:
    """Return the members of a dataclass, TypedDict or NamedTuple; None for another type."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {
            one.name: _dataclass_field(one, hints[one.name]) for one in dataclasses.fields(kind) if one.init
        }
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: Field(hint, name in kind.__required_keys__) for name, hint in hints.items()}
    if is_named_tuple(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        defaults = kind._field_defaults  # the documented name
        return {
            name: Field(
                hints.get(name, Any), name not in defaults, defaults.get(name, inspect.Parameter.empty)
            )
            for name in kind._fields  # same
        }
    return None


def _dataclass_field(one: "dataclasses.Field[Any]", hint: Any) -> Field:
    missing = dataclasses.MISSING
    required = one.default is missing and one.default_factory is missing
    default = inspect.Parameter.empty if one.default is missing else one.default
    return Field(hint, required, default, str(one.metadata.get("description", "")))


def fixed_items(annotation: Any, kind: Any) -> tuple[Any, ...] | None:
    """Return the types of a tuple of fixed length, place by place; None for another type."""
    args = get_args(annotation)
    if kind is not tuple or not args or Ellipsis in args:
        return None
    return () if args == ((),) else args


def name_of(annotation: Any) -> str:  # noqa: PLR0911  # one for each kind of type
    """Return how a type is called where a person, or a model, reads of it."""
    annotation = plain(annotation)
    origin = get_origin(annotation)
    if origin in NOTED:
        return name_of(get_args(annotation)[0])
    if origin is Literal:
        return "one of " + ", ".join(repr(value) for value in get_args(annotation))
    if origin in UNIONS:
        return " or ".join(name_of(part) for part in get_args(annotation))
    if is_enum(annotation):
        return "one of " + ", ".join(repr(member.value) for member in annotation)
    if annotation in SIMPLE:
        return _WORDS[SIMPLE[annotation]]
    if annotation in WRITTEN:
        return _WORDS.get(WRITTEN[annotation].get("format", ""), _WORDS[WRITTEN[annotation]["type"]])
    if (origin or annotation) in LISTS:
        return "a list"
    return "an object" if fields_of(annotation) is not None or origin is not None else str(annotation)


_WORDS: Final[Mapping[str, str]] = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "date-time": "a date and time such as 2030-01-31T12:00:00+00:00",
    "date": "a date such as 2030-01-31",
    "time": "a time such as 12:00:00",
    "uuid": "a UUID",
}
