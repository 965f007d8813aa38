"""Slips in the schemas that tools really come with, put into the words of today. Pure.

Writers of tools send what their languages and older drafts make of a schema: `null` where nothing is set
(Go), `required` and exclusive bounds as booleans (drafts 3 and 4, OpenAPI), types in capitals or by the names
of their language. Validators refuse such a schema as a whole, and with it the tool and the agent that brings
it. What it means is clear, so it is read as that; what is not clear stays as it is, and is refused.
"""

from collections.abc import Mapping
from typing import Any, Final

from services.chassis.constraints.references import parts

_TYPES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
} | {each: each for each in ("string", "integer", "number", "boolean", "object", "array", "null")}
_ANY: Final = "any"
_VALUES: Final = frozenset({"const", "default", "example", "examples"})
"""What holds a value, which may well be null."""
_NOTES: Final = ("title", "description", "$comment")
_BOUNDS: Final = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def in_todays_words(schema: dict[str, Any]) -> dict[str, Any]:
    """Mend the slips of a schema, wherever schemas stand in it, and return it."""
    for node in parts(schema):
        for name in [each for each, value in node.items() if value is None and each not in _VALUES]:
            del node[name]
        for name in _NOTES:
            if not isinstance(node.get(name, ""), str):
                del node[name]
        if str(node.get("$id", "")).startswith("#"):
            del node["$id"]  # names no document: schema generators mark places so
        _mend_required(node)
        _mend_bounds(node)
        _mend_type(node)
    return schema


def _mend_required(node: dict[str, Any]) -> None:
    """Gather what is required: draft 3 says so at each property instead of at the object."""
    required = node.get("required")
    if isinstance(required, bool):
        del node["required"]
        required = None
    found = list(required) if isinstance(required, list) else []
    properties = node.get("properties")
    for name, each in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(each, dict) and each.get("required") is True:
            found.append(name)
    if found and all(isinstance(each, str) for each in found):
        node["required"] = list(dict.fromkeys(found))


def _mend_bounds(node: dict[str, Any]) -> None:
    for exclusive, bound in _BOUNDS:
        if isinstance(told := node.get(exclusive), bool):
            del node[exclusive]
            if told and bound in node and not isinstance(node[bound], bool):
                node[exclusive] = node.pop(bound)


def _mend_type(node: dict[str, Any]) -> None:
    told = node.get("type")
    if isinstance(told, str):
        if told.lower() == _ANY:
            del node["type"]
        else:
            node["type"] = _TYPES.get(told.lower(), told)
    elif isinstance(told, list):
        node["type"] = [_TYPES.get(each.lower(), each) if isinstance(each, str) else each for each in told]
