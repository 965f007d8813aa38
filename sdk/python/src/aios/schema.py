"""Python types as JSON Schema, and JSON values as Python types. Pure.

Covers what tool parameters and structured answers need: str, int, float, bool, None, Any, list, tuple, dict,
Literal, Enum, unions, `Annotated[T, "description"]`, dataclasses and TypedDicts, nested as deep as you like.
"""

import dataclasses
import enum
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

T = TypeVar("T")
Schema = dict[str, Any]

_SIMPLE: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    None: "null",
}
_LISTS = (list, Sequence, tuple, set, frozenset)


def schema_of(annotation: Any) -> Schema:
    """Return the JSON Schema of a type. Raises TypeError for a type that JSON cannot hold."""
    if annotation in (Any, inspect.Parameter.empty, object):
        return {}
    if annotation in _SIMPLE:
        return {"type": _SIMPLE[annotation]}
    origin = get_origin(annotation)
    if origin in (Annotated, Required, NotRequired):
        return _described(annotation)
    if origin is Literal:
        return {"enum": list(get_args(annotation))}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(part) for part in get_args(annotation)]}
    return _container(annotation, origin or annotation)


def _described(annotation: Any) -> Schema:
    inner, *notes = get_args(annotation)
    form = schema_of(inner)
    texts = [note for note in notes if isinstance(note, str)]
    return {**form, "description": texts[0]} if texts else form


def _container(annotation: Any, kind: Any) -> Schema:
    args = get_args(annotation)
    if kind in _LISTS:
        item = args[0] if args else Any
        return {"type": "array", "items": schema_of(item)}
    if kind in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema_of(args[1]) if args else {}}
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    if dataclasses.is_dataclass(kind):
        return _object(_dataclass_fields(kind), _required_of_dataclass(kind))
    if is_typeddict(kind):
        return _object(get_type_hints(kind, include_extras=True), sorted(kind.__required_keys__))
    raise TypeError(f"{annotation!r} has no JSON form")


def _object(hints: Mapping[str, Any], required: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "properties": {name: schema_of(hint) for name, hint in hints.items()},
        "required": [name for name in hints if name in required],
        "additionalProperties": False,
    }


def _dataclass_fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _required_of_dataclass(kind: Any) -> list[str]:
    missing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.init and field.default is missing and field.default_factory is missing
    ]


def parameters_of(function: Callable[..., Any]) -> tuple[Schema, dict[str, Any]]:
    """Return the JSON Schema of a function's parameters and their annotations by name.

    A trailing underscore is not part of the parameter's name (`from_` is shown as `from`). Raises TypeError
    for positional-only and variadic parameters.
    """
    hints = get_type_hints(function, include_extras=True)
    shown: dict[str, Any] = {}
    required = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{function.__name__}: parameter {parameter.name} cannot be passed by name")
        name = parameter.name.rstrip("_") or parameter.name
        shown[name] = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            required.append(name)
    return _object(shown, required), shown


def build(annotation: type[T] | Any, value: Any) -> T | Any:
    """Return a parsed JSON value as the given type. Raises ValueError where it does not fit."""
    origin = get_origin(annotation)
    if origin in (Annotated, Required, NotRequired):
        return build(get_args(annotation)[0], value)
    if annotation in (Any, inspect.Parameter.empty, object):
        return value
    if annotation in _SIMPLE:
        return _simple(annotation, value)
    if origin is Literal:
        return _expect(value in get_args(annotation), value, annotation)
    if origin in (Union, types.UnionType):
        return _union(annotation, value)
    return _build_container(annotation, origin or annotation, value)


def _simple(annotation: Any, value: Any) -> Any:
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if annotation is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if annotation is None or annotation is type(None):
        return _expect(value is None, value, "null")
    fits = isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))
    return _expect(fits, value, annotation)


def _union(annotation: Any, value: Any) -> Any:
    for part in get_args(annotation):
        try:
            return build(part, value)
        except ValueError:
            continue
    return _expect(False, value, annotation)  # noqa: FBT003  # no part fits


def _build_container(annotation: Any, kind: Any, value: Any) -> Any:
    args = get_args(annotation)
    if kind in _LISTS:
        items = [
            build(args[0] if args else Any, item)
            for item in _expect(isinstance(value, list), value, annotation)
        ]
        return items if kind in (list, Sequence) else kind(items)
    _expect(isinstance(value, Mapping) or not _is_object(kind), value, annotation)
    if kind in (dict, Mapping):
        return {key: build(args[1] if args else Any, item) for key, item in value.items()}
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return kind(value)
    if dataclasses.is_dataclass(kind):
        fields = _dataclass_fields(kind)
        return _class(kind)(**_members(fields, _required_of_dataclass(kind), value))
    return _members(get_type_hints(kind, include_extras=True), sorted(kind.__required_keys__), value)


def _class(kind: Any) -> Callable[..., Any]:
    made: Callable[..., Any] = kind
    return made


def _is_object(kind: Any) -> bool:
    return not (inspect.isclass(kind) and issubclass(kind, enum.Enum))


def _members(hints: Mapping[str, Any], required: Sequence[str], value: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in required if name not in value]
    unknown = [name for name in value if name not in hints]
    if missing or unknown:
        raise ValueError(f"missing {missing}, unknown {unknown}")
    return {name: build(hints[name], item) for name, item in value.items()}


def _expect(fits: bool, value: Any, form: Any) -> Any:  # noqa: FBT001  # an assertion in expression form
    if not fits:
        raise ValueError(f"{value!r} is not {getattr(form, '__name__', form)}")
    return value
