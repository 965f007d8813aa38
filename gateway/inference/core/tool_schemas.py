"""The schemas of tools' arguments, and the form that a forced call has to take. Pure.

A forced call is one JSON document for all tools, so the schema of each is moved into it with its references.
Engines keep only a part of what a schema can say. They are given that part, so that a tool which says more
can be forced too, and the finished call is held against the whole.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.errors import ConstraintInvalid
from gateway.inference.core.schema_slips import in_todays_words
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.references import nodes, refers, relocated
from services.chassis.constraints.regexes import UnsupportedRegex
from services.chassis.constraints.schemas import BadRegex, BadSchema, parse, regex_cost, schema_cost

CALLS_KEY: Final = "tool_calls"
"""Under which name a forced output holds its calls."""
MAX_FORCED_CALLS: Final = 8
MAX_TOOL_DEPTH: Final = 32
"""Deepest nesting of the text of one tool's schema; a forced call holds it some levels further down."""

_CLOSED: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}
_NOTES: Final = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"}
)
_SAYS_NOTHING: Final = _NOTES | {"type", "properties", "required", "$id", "$schema", "$defs", "definitions"}
_BEYOND_ENGINES: Final = frozenset(
    {"uniqueItems", "not", "if", "then", "else", "propertyNames", "contains", "minContains", "maxContains"}
    | {"dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties"}
)
_FORMATS: Final = frozenset(
    {"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
"""Those that engines know; every other one is a note."""


def arguments_schema(tool: ToolDefinition) -> dict[str, Any]:
    """Read the schema of a tool's arguments. Raises ConstraintInvalid.

    One that names no parameter stands for no arguments. A tool that takes whatever it is given says so by
    `additionalProperties`. Patterns that engines do not share are left out: the tool itself knows better.
    What is clear but no draft of today is mended (`schema_slips`).
    """
    try:
        schema = parse(tool.parameters_schema or "{}", max_depth=MAX_TOOL_DEPTH)
    except BadSchema as error:
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} cannot be used: {error}") from error
    return closed(without_odd_patterns(in_todays_words(schema)))


def without_odd_patterns(schema: dict[str, Any]) -> dict[str, Any]:
    """Take the patterns with look-around, boundaries and the like out of a schema, wherever they stand.

    Libraries write them for addresses and decimals. What they cost cannot be judged, so no engine is shown
    any. Patterns that are malformed or cost too much stay, and are refused.
    """
    stack: list[Any] = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if isinstance(pattern := node.get("pattern"), str) and _odd(pattern):
                del node["pattern"]
            stack += node.values()
        elif isinstance(node, list):
            stack += node
    return schema


def _odd(pattern: str) -> bool:
    try:
        regex_cost(pattern, whole=False)
    except UnsupportedRegex:
        return True
    except BadRegex:
        return False
    return False


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows nothing but `{}` for one that names no parameter, any other as it is."""
    silent = schema.keys() <= _SAYS_NOTHING and schema.get("type", "object") == "object"
    if silent and not schema.get("properties") and not schema.get("required"):
        return schema | _CLOSED
    return schema


def forced_call_constraint(
    tools: Sequence[ToolDefinition],
    most: int = MAX_FORCED_CALLS,
    *,
    key: str = CALLS_KEY,
    affordable: Callable[[dict[str, Any]], bool] | None = None,
) -> Constraint:
    """Build the schema that forces at least one call of one of `tools`, and at most `most`.

    Where so many calls of all of them would unroll to too much, fewer are allowed. `affordable` judges the
    schema as a part of a larger one, in which it lies some levels further down: then the tools' own schemas
    are kept apart from where they are used, so that none of them is too deep. Raises ConstraintInvalid.
    """
    calls, defined = [], {}
    for tool in tools:
        place = f"#/$defs/{tool.name}"
        schema = _bare(tool)
        if affordable is not None or refers(schema):
            defined[tool.name] = relocated(schema, place)
            schema = {"$ref": place}
        else:
            schema = relocated(schema, "")
        calls.append(_call(tool.name, schema))
    most = min(most, MAX_FORCED_CALLS)
    items = calls[0] if len(calls) == 1 else {"anyOf": calls}
    schema = _calls(key, items, most) | ({"$defs": defined} if defined else {})
    while most > 1 and not (affordable or is_affordable)(schema):
        most //= 2
        schema |= _calls(key, items, most)
    return Constraint(ConstraintKind.JSON, json.dumps(schema))


def within_engines(constraint: Constraint) -> Constraint:
    """Return what an engine can keep of a forced call's constraint; whatever keeps the whole keeps this."""
    schema = json.loads(constraint.text)
    for node in list(nodes(schema)):
        for keyword in _BEYOND_ENGINES & node.keys():
            del node[keyword]
        if node.get("format", "date") not in _FORMATS:
            del node["format"]
        if "oneOf" in node:  # engines want to see for themselves that no value fits two of them
            any_of = {"anyOf": node.pop("oneOf")}
            node.update({"allOf": [*node.get("allOf", ()), any_of]} if "anyOf" in node else any_of)
    try:
        list(nodes(schema))
    except BadSchema:  # something referred to what was left out
        return constraint
    return replace(constraint, text=json.dumps(schema))


def _call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _calls(key: str, items: Mapping[str, Any], most: int) -> dict[str, Any]:
    calls = {"type": "array", "minItems": 1, "maxItems": most, "items": items}
    return {
        "type": "object",
        "properties": {key: calls},
        "required": [key],
        "additionalProperties": False,
    }


def _bare(tool: ToolDefinition) -> dict[str, Any]:
    """Read a tool's schema without its notes: they are for the model, which has them in its prompt.

    A call's arguments are an object, whether the schema says so or not. Raises ConstraintInvalid.
    """
    schema = arguments_schema(tool)
    for node in list(nodes(schema)):
        for note in _NOTES & node.keys():
            del node[note]
    kind = schema.get("type", ["object"])
    try:
        list(nodes(schema))
    except BadSchema as error:  # a reference led into a note
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} cannot be used: {error}") from error
    return schema | {"type": "object"} if isinstance(kind, list) and "object" in kind else schema


def is_affordable(schema: dict[str, Any]) -> bool:
    """Whether a schema may be compiled."""
    try:
        schema_cost(schema, recursive=True)
    except BadSchema:
        return False
    return True
