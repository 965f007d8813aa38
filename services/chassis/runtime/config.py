"""Configuration from the environment: a frozen dataclass, every problem reported at once.

With the prefix `AIOS_MEMORY_` a field `max_notes: int` is read from `AIOS_MEMORY_MAX_NOTES`. Field types:
str, int, float, bool, Path, timedelta (seconds), Cap (agent, tree, tenant), tuple[str, ...] (comma
separated), each also `| None`.
The string below a field is its documentation; `--help-config` prints it.
"""

import ast
import dataclasses
import inspect
import math
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from services.chassis.quotas import Cap

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class ConfigError(Exception):
    """The configuration cannot be used. The message tells one problem behind its colon, or each on a line."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        told = self.problems if len(self.problems) == 1 else ["", *(f"  {each}" for each in self.problems)]
        super().__init__(("bad configuration: " + "\n".join(told)).replace(": \n", ":\n", 1))


class SettingRefused(ValueError):
    """A field of a configuration has a value that parses and means nothing; raised in `__post_init__`."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(problem)
        self.setting = setting


def load(cls: type[T], environ: Mapping[str, str], prefix: str, *, known: Iterable[str] | None = ()) -> T:
    """Read a dataclass from the variables that start with `prefix`.

    `known` names further variables (without the prefix) that may be present; None allows any.
    Raises ConfigError listing all bad values, missing required values and unknown variables.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(cls)
    fields = {field.name.upper(): field for field in _fields(cls)}
    for name, field in fields.items():
        text = environ.get(prefix + name)
        if text is None:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                problems.append(f"{prefix}{name}: required but not set")
            continue
        try:
            values[field.name] = _parse(text, hints[field.name])
        except ValueError as error:
            problems.append(f"{prefix}{name}: {error}")
    if known is not None:
        accepted = {*fields, *known}
        present = sorted(name for name in environ if name.startswith(prefix))
        problems += [f"{name}: unknown variable" for name in present if name[len(prefix) :] not in accepted]
    if not problems:
        try:
            return cls(**values)
        except SettingRefused as error:
            problems.append(f"{prefix}{error.setting.upper()}: {error}")
        except ValueError as error:  # an invariant checked in __post_init__
            problems.append(f"{prefix}*: {error}")
    raise ConfigError(problems)


def read_secret(path: Path) -> str:
    """Read a secret of one line from its file. Raises OSError, ValueError for what no header can hold."""
    secret = path.read_text().strip()
    if not secret:
        raise ValueError(f"the file {path} is empty")
    if not (secret.isascii() and secret.isprintable()):
        raise ValueError(f"the file {path} holds what no key can: only printable ASCII is sent")
    return secret


def describe(cls: type[Any], prefix: str) -> str:
    """Describe every variable of a dataclass: name, type, default and documentation."""
    hints = typing.get_type_hints(cls)
    documents = field_documents(cls)
    lines: list[str] = []
    for field in _fields(cls):
        lines.append(f"{prefix}{field.name.upper()}  ({_type_name(hints[field.name])}, {_default(field)})")
        lines += textwrap.wrap(
            documents.get(field.name, ""), width=100, initial_indent="    ", subsequent_indent="    "
        )
    return "\n".join(lines)


def field_documents(cls: type[Any]) -> dict[str, str]:
    """Return the string that follows each field in the source of a dataclass, by field name."""
    try:
        source = inspect.getsource(cls)
    except OSError:  # installed without its source
        return {}
    body = ast.parse(textwrap.dedent(source)).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    documents: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        value = following.value if isinstance(following, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            documents[statement.target.id] = inspect.cleandoc(value.value)
    return documents


def _fields(cls: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(cls) if field.init)


def _parse(text: str, hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = next(argument for argument in typing.get_args(hint) if argument is not type(None))
        return None if text == "" else _parse(text, inner)
    if typing.get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    parser = _PARSERS.get(hint)
    if parser is None:
        raise TypeError(f"a configuration field cannot have the type {hint!r}")
    return parser(text)


def _bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE | _FALSE:
        return lowered in _TRUE
    raise ValueError(f"expected true or false, got {text!r}")


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, got {text!r}") from None


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number, got {text!r}")
    return number


def _seconds(text: str) -> timedelta:
    seconds = _float(text)
    if seconds < 0:
        raise ValueError(f"expected seconds, not negative, got {text!r}")
    return timedelta(seconds=seconds)


_PARSERS: Mapping[Any, Callable[[str], Any]] = {
    str: str,
    int: _int,
    float: _float,
    bool: _bool,
    Path: lambda text: Path(text).expanduser(),
    timedelta: _seconds,
    Cap: Cap.parse,
}


def _type_name(hint: Any) -> str:
    if hint is timedelta:
        return "seconds"
    if typing.get_origin(hint) is tuple:
        return "comma separated"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("datetime.timedelta", "seconds")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return f"default {','.join(value) if isinstance(value, tuple) else value}"
