"""JSON Schemas of tools: bounded, compiled, and applied to arguments and results. Pure.

A schema comes from an agent, so what checking it can cost is bounded before anything is checked: by what it
unrolls to, since it also becomes the constraint of a forced call (the chassis' `schema_cost`), and by its
parts with all references followed, times those of the value.
"""

import json
from functools import lru_cache
from typing import Any, Final

from services.chassis.constraints.schemas import (
    MAX_SCHEMA_BYTES,
    BadSchema,
    checkable,
    depth,
    parse,
    schema_cost,
    validator,
)
from services.chassis.json_text import read_json
from services.chassis.rpc.errors import FieldViolation, KernelError
from services.tool.errors import ArgumentsInvalid, ResultInvalid, SchemaInvalid
from services.tool.model import UnreadableResult

MAX_DEPTH: Final = 16
MAX_JSON_BYTES: Final = 1_048_576
MAX_JSON_DEPTH: Final = 64
MAX_VIOLATIONS: Final = 16
COMPILED: Final = 512
_SMALL: Final = 1024
_CHARACTERS: Final = 64
"""A text of so many characters takes as long as another part."""

_NO_ARGUMENTS: Final = '{"type":"object","additionalProperties":false}'


def check_schema(text: str, field: str, *, of_object: bool) -> None:
    """Refuse a schema that is too large, too deep or too costly, refers elsewhere or does not compile.

    Raises SchemaInvalid.
    """
    if not text:
        return
    schema = parse_schema(text, field)
    if of_object and schema.get("type", "object") != "object":
        raise SchemaInvalid(f"{field} must describe an object")
    _compiled(text, field)


def parse_schema(text: str, field: str) -> dict[str, Any]:
    """Parse the text of a schema. Raises SchemaInvalid."""
    try:
        return parse(text, max_bytes=MAX_SCHEMA_BYTES, max_depth=MAX_DEPTH)
    except BadSchema as error:
        raise SchemaInvalid(f"{field} cannot be used: {error}") from error


def check_arguments(schema: str, arguments: Any) -> None:
    """Hold arguments against a tool's schema. Raises ArgumentsInvalid with every violation."""
    if not isinstance(arguments, dict):
        raise ArgumentsInvalid("the arguments must be a JSON object")
    checker = _compiled(schema or _NO_ARGUMENTS, "parameters_schema")
    if not checkable(checker.cost, arguments):
        raise ArgumentsInvalid("the arguments have too many parts to be checked against the tool's schema")
    found = checker.violations(arguments)
    if found:
        text = "; ".join(f"{each.field or 'arguments'}: {each.description}" for each in found)
        raise ArgumentsInvalid(f"the arguments do not match the tool's schema: {text}", violations=found)


def check_result(schema: str, result: Any) -> str:
    """Hold a result against a tool's schema; returns it as JSON text. Raises ResultInvalid."""
    if isinstance(result, UnreadableResult):
        raise ResultInvalid(result.why)
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        length = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultInvalid("the tool returned something that is not JSON") from error
    if length > MAX_JSON_BYTES:
        raise ResultInvalid(f"the tool's result is larger than {MAX_JSON_BYTES} bytes")
    if depth(result) > MAX_JSON_DEPTH:
        raise ResultInvalid(f"the tool's result is nested deeper than {MAX_JSON_DEPTH} levels")
    if schema:
        checker = _compiled(schema, "result_schema")
        if not checkable(checker.cost, result) or checker.violations(result):
            raise ResultInvalid("the tool's result does not match its own schema")
    return text


def is_small(value: Any) -> bool:
    """Tell whether a value is written and checked in a moment: few parts, and short ones."""
    left, stack = _SMALL, [value]
    while stack:
        node = stack.pop()
        left -= 1
        if isinstance(node, str):
            left -= len(node) // _CHARACTERS
        elif isinstance(node, dict):
            left -= len(node)
            stack += node.values() if left > 0 else ()
        elif isinstance(node, list):
            left -= len(node)
            stack += node if left > 0 else ()
        if left < 0:
            return False
    return True


def parse_json(text: str, what: str, refused: type[KernelError], *, once: bool = True) -> Any:
    """Parse JSON text from outside. Raises `refused` when it is none, or too deep.

    `once`: an object that gives a name twice is refused too; otherwise the last one counts.
    """
    try:
        value = read_json(text, once=once)
    except ValueError as error:
        raise refused(f"{what} is not valid JSON, or gives a name twice") from error
    if depth(value) > MAX_JSON_DEPTH:
        raise refused(f"{what} is nested deeper than {MAX_JSON_DEPTH} levels")
    return value


class _Checker:
    """A compiled schema."""

    def __init__(self, schema: dict[str, Any], field: str) -> None:
        try:
            self.cost = schema_cost(schema, recursive=True)
            self._validator = validator(schema)
        except BadSchema as error:
            raise SchemaInvalid(f"{field} cannot be used: {error}") from error

    def violations(self, value: Any) -> list[FieldViolation]:
        found = []
        for error in self._validator.iter_errors(value):
            path = ".".join(str(part) for part in error.instance_path)
            found.append(FieldViolation(path, error.message[:512]))
            if len(found) == MAX_VIOLATIONS:
                break
        return found


@lru_cache(maxsize=COMPILED)
def _compiled(text: str, field: str) -> _Checker:
    return _Checker(parse_schema(text, field), field)
