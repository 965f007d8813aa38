"""JSON schemas and regular expressions from outside: read, judged and compiled. Pure.

Whoever takes one from a caller starts here: `parse` bounds the text, `schema_cost` what it stands for,
`validator` and `whole_match` compile it. Matching runs in time linear in the text, so a hostile pattern
stalls nobody.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import jsonschema_rs

from services.chassis.constraints.references import BadSchema, settle
from services.chassis.constraints.regexes import BadRegex, regex_cost
from services.chassis.constraints.schema_cost import Cost, schema_cost
from services.chassis.json_text import read_json

__all__ = [
    "BadRegex",
    "BadSchema",
    "Cost",
    "checkable",
    "parse",
    "predicate",
    "regex_cost",
    "schema_cost",
    "validator",
    "whole_match",
]

MAX_SCHEMA_BYTES: Final = 65_536
"""Longest text of a schema. Unit: bytes of UTF-8."""
MAX_COMPOSED_BYTES: Final = 262_144
"""Longest text of a schema that the kernel put together out of the schemas of tools. Unit: bytes of UTF-8."""
MAX_DEPTH: Final = 39
"""Deepest nesting of the text."""
MAX_CHECKS: Final = 5_000_000
"""Most parts of a schema times parts of a value: half a second in which nothing else of the process runs."""
MAX_FOLLOWED: Final = 128
"""Deepest value that is held against a schema which refers to itself: validators go down by recursion."""
_ERROR_CHARACTERS: Final = 256


def parse(text: str, *, max_bytes: int = MAX_SCHEMA_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Read the text of a schema, its references settled. Raises BadSchema.

    It is refused when it is too long or deep, no JSON object, or refers to what is not in it. So is a name
    that is given twice: readers differ in which of the two they take.
    """
    if len(text) > max_bytes or len(text.encode(errors="replace")) > max_bytes:
        raise BadSchema(f"it is larger than {max_bytes} bytes")
    try:
        schema = read_json(text)
        json.dumps(schema, ensure_ascii=False).encode()  # half a surrogate pair is no text to the engines
    except (ValueError, RecursionError) as error:
        raise BadSchema("it is not valid JSON, or gives a name twice") from error
    if not isinstance(schema, dict):
        raise BadSchema("it must be a JSON object")
    if depth(schema) > max_depth:
        raise BadSchema(f"it is nested deeper than {max_depth} levels")
    settle(schema)
    return schema


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Compile a schema that has been judged. Raises BadSchema when it means nothing."""
    try:
        return jsonschema_rs.Draft202012Validator(
            schema, retriever=no_retrieval, pattern_options=jsonschema_rs.RegexOptions()
        )
    except BadSchema:
        raise
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        text = str(error).partition("\n")[0][:_ERROR_CHARACTERS]
        raise BadSchema(f"it does not compile: {text}") from error


def predicate(schema: dict[str, Any], *, recursive: bool = False) -> Callable[[Any], bool]:
    """Judge and compile a schema into a test of values. Raises BadSchema.

    A value with too many parts to be checked against it does not pass. `recursive`: as in `schema_cost`.
    """
    cost = schema_cost(schema, recursive=recursive)
    compiled = validator(schema)
    return lambda value: checkable(cost, value) and bool(compiled.is_valid(value))


def checkable(cost: Cost, value: Any) -> bool:
    """Whether a value can be held against a schema of such a cost without stalling the process."""
    looks = cost.parts
    if cost.recursive:
        levels = depth(value)
        if levels > MAX_FOLLOWED:
            return False
        looks += cost.circle.visits(cost.returns.most, levels, MAX_CHECKS)
    return looks * size(value) <= MAX_CHECKS


def whole_match(pattern: str) -> Callable[[str], bool]:
    """Compile a regular expression into a test of whole texts. Raises BadRegex.

    It is judged and compiled alone before it is put between anchors: `a)|(?:.*` is balanced only in there.
    """
    regex_cost(pattern, whole=True)
    try:
        for text in (pattern, rf"\A(?:{pattern})\z"):
            compiled = validator({"type": "string", "pattern": text})
    except BadSchema as error:
        raise BadRegex("its syntax is not supported") from error
    return lambda text: bool(compiled.is_valid(text))


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


def no_retrieval(uri: str) -> Any:
    """Refuse to fetch another document: the retriever of every validator. Raises BadSchema."""
    raise BadSchema(f"references to {uri} are not followed")
