"""Schemas of tools as pydantic, zod and the writers of MCP servers make them, with arguments for each."""

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """One tool's schema, arguments that keep it and arguments that do not."""

    name: str
    schema: Json
    good: Json
    bad: Json


PLACE: Final = {
    "properties": {
        "city": {"description": "Its name.", "title": "City", "type": "string"},
        "country": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Country"},
    },
    "required": ["city"],
    "title": "Place",
    "type": "object",
}

WRITTEN: Final = (
    Written(
        "nested_models",
        {
            "$defs": {"Place": PLACE},
            "properties": {
                "origin": {"$ref": "#/$defs/Place"},
                "stops": {"default": [], "items": {"$ref": "#/$defs/Place"}, "type": "array"},
            },
            "required": ["origin"],
            "title": "bookArguments",
            "type": "object",
        },
        {"origin": {"city": "Rome", "country": None}, "stops": [{"city": "Bari"}]},
        {"origin": {"country": "IT"}},
    ),
    Written(
        "enum_by_reference",
        {
            "$defs": {"Mode": {"enum": ["fast", "slow"], "title": "Mode", "type": "string"}},
            "properties": {"mode": {"allOf": [{"$ref": "#/$defs/Mode"}], "default": "fast"}},
            "type": "object",
        },
        {"mode": "slow"},
        {"mode": "other"},
    ),
    Written(
        "union_told_apart",
        {
            "$defs": {
                "Cat": {
                    "properties": {"kind": {"const": "cat", "type": "string"}, "lives": {"type": "integer"}},
                    "required": ["kind", "lives"],
                    "type": "object",
                },
                "Dog": {
                    "properties": {"kind": {"const": "dog", "type": "string"}, "name": {"type": "string"}},
                    "required": ["kind", "name"],
                    "type": "object",
                },
            },
            "properties": {
                "pet": {
                    "discriminator": {
                        "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"},
                        "propertyName": "kind",
                    },
                    "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
                }
            },
            "required": ["pet"],
            "type": "object",
        },
        {"pet": {"kind": "dog", "name": "Rex"}},
        {"pet": {"kind": "dog", "lives": 9}},
    ),
    Written(
        "formats_and_bounds",
        {
            "properties": {
                "when": {"format": "date-time", "type": "string"},
                "url": {"format": "uri", "minLength": 1, "type": "string"},
                "path": {"format": "file-path", "type": "string"},
                "count": {"default": 3, "exclusiveMaximum": 10, "minimum": 0, "type": "integer"},
            },
            "required": ["when", "url"],
            "type": "object",
        },
        {"when": "2031-01-02T03:04:05Z", "url": "https://example.org", "path": "a.txt", "count": 9},
        {"when": "2031-01-02T03:04:05Z", "url": "x", "count": 10},
    ),
    Written(
        "patterns_of_libraries",
        {
            "properties": {
                "amount": {
                    "anyOf": [
                        {"type": "number"},
                        {"pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "type": "string"},
                    ]
                },
                "email": {
                    "format": "email",
                    "pattern": "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@[A-Za-z]{2,}$",
                    "type": "string",
                },
                "code": {"pattern": "^[A-Z]{3}$", "type": "string"},
                "pattern": {"type": "string"},
            },
            "required": ["amount", "code"],
            "type": "object",
        },
        {"amount": "12.50", "email": "a@example", "code": "ABC", "pattern": "(?!x)"},
        {"amount": "12.50", "code": "abc"},
    ),
    Written(
        "tuple_and_set",
        {
            "properties": {
                "pair": {
                    "maxItems": 2,
                    "minItems": 2,
                    "prefixItems": [{"type": "string"}, {"type": "integer"}],
                    "type": "array",
                },
                "tags": {"items": {"type": "string"}, "type": "array", "uniqueItems": True},
            },
            "required": ["pair", "tags"],
            "type": "object",
        },
        {"pair": ["a", 1], "tags": ["x", "y"]},
        {"pair": ["a", 1], "tags": ["x", "x"]},
    ),
    Written(
        "free_maps",
        {
            "properties": {
                "scores": {"additionalProperties": {"type": "number"}, "type": "object"},
                "extra": {"additionalProperties": True, "type": "object"},
            },
            "required": ["scores"],
            "type": "object",
        },
        {"scores": {"a": 1.5}, "extra": {"anything": [None]}},
        {"scores": {"a": "b"}},
    ),
    Written(
        "zod_reuses_by_place",
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "additionalProperties": False,
            "properties": {
                "first": {
                    "additionalProperties": False,
                    "properties": {"x": {"type": "number"}},
                    "required": ["x"],
                    "type": "object",
                },
                "second": {"$ref": "#/properties/first"},
            },
            "required": ["first", "second"],
            "type": "object",
        },
        {"first": {"x": 1}, "second": {"x": 2}},
        {"first": {"x": 1}, "second": {"y": 2}},
    ),
    Written(
        "old_tuple",
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {
                "range": {
                    "additionalItems": False,
                    "items": [{"type": "integer"}, {"type": "integer"}],
                    "minItems": 2,
                    "type": "array",
                }
            },
            "required": ["range"],
            "type": "object",
        },
        {"range": [1, 2]},
        {"range": [1, "2"]},
    ),
    Written(
        "old_definitions",
        {
            "definitions": {"Part": {"properties": {"n": {"type": "integer"}}, "type": "object"}},
            "properties": {"parts": {"items": {"$ref": "#/definitions/Part"}, "type": "array"}},
            "required": ["parts"],
            "type": "object",
        },
        {"parts": [{"n": 1}]},
        {"parts": [{"n": "1"}]},
    ),
    Written(
        "escaped_names",
        {
            "$defs": {
                "Box[int]": {"properties": {"v": {"type": "integer"}}, "type": "object"},
                "a/b~c": {"type": "string"},
            },
            "properties": {
                "box": {"$ref": "#/$defs/Box[int]"},
                "same": {"$ref": "#/$defs/Box%5Bint%5D"},
                "text": {"$ref": "#/$defs/a~1b~0c"},
            },
            "required": ["box"],
            "type": "object",
        },
        {"box": {"v": 1}, "same": {"v": 2}, "text": "x"},
        {"box": {"v": 1}, "same": {"v": "2"}},
    ),
    Written(
        "own_name_and_anchor",
        {
            "$id": "https://example.org/tool.json",
            "$defs": {"Name": {"$anchor": "name", "type": "string"}, "Age": {"type": "integer"}},
            "properties": {
                "name": {"$ref": "#name"},
                "age": {"$ref": "https://example.org/tool.json#/$defs/Age"},
            },
            "required": ["name", "age"],
            "type": "object",
        },
        {"name": "x", "age": 1},
        {"name": "x", "age": "1"},
    ),
    Written(
        "whole_by_reference",
        {"$defs": {"Args": PLACE}, "$ref": "#/$defs/Args"},
        {"city": "Rome"},
        {"country": "IT"},
    ),
    Written(
        "one_or_the_other",
        {
            "oneOf": [{"required": ["id"]}, {"required": ["name"]}],
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
            "type": "object",
        },
        {"id": 1},
        {"id": 1, "name": "x"},
    ),
    Written(
        "conditions",
        {
            "if": {"properties": {"kind": {"const": "file"}}},
            "properties": {"kind": {"enum": ["file", "none"]}, "path": {"type": "string"}},
            "required": ["kind"],
            "then": {"required": ["path"]},
            "type": "object",
        },
        {"kind": "file", "path": "a"},
        {"kind": "file"},
    ),
    Written(
        "names_like_keywords",
        {
            "properties": {
                "$ref": {"type": "string"},
                "title": {"type": "string"},
                "default": {"type": "integer"},
                "enum": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["$ref", "title", "default"],
            "type": "object",
        },
        {"$ref": "a", "title": "b", "default": 1, "enum": ["c"]},
        {"$ref": "a", "title": "b"},
    ),
    Written(
        "tree",
        {
            "$defs": {
                "Node": {
                    "properties": {
                        "value": {"type": "integer"},
                        "children": {"default": [], "items": {"$ref": "#/$defs/Node"}, "type": "array"},
                    },
                    "required": ["value"],
                    "title": "Node",
                    "type": "object",
                }
            },
            "properties": {"root": {"$ref": "#/$defs/Node"}},
            "required": ["root"],
            "type": "object",
        },
        {"root": {"value": 1, "children": [{"value": 2, "children": [{"value": 3}]}]}},
        {"root": {"value": 1, "children": [{"value": 2, "children": [{"value": "3"}]}]}},
    ),
    Written(
        "itself",
        {
            "additionalProperties": False,
            "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}},
            "required": ["value"],
            "type": "object",
        },
        {"value": 1, "next": {"value": 2}},
        {"value": 1, "next": {}},
    ),
)
RECURSIVE: Final = frozenset({"tree", "itself"})
