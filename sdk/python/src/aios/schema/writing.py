"""Python types as JSON Schema. Pure."""

import dataclasses
import datetime as dt
import enum
import inspect
import json
import pathlib
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

from aios.schema import kinds

Schema = dict[str, Any]


def schema_of(annotation: Any, *, defaults: bool = True) -> Schema:
    """Return the JSON Schema of a type, with the defaults of members unless that is not wanted.

    Raises TypeError for a type that JSON cannot hold, or that holds itself.
    """
    return _Writer(defaults=defaults).write(annotation)


class _Writer:
    def __init__(self, *, defaults: bool) -> None:
        self._defaults = defaults
        self._within: list[Any] = []

    def write(self, annotation: Any) -> Schema:  # noqa: PLR0911  # one for each kind of type
        annotation = kinds.plain(annotation)
        origin = get_origin(annotation)
        if origin in kinds.NOTED:  # first: what is noted need not be hashable
            return self._described(annotation)
        if annotation in kinds.ANYTHING:
            return {}
        if annotation in kinds.SIMPLE:
            return {"type": kinds.SIMPLE[annotation]}
        if annotation in kinds.WRITTEN:
            return dict(kinds.WRITTEN[annotation])
        if origin is Literal:
            return {"enum": [_plain_value(value) for value in get_args(annotation)]}
        if origin in kinds.UNIONS:
            return {"anyOf": [self.write(part) for part in get_args(annotation)]}
        return self._container(annotation, origin or annotation)

    def _described(self, annotation: Any) -> Schema:
        inner, *notes = get_args(annotation)
        # `Field(description=...)` and its like carry their text in an attribute.
        texts = [note if isinstance(note, str) else getattr(note, "description", None) for note in notes]
        told = [text for text in texts if isinstance(text, str) and text]
        form = self.write(inner)
        return {**form, "description": told[0]} if told else form

    def _container(self, annotation: Any, kind: Any) -> Schema:  # noqa: PLR0911  # one for each kind of type
        if kinds.is_named_tuple(kind):
            return self._members(annotation, kind)
        places = kinds.fixed_items(annotation, kind)
        if places is not None:
            size = len(places)
            items = [self.write(place) for place in places]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": size, "maxItems": size}
        args = get_args(annotation)
        if kind in kinds.LISTS:
            return {"type": "array", "items": self.write(args[0] if args else Any)}
        if kind in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.write(args[1]) if args else {}}
        if kinds.is_enum(kind):
            return {"enum": [_plain_value(member) for member in kind]}
        if kinds.is_model(kind):
            return _of_model(kind)
        return self._members(annotation, kind)

    def _members(self, annotation: Any, kind: Any) -> Schema:
        if annotation in self._within:
            raise TypeError(f"{kinds.name_of(annotation)} holds itself, which no form of an answer can")
        fields = kinds.fields_of(kind)
        if fields is None:
            raise TypeError(f"{annotation!r} has no JSON form")
        self._within.append(annotation)
        properties = {name: self._member(field) for name, field in fields.items()}
        self._within.pop()
        return object_schema(properties, [name for name, field in fields.items() if field.required])

    def _member(self, field: kinds.Field) -> Schema:
        form = self.write(field.annotation)
        if field.description and "description" not in form:
            form["description"] = field.description
        return with_default(form, field.default) if self._defaults else form


def object_schema(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def with_default(form: Schema, default: Any) -> Schema:
    """Return a schema with its default, if it has one that JSON can hold."""
    if default is inspect.Parameter.empty:
        return form
    try:
        value = to_json(default)
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return form
    return {**form, "default": value}


def to_json(value: Any) -> Any:  # noqa: PLR0911  # one for each kind of type
    """Return a value of one of the covered types as JSON holds it. Raises TypeError for another."""
    if value is None or (isinstance(value, str | int | float | bool) and not isinstance(value, enum.Enum)):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return to_json(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    return _plain_value(value)


def _plain_value(value: Any) -> Any:
    """Return a single value as JSON holds it. Raises TypeError for one that it cannot hold."""
    if isinstance(value, enum.Enum):
        return _plain_value(value.value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | pathlib.PurePath):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{value!r} has no JSON form")


def _of_model(kind: Any) -> Schema:
    """Return a Pydantic model's schema without references, which mean nothing inside another schema."""
    whole: Schema = kind.model_json_schema()
    definitions = whole.pop("$defs", {})

    def resolved(node: Any, within: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [resolved(item, within) for item in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if not name:
            return {key: resolved(item, within) for key, item in node.items()}
        if name in within:
            raise TypeError(f"{name} holds itself, which no form of an answer can")
        rest = {key: item for key, item in node.items() if key != "$ref"}
        return {**resolved(definitions[name], (*within, name)), **resolved(rest, within)}

    form: Schema = resolved(whole, ())
    return form
