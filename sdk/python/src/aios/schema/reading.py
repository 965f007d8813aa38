"""JSON values as Python types. Pure."""

import datetime as dt
import pathlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from aios.schema import kinds

T = TypeVar("T")
Problem = tuple[str, str]
"""Where a value does not fit, such as `points[1].x`, and what is wrong there."""

_SHOWN: Final = 80
"""Most characters of a value that are shown."""


class Misfit(ValueError):
    """A value does not fit its type; `problems` says where and why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{path}: {text}" if path else text for path, text in problems))
        self.problems = tuple(problems)


def build(annotation: type[T] | Any, value: Any, path: str = "") -> T | Any:  # noqa: PLR0911  # one for each kind of type
    """Return a parsed JSON value as the given type. Raises Misfit, a ValueError, where it does not fit."""
    annotation = kinds.plain(annotation)
    origin = get_origin(annotation)
    if origin in kinds.NOTED:
        return build(get_args(annotation)[0], value, path)
    if annotation in kinds.ANYTHING:
        return value
    if annotation in kinds.SIMPLE:
        return _simple(annotation, value, path)
    if annotation in kinds.WRITTEN:
        return _written(annotation, value, path)
    if origin is Literal:
        return _literal(annotation, value, path)
    if origin in kinds.UNIONS:
        return _union(annotation, value, path)
    return _container(annotation, origin or annotation, value, path)


def _simple(annotation: Any, value: Any, path: str) -> Any:
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if annotation is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if annotation is None or annotation is type(None):
        return _expect(value is None, value, annotation, path)
    fits = isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))
    return _expect(fits, value, annotation, path)


_READERS: Final[Mapping[Any, Callable[[Any], Any]]] = {
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
    dt.time: dt.time.fromisoformat,
    dt.timedelta: lambda value: dt.timedelta(seconds=value),
    uuid.UUID: uuid.UUID,
    Decimal: lambda value: Decimal(str(value)),
    pathlib.Path: pathlib.Path,
    pathlib.PurePath: pathlib.PurePath,
    pathlib.PurePosixPath: pathlib.PurePosixPath,
}


def _written(annotation: Any, value: Any, path: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = number if kinds.WRITTEN[annotation]["type"] == "number" else isinstance(value, str)
    _expect(fits, value, annotation, path)
    try:
        return _READERS[annotation](value)
    except (ValueError, OverflowError, InvalidOperation):
        return _expect(False, value, annotation, path)  # noqa: FBT003  # it cannot be read


def _literal(annotation: Any, value: Any, path: str) -> Any:
    for member in get_args(annotation):
        # 1 == True in Python, but not in JSON.
        if type(member) is type(value) and member == value:
            return member
        if kinds.is_enum(type(member)) and member.value == value:
            return member
    return _expect(False, value, annotation, path)  # noqa: FBT003  # none of them


def _union(annotation: Any, value: Any, path: str) -> Any:
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if value is None and len(parts) < len(get_args(annotation)):
        return None
    misfits = []
    for part in parts:
        try:
            return build(part, value, path)
        except Misfit as misfit:
            misfits.append(misfit)
    if len(misfits) == 1:
        raise misfits[0]  # an Optional: what is wrong inside says more
    return _expect(False, value, annotation, path)  # noqa: FBT003  # no part fits


def _container(annotation: Any, kind: Any, value: Any, path: str) -> Any:
    args = get_args(annotation)
    places = kinds.fixed_items(annotation, kind)
    if places is not None:
        _expect(isinstance(value, list) and len(value) == len(places), value, annotation, path)
        return tuple(_each([(f"{path}[{n}]", places[n], item) for n, item in enumerate(value)]))
    if kind in kinds.LISTS:
        _expect(isinstance(value, list), value, annotation, path)
        items = _each([(f"{path}[{n}]", args[0] if args else Any, item) for n, item in enumerate(value)])
        return items if kind in (list, Sequence) else frozenset(items) if kind is AbstractSet else kind(items)
    if kinds.is_enum(kind):
        return _member(kind, value, path)
    if kinds.is_model(kind):
        return _model(kind, value, path)
    _expect(isinstance(value, Mapping), value, annotation, path)
    if kind in (dict, Mapping):
        names = list(value)
        items = _each([(_at(path, key), args[1] if args else Any, value[key]) for key in names])
        return dict(zip(names, items, strict=True))
    return _made(kind, members(kinds.fields_of(kind) or {}, value, path), path)


def _member(kind: Any, value: Any, path: str) -> Any:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    return _expect(False, value, kind, path)  # noqa: FBT003  # none of them


def members(fields: Mapping[str, kinds.Field], value: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return an object's members, each as its type. Raises Misfit with everything that is wrong at once."""
    problems: list[Problem] = [
        (_at(path, name), "is missing")
        for name, field in fields.items()
        if field.required and name not in value
    ]
    problems += [(_at(path, name), "is unknown") for name in value if name not in fields]
    built: dict[str, Any] = {}
    for name in (name for name in value if name in fields):
        try:
            built[name] = build(fields[name].annotation, value[name], _at(path, name))
        except Misfit as misfit:
            problems += misfit.problems
    if problems:
        raise Misfit(problems)
    return built


def _made(kind: Any, values: dict[str, Any], path: str) -> Any:
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:  # its own checks
        raise Misfit([(path, str(error) or type(error).__name__)]) from error


def _model(kind: Any, value: Any, path: str) -> Any:
    try:
        return kind.model_validate(value)
    except ValueError as error:
        told = getattr(error, "errors", None)
        if not callable(told):
            raise Misfit([(path, str(error))]) from error
        problems = [(_at(path, ".".join(map(str, one["loc"]))), str(one["msg"])) for one in told()]
        raise Misfit(problems) from error


def _each(items: Sequence[tuple[str, Any, Any]]) -> list[Any]:
    built: list[Any] = []
    problems: list[Problem] = []
    for path, annotation, value in items:
        try:
            built.append(build(annotation, value, path))
        except Misfit as misfit:
            problems += misfit.problems
    if problems:
        raise Misfit(problems)
    return built


def _at(path: str, name: object) -> str:
    return f"{path}.{name}".strip(".")


def _expect(fits: bool, value: Any, annotation: Any, path: str) -> Any:  # noqa: FBT001  # an assertion in expression form
    if not fits:
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        raise Misfit([(path, f"{shown} is not {kinds.name_of(annotation)}")])
    return value
