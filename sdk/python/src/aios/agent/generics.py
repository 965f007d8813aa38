"""Reads the type arguments of an agent's class: `class Guide(aios.Agent[Deps, Output])`. Pure."""

from typing import Any, TypeVar, get_args, get_origin


def arguments_of(kind: type, root: type) -> dict[Any, Any]:
    """Return what the type variables of `root` stand for in its subclass `kind`, as far as they are said."""
    if kind is root:
        return {variable: variable for variable in _variables(root)}
    for base in kind.__dict__.get("__orig_bases__", kind.__bases__):
        origin = get_origin(base) or base
        if isinstance(origin, type) and issubclass(origin, root):
            given = dict(zip(_variables(origin), get_args(base), strict=False))
            found = arguments_of(origin, root)
            return {variable: given.get(value, value) for variable, value in found.items()}
    return {}


def _variables(kind: type) -> tuple[Any, ...]:
    found: tuple[Any, ...] = getattr(kind, "__parameters__", ())
    return found


def said(found: dict[Any, Any], variable: Any, default: Any) -> Any:
    """Return what a type variable stands for, or the default when nobody said."""
    value = found.get(variable, variable)
    return default if isinstance(value, TypeVar) or value is variable else value
