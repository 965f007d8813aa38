"""JSON Schemas of tools: bounded, compiled, and applied to arguments and results. Pure.

A schema comes from an agent, so what checking it can cost is bounded before anything is checked: references
lead nowhere but into the schema itself and never in a circle, and the size of the schema with all references
followed, times the size of the value, has a limit.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from services.chassis.errors import FieldViolation, KernelError
from services.tool.errors import ArgumentsInvalid, ResultInvalid, SchemaInvalid

MAX_SCHEMA_BYTES: Final = 65_536
MAX_DEPTH: Final = 16
MAX_JSON_BYTES: Final = 1_048_576
MAX_JSON_DEPTH: Final = 64
MAX_VIOLATIONS: Final = 16
MAX_EXPANDED: Final = 20_000
"""Most parts of a schema with all references followed."""
MAX_CHECKS: Final = 20_000_000
"""Most parts of schema times parts of value: under a second."""
MAX_PATTERN: Final = 512
COMPILED: Final = 512

_NO_ARGUMENTS: Final = '{"type":"object","additionalProperties":false}'
_DYNAMIC: Final = frozenset({"$dynamicRef", "$recursiveRef"})


def check_schema(text: str, field: str, *, of_object: bool) -> None:
    """Refuse a schema that is too large, too deep or too costly, refers elsewhere or does not compile.

    Raises SchemaInvalid.
    """
    if not text:
        return
    if len(text.encode()) > MAX_SCHEMA_BYTES:
        raise SchemaInvalid(f"{field} is larger than {MAX_SCHEMA_BYTES} bytes")
    schema = parse_schema(text, field)
    if depth(schema) > MAX_DEPTH:
        raise SchemaInvalid(f"{field} is nested deeper than {MAX_DEPTH} levels")
    if of_object and schema.get("type", "object") != "object":
        raise SchemaInvalid(f"{field} must describe an object")
    _compiled(text, field)


def parse_schema(text: str, field: str) -> dict[str, Any]:
    """Parse the text of a schema. Raises SchemaInvalid."""
    try:
        schema = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SchemaInvalid(f"{field} is not valid JSON") from error
    if not isinstance(schema, dict):
        raise SchemaInvalid(f"{field} must be a JSON object")
    return schema


def check_arguments(schema: str, arguments: Any) -> None:
    """Hold arguments against a tool's schema. Raises ArgumentsInvalid with every violation."""
    if not isinstance(arguments, dict):
        raise ArgumentsInvalid("the arguments must be a JSON object")
    checker = _compiled(schema or _NO_ARGUMENTS, "parameters_schema")
    if checker.expanded * size(arguments) > MAX_CHECKS:
        raise ArgumentsInvalid("the arguments have too many parts to be checked against the tool's schema")
    found = checker.violations(arguments)
    if found:
        text = "; ".join(f"{each.field or 'arguments'}: {each.description}" for each in found)
        raise ArgumentsInvalid(f"the arguments do not match the tool's schema: {text}", violations=found)


def check_result(schema: str, result: Any) -> str:
    """Hold a result against a tool's schema; returns it as JSON text. Raises ResultInvalid."""
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
        if checker.expanded * size(result) > MAX_CHECKS or checker.violations(result):
            raise ResultInvalid("the tool's result does not match its own schema")
    return text


def parse_json(text: str, what: str, refused: type[KernelError]) -> Any:
    """Parse JSON text from outside. Raises `refused` when it is none, or too deep."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise refused(f"{what} is not valid JSON") from error
    if depth(value) > MAX_JSON_DEPTH:
        raise refused(f"{what} is nested deeper than {MAX_JSON_DEPTH} levels")
    return value


def depth(value: Any) -> int:
    """Return the depth of nested containers, found without recursion."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        node, level = stack.pop()
        if isinstance(node, Mapping):
            stack += [(child, level + 1) for child in node.values()]
        elif isinstance(node, list):
            stack += [(child, level + 1) for child in node]
        else:
            continue
        deepest = max(deepest, level)
    return deepest


def size(value: Any) -> int:
    """Return how many values a JSON value consists of."""
    count, stack = 0, [value]
    while stack:
        node = stack.pop()
        count += 1
        if isinstance(node, Mapping):
            stack += node.values()
        elif isinstance(node, list):
            stack += node
    return count


class _Checker:
    """A compiled schema."""

    def __init__(self, schema: dict[str, Any], field: str) -> None:
        self.expanded = _Expansion(schema, field).size(schema)
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                schema, retriever=_no_retrieval, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            text = str(error).splitlines()[0][:256]
            raise SchemaInvalid(f"{field} does not compile: {text}") from error

    def violations(self, value: Any) -> list[FieldViolation]:
        found = []
        for error in self._validator.iter_errors(value):
            path = ".".join(str(part) for part in error.instance_path)
            found.append(FieldViolation(path, error.message[:512]))
            if len(found) == MAX_VIOLATIONS:
                break
        return found


class _Expansion:
    """Counts the parts of a schema with its references followed."""

    def __init__(self, schema: Mapping[str, Any], field: str) -> None:
        self._schema = schema
        self._field = field
        self._open: set[str] = set()
        self._known: dict[str, int] = {}

    def size(self, node: Any) -> int:
        """Return the size of a part. Raises SchemaInvalid."""
        if isinstance(node, list):
            return 1 + sum(self.size(child) for child in node)
        if not isinstance(node, Mapping):
            return 1
        if not _DYNAMIC.isdisjoint(node):
            raise SchemaInvalid(f"{self._field}: dynamic references are not supported")
        total = 1
        for name, child in node.items():
            if name == "$ref" and isinstance(child, str):
                total += self._target(child)
            elif name == "pattern" and isinstance(child, str) and len(child) > MAX_PATTERN:
                raise SchemaInvalid(f"{self._field}: a pattern is longer than {MAX_PATTERN} characters")
            else:
                total += self.size(child)
        if total > MAX_EXPANDED:
            raise SchemaInvalid(f"{self._field} is too costly to check")
        return total

    def _target(self, reference: str) -> int:
        if reference in self._open:
            raise SchemaInvalid(f"{self._field}: {reference} refers to itself")
        if reference not in self._known:
            self._open.add(reference)
            self._known[reference] = self.size(self._find(reference))
            self._open.discard(reference)
        return self._known[reference]

    def _find(self, reference: str) -> Any:
        node: Any = self._schema
        if reference != "#" and not reference.startswith("#/"):
            raise SchemaInvalid(f"{self._field}: references must begin with #/, not {reference[:64]}")
        for part in reference.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or key not in node:
                raise SchemaInvalid(f"{self._field}: {reference[:64]} leads nowhere")
            node = node[key]
        return node


@lru_cache(maxsize=COMPILED)
def _compiled(text: str, field: str) -> _Checker:
    return _Checker(parse_schema(text, field), field)


def _no_retrieval(uri: str) -> Any:
    raise ValueError(f"references to {uri} are not followed")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
