r"""Output constraints: JSON schemas and regular expressions. Pure.

The engine answers a constraint that it cannot compile with plain, unconstrained text. So each is judged and
compiled here first (by the chassis, as in the gateway), then by the engine's own compiler in a process apart
(`adapters/compiler.py`), and the output is checked against it.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from services.chassis.constraints.schemas import (
    MAX_COMPOSED_BYTES,
    BadRegex,
    BadSchema,
    parse,
    predicate,
    whole_match,
)
from services.chassis.json_text import read_json
from services.tgi_local.errors import InvalidRequest

_JSON_TYPES: Final = ("json", "json_object")
_JSON_STYLE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Constrained JSON is written as `json.dumps` does: with free white space a weak model emits nothing else."""
_HEADER: Final = "%llguidance {}\nstart: "
_UNESCAPED_SLASH: Final = re.compile(r"((?<!\\)(?:\\\\)*)/")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class JsonConstraint:
    """The output is a JSON text that satisfies `schema`."""

    schema: dict[str, Any]

    @cached_property
    def grammar(self) -> str:
        """What the engine is given."""
        return f"{_HEADER}%json {json.dumps(self.schema | {'x-guidance': _JSON_STYLE})}"

    def accepts(self, text: str) -> bool:
        """Whether the finished output keeps the promise."""
        try:
            value = read_json(text)
        except ValueError:
            return False
        return predicate(self.schema, recursive=True)(value)


@dataclass(frozen=True)
class RegexConstraint:
    """The whole output matches `pattern`."""

    pattern: str

    @cached_property
    def grammar(self) -> str:
        """What the engine is given: between slashes, on one line."""
        escaped = _UNESCAPED_SLASH.sub(r"\1\\/", self.pattern)
        line = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped)
        return f"{_HEADER}/{line}/\n"

    def accepts(self, text: str) -> bool:
        """Whether the finished output keeps the promise."""
        return whole_match(self.pattern)(text)


Constraint = JsonConstraint | RegexConstraint


def constraint_of(raw: object) -> Constraint | None:
    """Read the `grammar` parameter. Raises InvalidRequest when it cannot be enforced."""
    if raw is None:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str) or "value" not in raw:
        raise InvalidRequest("grammar is not valid: expected an object with `type` and `value`")
    kind, value = raw["type"], raw["value"]
    if kind in _JSON_TYPES:
        return _json(value)
    if kind == "json_schema":
        if not isinstance(value, dict) or "schema" not in value:
            raise InvalidRequest("grammar is not valid: `json_schema` needs a `schema`")
        return _json(value["schema"])
    if kind == "regex":
        return _regex(value)
    raise InvalidRequest("grammar is not supported")


def _json(value: object) -> JsonConstraint:
    """Read a schema given as text or as JSON; both are held to the same bounds."""
    if not isinstance(value, str | dict):
        raise InvalidRequest("grammar is not supported")
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        schema = parse(text, max_bytes=MAX_COMPOSED_BYTES)
        predicate(schema, recursive=True)
    except (BadSchema, orjson.JSONEncodeError) as error:
        raise InvalidRequest(f"grammar is not valid: {error}") from error
    if "properties" not in schema and "anyOf" not in schema:  # the second is more than TGI takes
        raise InvalidRequest("grammar is not valid: Grammar must have a 'properties' field")
    return JsonConstraint(schema)


def _regex(value: object) -> RegexConstraint:
    if not isinstance(value, str) or not value:
        raise InvalidRequest("grammar is not valid: `regex` needs a pattern")
    try:
        whole_match(value)
    except BadRegex as error:
        raise InvalidRequest(
            f"grammar is not valid: the regular expression does not compile: {error}"
        ) from error
    return RegexConstraint(value)
