"""The form that a client wants the answer to have, as a constraint. Pure."""

from typing import Final

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks
from gateway.http.common.words import Words
from services.chassis.rpc.errors import InvalidRequest

ANY_OBJECT: Final = '{"type":"object","properties":{},"additionalProperties":true}'
"""The schema of any JSON object, in the form that the kernel takes."""
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def write(
    request: pb.GenerateRequest, kind: str, schema: msgspec.Raw, *, path: str, schema_path: str, words: Words
) -> None:
    """Constrain the answer to a format: text, json_object or json_schema. Raises InvalidRequest."""
    if kind == "text":
        return
    if kind == "json_object":
        text = ANY_OBJECT
    elif kind == "json_schema":
        text = _object_schema(checks.json_object(schema, schema_path)) or ANY_OBJECT
    else:
        raise InvalidRequest.field(f"{path}.type", "must be text, json_object or json_schema")
    words.say("constraint", path)
    words.say("constraint.json_schema", schema_path)
    request.constraint.json_schema = text


def _object_schema(text: str) -> str:
    """Return the schema with the `properties` that the kernel wants at the root of an object's schema."""
    schema = _FIELDS.decode(text) if text else {}
    if bytes(schema.get("type", b"")) != b'"object"' or "properties" in schema:
        return text
    return '{"properties":{},' + text.lstrip().removeprefix("{")
