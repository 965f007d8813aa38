"""The collections of a fake kernel: dicts of records."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf import json_format

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.testing.caller import Caller
from aios.testing.files import FakeFiles

_OPERATORS: Final[Mapping[int, Callable[[Any, Any], bool]]] = {
    res.FILTER_OPERATOR_EQUAL: lambda field, value: field == value,
    res.FILTER_OPERATOR_NOT_EQUAL: lambda field, value: field != value,
    res.FILTER_OPERATOR_LESS: lambda field, value: field is not None and field < value,
    res.FILTER_OPERATOR_LESS_OR_EQUAL: lambda field, value: field is not None and field <= value,
    res.FILTER_OPERATOR_GREATER: lambda field, value: field is not None and field > value,
    res.FILTER_OPERATOR_GREATER_OR_EQUAL: lambda field, value: field is not None and field >= value,
    res.FILTER_OPERATOR_IN: lambda field, value: field in value,
    res.FILTER_OPERATOR_CONTAINS: lambda field, value: field is not None and value in field,
    res.FILTER_OPERATOR_EXISTS: lambda field, _: field is not None,
}


class FakeStorage(FakeFiles):
    """Adds collections to the files. A query scores records by the share of its words in their text."""

    def __init__(self) -> None:
        super().__init__()
        self.collections: dict[str, dict[str, res.Record]] = {}

    async def put_records(self, request: pb.PutRecordsRequest, caller: Caller) -> pb.PutRecordsResponse:
        collection = self.collections.setdefault(caller.resolve(request.collection, write=True), {})
        created = sum(record.key not in collection for record in request.records)
        for record in request.records:
            old = collection.get(record.key)
            record.etag = str(int(old.etag) + 1 if old else 1)
            collection[record.key] = record
        return pb.PutRecordsResponse(etags=[record.etag for record in request.records], created_count=created)

    async def query_records(self, request: pb.QueryRecordsRequest, caller: Caller) -> pb.QueryRecordsResponse:
        """QueryRecords, in one page."""
        collection = self.collections.get(caller.resolve(request.collection), {})
        words = request.query.lower().split()
        hits: list[pb.RecordHit] = []
        for key, record in sorted(collection.items()):
            score = sum(word in record.text.lower() for word in words) / max(len(words), 1)
            wanted = (not request.keys or key in request.keys) and (not words or score > 0)
            if wanted and all(_passes(record, one) for one in request.filters):
                hits.append(pb.RecordHit(record=record, score=score))
        hits.sort(key=lambda hit: -hit.score)
        return pb.QueryRecordsResponse(hits=hits)

    async def delete_records(
        self, request: pb.DeleteRecordsRequest, caller: Caller
    ) -> pb.DeleteRecordsResponse:
        collection = self.collections.get(caller.resolve(request.collection, write=True), {})
        going = [
            key
            for key, record in collection.items()
            if request.all
            or key in request.keys
            or (request.filters and all(_passes(record, one) for one in request.filters))
        ]
        for key in going:
            del collection[key]
        return pb.DeleteRecordsResponse(deleted_count=len(going))

    async def list_collections(
        self, request: pb.ListCollectionsRequest, caller: Caller
    ) -> pb.ListCollectionsResponse:
        """ListCollections, in one page."""
        parent = caller.resolve(request.parent)
        found = [
            pb.Collection(name=name, record_count=len(records))
            for name, records in sorted(self.collections.items())
            if name.startswith(f"{parent}/")
        ]
        return pb.ListCollectionsResponse(collections=found)


def _passes(record: res.Record, wanted: res.FieldFilter) -> bool:
    field: Any = json_format.MessageToDict(record.fields)
    for part in wanted.field.split("."):
        field = field.get(part) if isinstance(field, dict) else None
    return _OPERATORS[wanted.operator](field, json_format.MessageToDict(wanted.value))
