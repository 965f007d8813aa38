r"""Output constraints: JSON schemas and regular expressions. Pure.

The engine answers an invalid schema or pattern with plain, unconstrained text. So each is compiled
here first, and the finished output is checked against it. Patterns run on Rust's `regex`, whose time is
linear in the input: a hostile pattern cannot stall the server.
"""

import re
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import orjson

from services.tgi_local.errors import InvalidRequest

_JSON_TYPES = ("json", "json_object")
_ASSERTIONS = re.compile(r"(?<!\\)(?:\\\\)*\\[bBAzZ<>]")


@dataclass(frozen=True, slots=True)
class JsonConstraint:
    """The output is a JSON text that satisfies `schema`."""

    schema: dict[str, Any]

    def accepts(self, text: str) -> bool:
        """Whether the finished output keeps the promise."""
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return _validator(self.schema).is_valid(value)


@dataclass(frozen=True, slots=True)
class RegexConstraint:
    """The whole output matches `pattern`."""

    pattern: str

    def accepts(self, text: str) -> bool:
        """Whether the finished output keeps the promise."""
        return _validator(_whole(self.pattern)).is_valid(text)


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
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"grammar is not valid: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("grammar is not supported")
    try:
        _validator(value)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise InvalidRequest(f"grammar is not valid: {_first_line(error)}") from error
    if "properties" not in value:
        raise InvalidRequest("grammar is not valid: Grammar must have a 'properties' field")
    return JsonConstraint(value)


def _regex(value: object) -> RegexConstraint:
    if not isinstance(value, str) or not value:
        raise InvalidRequest("grammar is not valid: `regex` needs a pattern")
    if _ASSERTIONS.search(value):
        raise InvalidRequest("grammar is not valid: word boundaries and anchors by escape are not supported")
    try:
        _validator(_whole(value))
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise InvalidRequest("grammar is not valid: the regular expression does not compile") from error
    return RegexConstraint(value)


def _whole(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"\A(?:{pattern})\z"}


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema, retriever=_no_retrieval, pattern_options=jsonschema_rs.RegexOptions()
    )


def _no_retrieval(uri: str) -> Any:
    """Refuse references to other documents: a request must not make the server fetch."""
    raise ValueError(f"references to other documents are not followed: {uri}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
