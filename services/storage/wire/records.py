"""Collections and records between protobuf and the model."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from services.chassis.auth.identity import Caller
from services.chassis.rpc import names
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.names import in_agent
from services.storage.core.filters import Filter, Json, Operator
from services.storage.core.rows import Found, Question, Row
from services.storage.model import Collection, Record
from services.storage.wire.files import SEARCH_MODES

_OPERATORS: Final = {
    res.FILTER_OPERATOR_EQUAL: Operator.EQUAL,
    res.FILTER_OPERATOR_NOT_EQUAL: Operator.NOT_EQUAL,
    res.FILTER_OPERATOR_LESS: Operator.LESS,
    res.FILTER_OPERATOR_LESS_OR_EQUAL: Operator.LESS_OR_EQUAL,
    res.FILTER_OPERATOR_GREATER: Operator.GREATER,
    res.FILTER_OPERATOR_GREATER_OR_EQUAL: Operator.GREATER_OR_EQUAL,
    res.FILTER_OPERATOR_IN: Operator.IN,
    res.FILTER_OPERATOR_CONTAINS: Operator.CONTAINS,
    res.FILTER_OPERATOR_EXISTS: Operator.EXISTS,
}


def collection(name: str, caller: Caller) -> str:
    """Return the id in the name of a collection."""
    return names.parse_in(name, "collections", me=caller.agent, field="collection").id


def rows(records: Sequence[res.Record]) -> list[Row]:
    """Convert records to write."""
    return [
        Row(
            key=record.key,
            fields=orjson.dumps(_json(record.fields, "records")).decode(),
            text=record.text,
            vector=_pack(record.vector),
            etag=record.etag,
        )
        for record in records
    ]


def question(request: pb.QueryRecordsRequest) -> Question:
    """Convert a query."""
    return Question(
        keys=tuple(request.keys),
        filters=_filters(request.filters),
        text=request.query,
        vector=_pack(request.vector),
        mode=SEARCH_MODES[request.mode],
        min_score=request.min_score,
    )


def doomed(request: pb.DeleteRecordsRequest) -> Question:
    """Convert which records to delete."""
    return Question(keys=tuple(request.keys), filters=_filters(request.filters))


def hit(found: Found, *, vector: bool) -> pb.RecordHit:
    """Convert a record that was found, with its vector if asked for."""
    return pb.RecordHit(record=_record(found.record, vector=vector), score=min(1.0, max(0.0, found.score)))


def collection_message(owner: str, collection: Collection) -> pb.Collection:
    """Convert a collection."""
    message = pb.Collection(
        name=in_agent(owner, "collections", collection.name),
        record_count=collection.count,
        size_bytes=collection.size,
        vector_length=collection.vector_length,
    )
    message.create_time.FromDatetime(collection.created_at)
    message.update_time.FromDatetime(collection.updated_at)
    return message


def _record(record: Record, *, vector: bool) -> res.Record:
    fields = Struct()
    fields.update(orjson.loads(record.fields))
    message = res.Record(
        key=record.key,
        fields=fields,
        text=record.text,
        vector=np.frombuffer(record.vector, dtype="<f4").tolist() if vector else (),
        etag=record.etag,
        untrusted=record.untrusted,
    )
    message.create_time.FromDatetime(record.created_at)
    message.update_time.FromDatetime(record.updated_at)
    return message


def _filters(filters: Sequence[res.FieldFilter]) -> tuple[Filter, ...]:
    return tuple(
        Filter(each.field, _OPERATORS[each.operator], _value(each) if each.HasField("value") else None)
        for each in filters
    )


def _value(condition: res.FieldFilter) -> Json:
    found: Json = _json(condition.value, "filters")
    return found


def _json(message: Message, field: str) -> Any:
    try:
        return json_format.MessageToDict(message)
    except (json_format.Error, ValueError, RecursionError) as error:
        raise InvalidRequest.field(field, f"is no JSON value: {error}") from error


def _pack(numbers: Sequence[float]) -> bytes:
    return np.asarray(numbers, dtype="<f4").tobytes() if numbers else b""
