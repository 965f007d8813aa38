"""The parameters of a function as a model sees them. Pure."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from aios.schema import kinds
from aios.schema.docstrings import Told, told
from aios.schema.reading import members
from aios.schema.writing import Schema, object_schema, schema_of, with_default
from aios.types.runs import RunContext

_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter."""

    name: str
    """Its name for the model."""

    python_name: str
    """Its name in the function: a trailing underscore is not shown to the model."""

    field: kinds.Field
    """Its type, whether it must be given, its default and what is said of it."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How a function is called."""

    parameters: tuple[Parameter, ...]
    """What the model gives, in order."""

    context: str
    """The parameter that gets the RunContext; empty: none."""

    is_method: bool
    """Whether it wants a `self` or `cls` and is not bound to one."""

    description: str
    """What it does, by its docstring."""

    @property
    def schema(self) -> Schema:
        """The JSON Schema of its parameters."""
        forms = {one.name: _form(one.field) for one in self.parameters}
        return object_schema(forms, [one.name for one in self.parameters if one.field.required])

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return JSON arguments as the function's own keywords. Raises Misfit with all that does not fit."""
        built = members({one.name: one.field for one in self.parameters}, arguments, "")
        python_names = {one.name: one.python_name for one in self.parameters}
        return {python_names[name]: value for name, value in built.items()}


def signature_of(function: Callable[..., Any]) -> Signature:
    """Read a function, a method, a partial application or an object that can be called.

    `self`, parameters that a partial application fills and the one that takes the RunContext are left out.
    Raises TypeError for positional-only and variadic parameters, for types without a JSON form and for type
    hints that cannot be resolved.
    """
    target, filled = _target(function)
    hints = _hints(target)
    docs = told(inspect.getdoc(function) if target is not function else target.__doc__)
    parameters = list(inspect.signature(function).parameters.values())
    is_method = bool(parameters) and _is_self(parameters[0], hints)
    shown, context = [], ""
    for parameter in parameters[1:] if is_method else parameters:
        hint = hints.get(parameter.name, Any)
        if get_origin(hint) is RunContext or hint is RunContext:
            context = parameter.name
        elif parameter.name not in filled:
            shown.append(_parameter(parameter, hint, docs, function))
    return Signature(tuple(shown), context, is_method, docs.description)


def parameters_of(function: Callable[..., Any]) -> tuple[Schema, dict[str, Any]]:
    """Return the JSON Schema of a function's parameters and their annotations by name; see `signature_of`."""
    read = signature_of(function)
    return read.schema, {one.name: one.field.annotation for one in read.parameters}


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function, or what can be called like one, is called."""
    target, _ = _target(function)
    name = getattr(function, "__name__", "") or getattr(target, "__name__", "")
    return type(function).__name__.lower() if name == "__call__" else str(name)


def _target(function: Callable[..., Any]) -> tuple[Any, frozenset[str]]:
    """Return the function behind what can be called, and the keywords that are filled already."""
    if isinstance(function, functools.partial):
        inner, filled = _target(function.func)
        return inner, filled | frozenset(function.keywords)
    if isinstance(function, staticmethod | classmethod):
        return function.__func__, frozenset()
    if inspect.isroutine(function) or inspect.isclass(function):
        return function, frozenset()
    return type(function).__call__, frozenset()


def _hints(target: Any) -> dict[str, Any]:
    try:
        return get_type_hints(target, include_extras=True)
    except NameError as error:
        name = getattr(target, "__name__", target)
        raise TypeError(f"{name}: a type hint cannot be resolved: {error}") from error


def _is_self(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> bool:
    return parameter.name in ("self", "cls") and parameter.name not in hints


def _parameter(
    parameter: inspect.Parameter, hint: Any, docs: Told, function: Callable[..., Any]
) -> Parameter:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"{name_of(function)}: parameter {parameter.name} cannot be passed by name")
    if parameter.default is None and not _takes_none(hint):
        hint = Union[hint, None]  # `text: str = None` means an Optional  # noqa: UP007  # made at run time
    shown = parameter.name.rstrip("_") or parameter.name
    described = docs.parameters.get(parameter.name, docs.parameters.get(shown, ""))
    field = kinds.Field(hint, parameter.default is _EMPTY, parameter.default, described)
    try:
        schema_of(hint)
    except TypeError as error:
        raise TypeError(f"{name_of(function)}: parameter {parameter.name}: {error}") from error
    return Parameter(shown, parameter.name, field)


def _takes_none(hint: Any) -> bool:
    hint = kinds.plain(hint)
    if get_origin(hint) in kinds.NOTED:
        return _takes_none(get_args(hint)[0])
    if get_origin(hint) in kinds.UNIONS:
        return any(_takes_none(part) for part in get_args(hint))
    return hint in (None, type(None), *kinds.ANYTHING)


def _form(field: kinds.Field) -> Schema:
    form = schema_of(field.annotation)
    if field.description and "description" not in form:
        form["description"] = field.description
    return with_default(form, field.default)
