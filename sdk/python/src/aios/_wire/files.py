"""Files on the wire."""

from typing import cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from aios._wire import common
from aios._wire.common import agent_name
from aios._wire.records import record
from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.types import files
from aios.types.memory import SearchMode

_WRITE_MODES = {
    "any": pb.WRITE_MODE_UNSPECIFIED,
    "create": pb.WRITE_MODE_CREATE,
    "replace": pb.WRITE_MODE_REPLACE,
}
_SEARCH_MODES = {
    "hybrid": pb.SEARCH_MODE_HYBRID,
    "lexical": pb.SEARCH_MODE_LEXICAL,
    "semantic": pb.SEARCH_MODE_SEMANTIC,
}
_ROLES = {"reader": res.SHARE_ROLE_READER, "writer": res.SHARE_ROLE_WRITER}


def file_name(path: str, agent: str = "me") -> str:
    """Return the resource name of a path below an agent's root; a leading slash means nothing."""
    inner = path.strip("/")
    return f"{agent_name(agent)}/files/{inner}" if inner else f"{agent_name(agent)}/files"


def edit(path: str, etag: str, content: str | bytes | None) -> pb.FileEdit:
    """Return what becomes of a file below the root; None: it goes to the trash."""
    message = pb.FileEdit(path=path.strip("/"), etag=etag)
    if content is None:
        message.deletion.SetInParent()
    else:
        message.content = content.encode() if isinstance(content, str) else content
    return message


def collection_name(collection: str, agent: str = "me") -> str:
    """Return the resource name of an agent's collection."""
    return f"{agent_name(agent)}/collections/{collection}"


def write_mode(mode: files.WriteMode) -> pb.WriteMode:
    """Return a write mode as protobuf."""
    return _WRITE_MODES[mode]


def search_mode(mode: SearchMode) -> pb.SearchMode:
    """Return a search mode as protobuf."""
    return _SEARCH_MODES[mode]


def role(value: files.ShareRole) -> res.ShareRole:
    """Return a share role as protobuf."""
    return _ROLES[value]


def file(message: res.File) -> files.FileInfo:
    """Return a file from protobuf."""
    return record(files.FileInfo, message)


def version(message: res.FileVersion) -> files.FileVersion:
    """Return a version from protobuf."""
    return record(files.FileVersion, message)


def diff(message: pb.DiffVersionsResponse) -> files.FileDiff:
    """Return a difference from protobuf."""
    return record(files.FileDiff, message)


def hit(message: pb.FileHit) -> files.FileHit:
    """Return a search hit from protobuf."""
    return record(files.FileHit, message)


def share(message: res.Share) -> files.Share:
    """Return a share from protobuf."""
    return record(files.Share, message)


def event(message: pb.WatchFilesResponse) -> files.FileEvent:
    """Return a change from protobuf."""
    return record(files.FileEvent, message)


def usage(message: pb.GetUsageResponse) -> files.StorageUsage:
    """Return an agent's usage from protobuf."""
    return record(files.StorageUsage, message)


def record_message(value: files.Record) -> res.Record:
    """Return a record as protobuf."""
    fields = Struct()
    json_format.ParseDict(dict(value.fields), fields)
    return res.Record(key=value.key, fields=fields, text=value.text, vector=value.vector, etag=value.etag)


def record_hit(message: pb.RecordHit) -> files.RecordHit:
    """Return a found record from protobuf."""
    return record(files.RecordHit, message)


def filter_message(value: files.Filter) -> res.FieldFilter:
    """Return a filter as protobuf."""
    number = common.number(res.FilterOperator, "FILTER_OPERATOR_", value.operator, "operator")
    operator = cast("res.FilterOperator", number)
    wanted = Value()
    json_format.ParseDict(value.value, wanted)
    return res.FieldFilter(field=value.field, operator=operator, value=wanted)
