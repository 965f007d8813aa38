"""Files between protobuf and the model. The only converter, with wire.records."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from aios.api.common.v1 import quotas_pb2
from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from services.chassis.auth.identity import Caller, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest
from services.chassis.rpc.names import agent_name, in_agent
from services.chassis.rpc.wire import moment
from services.chassis.times import EPOCH
from services.storage.core import paths
from services.storage.core.appending import is_sha256
from services.storage.core.change_sets import Outcome
from services.storage.core.file_tree import Deleted, Written
from services.storage.core.history import Opened, Target
from services.storage.core.search import Search
from services.storage.core.uploading import Begin
from services.storage.model import (
    Attributes,
    Change,
    ChangeKind,
    Hit,
    Kind,
    Mode,
    Node,
    RequestContext,
    Role,
    SearchMode,
    Share,
    StorageLimits,
    Totals,
    Upload,
    Version,
)
from services.storage.service.change_sets import Edit
from services.storage.service.files import NewFile
from services.storage.service.reading import Comparison, as_read
from services.storage.service.uploads import CHUNK_BYTES

MODES: Final = {
    pb.WRITE_MODE_UNSPECIFIED: Mode.ANY,
    pb.WRITE_MODE_CREATE: Mode.CREATE,
    pb.WRITE_MODE_REPLACE: Mode.REPLACE,
}
SEARCH_MODES: Final = {
    pb.SEARCH_MODE_UNSPECIFIED: SearchMode.HYBRID,
    pb.SEARCH_MODE_LEXICAL: SearchMode.LEXICAL,
    pb.SEARCH_MODE_SEMANTIC: SearchMode.SEMANTIC,
    pb.SEARCH_MODE_HYBRID: SearchMode.HYBRID,
}
_ROLES: Final = {res.SHARE_ROLE_READER: Role.READER, res.SHARE_ROLE_WRITER: Role.WRITER}
_ROLES_OUT: Final = {role: number for number, role in _ROLES.items()}
_KINDS: Final = {Kind.FILE: res.FILE_KIND_FILE, Kind.DIRECTORY: res.FILE_KIND_DIRECTORY}
_CHANGES: Final = {
    ChangeKind.CREATED: pb.FILE_CHANGE_CREATED,
    ChangeKind.UPDATED: pb.FILE_CHANGE_UPDATED,
    ChangeKind.MOVED: pb.FILE_CHANGE_MOVED,
    ChangeKind.DELETED: pb.FILE_CHANGE_DELETED,
}
_DEFAULT_CONTEXT: Final = 3


def call(caller: Caller, request_id: str = "") -> RequestContext:
    """Return who calls."""
    return RequestContext(
        caller.scope, caller.agent, request_id, caller.tree, untrusted=caller.leaves_untrusted
    )


def path(name: str, caller: Caller, field: str = "name") -> str:
    """Return the path in the name of a file or directory of the scope; the root is "".

    Raises InvalidRequest when the name is not in the scope.
    """
    where, found = place(name, caller, field)
    if where != caller.scope:
        raise InvalidRequest.field(field, f"must be a file of {agent_name(caller.owner)}")
    return found


def place(name: str, caller: Caller, field: str = "name") -> tuple[Scope, str]:
    """Return scope and path in the name of a file, possibly of another agent of the tenant.

    Raises InvalidRequest.
    """
    parsed = names.parse(name, me=caller.agent, field=field)
    if parsed.collection != "files":
        raise InvalidRequest.field(field, "expected a name in files/")
    return Scope(caller.tenant, parsed.owner), parsed.id


def share_position(position: Sequence[paging.Key]) -> tuple[int, str] | None:
    """Return the place after which a page of shares begins; None at the beginning.

    Raises InvalidPageToken.
    """
    match position:
        case []:
            return None
        case [int(created), str(grant)]:
            return created, grant
        case _:
            raise InvalidPageToken("the page token belongs to another list")


def upload_id(name: str, caller: Caller) -> str:
    """Return the id in the name of an upload."""
    return names.parse_in(name, "uploads", me=caller.agent, field="upload").id


def new_file(request: pb.WriteFileRequest, caller: Caller) -> NewFile:
    """Convert a small write."""
    return NewFile(
        path=path(request.name, caller),
        data=request.content,
        mode=MODES[request.mode],
        etag=request.etag,
        sha256=request.sha256,
        label=Attributes(request.media_type, dict(request.metadata)),
        comment=request.comment,
        append=request.append,
    )


def edits(request: pb.WriteFilesRequest, caller: Caller) -> list[Edit]:
    """Convert the files of a change set."""
    directory = path(request.parent, caller, "parent")
    return [
        Edit(
            paths.join(directory, edit.path),
            edit.etag,
            edit.content if edit.WhichOneof("change") == "content" else None,
        )
        for edit in request.edits
    ]


def begin(request: pb.BeginUploadRequest, caller: Caller) -> Begin:
    """Convert the start of a large write."""
    return Begin(
        path=path(request.file, caller, "file"),
        total=request.total_bytes,
        mode=MODES[request.mode],
        etag=request.etag,
        label=Attributes(request.media_type, dict(request.metadata)),
        comment=request.comment,
    )


def target(request: pb.RollbackFileRequest) -> Target:
    """Convert which version to roll back to."""
    before = moment(request, "before_time")
    return Target(request.version, request.steps, before)


def context_lines(request: pb.DiffVersionsRequest) -> int:
    """Return how many unchanged lines a diff shows."""
    return request.context_lines if request.HasField("context_lines") else _DEFAULT_CONTEXT


def search(request: pb.SearchFilesRequest, caller: Caller) -> Search:
    """Convert a search."""
    return Search(
        directory=path(request.parent, caller, "parent"),
        query=request.query,
        mode=SEARCH_MODES[request.mode],
        pattern=request.pattern,
        min_score=request.min_score,
    )


def role(request: pb.ShareFileRequest) -> Role:
    """Convert what a share lets its grantee do."""
    return _ROLES[request.role]


class Wire:
    """Converts answers; knows how long the trash keeps things."""

    def __init__(self, trash_life: timedelta) -> None:
        self._trash_life = trash_life

    def file(self, owner: str, node: Node) -> res.File:
        """Convert a file or directory."""
        message = res.File(
            name=file_name(owner, node.path),
            kind=_KINDS[node.kind],
            size_bytes=node.size,
            version=node.version,
            etag=node.etag,
            sha256=node.digest if is_sha256(node.digest) else "",
            media_type=node.label.media_type,
            metadata=node.label.metadata,
            writer=agent_name(node.writer) if node.writer else "",
            untrusted=node.untrusted,
        )
        if node.created_at != EPOCH:
            message.create_time.FromDatetime(node.created_at)
            message.update_time.FromDatetime(node.updated_at)
        if node.trashed_at is not None:
            message.delete_time.FromDatetime(node.trashed_at)
            message.purge_time.FromDatetime(node.trashed_at + self._trash_life)
        return message

    def files(self, owner: str, nodes: Sequence[Node]) -> list[res.File]:
        """Convert files and directories."""
        return [self.file(owner, node) for node in nodes]

    def written(self, caller: Caller, written: Written) -> res.File:
        """Convert a file for who wrote it: it tells what its writer said, and maybe a label that it kept."""
        message = self.file(caller.owner, written.node)
        message.untrusted = caller.untrusted or written.exposes
        return message

    def outcome(self, caller: Caller, outcome: Outcome) -> res.File:
        """Convert what became of one file of a change set."""
        if outcome.written is not None:
            return self.written(caller, outcome.written)
        return self.file(caller.owner, outcome.removed) if outcome.removed else res.File()

    def made(self, caller: Caller, node: Node) -> res.File:
        """Convert a directory for who made it, or found it there."""
        message = self.file(caller.owner, node)
        message.untrusted = caller.untrusted or (node.untrusted and node.writer != caller.agent)
        return message

    def opened(self, owner: str, opened: Opened) -> pb.ReadFileResponse:
        """Convert what is about to be read."""
        return pb.ReadFileResponse(file=self.file(owner, as_read(opened)))

    def deleted(self, owner: str, deleted: Deleted) -> pb.DeleteFileResponse:
        """Convert the outcome of a deletion."""
        file = self.file(owner, deleted.node) if deleted.node else None
        return pb.DeleteFileResponse(file=file, deleted_count=deleted.count)

    def change(self, owner: str, item: Change | int) -> pb.WatchFilesResponse:
        """Convert an event, or a sign of life."""
        if isinstance(item, int):
            return pb.WatchFilesResponse(sequence=item)
        message = pb.WatchFilesResponse(
            sequence=item.sequence,
            change=_CHANGES[item.kind],
            file=self.file(owner, item.node),
            previous_name=file_name(owner, item.old_path) if item.old_path else "",
        )
        message.event_time.FromDatetime(item.at)
        return message

    def hit(self, hit: Hit, caller: Caller) -> pb.FileHit:
        """Convert a file that was found, maybe another agent's."""
        file = self.file(hit.scope.agent, hit.node)
        file.untrusted = file.untrusted or hit.scope.agent != caller.agent
        return pb.FileHit(
            file=file,
            score=hit.score,
            snippet=hit.excerpt,
            snippet_offset=hit.excerpt_offset,
            lexical_score=hit.lexical,
            semantic_score=hit.semantic,
        )


def upload(owner: str, upload: Upload) -> res.Upload:
    """Convert an upload."""
    message = res.Upload(
        name=in_agent(owner, "uploads", upload.id),
        file=file_name(owner, upload.path),
        offset=upload.received,
        total_bytes=upload.total,
    )
    message.expire_time.FromDatetime(upload.expires_at)
    return message


def begun(owner: str, begun: Upload) -> pb.BeginUploadResponse:
    """Convert a new upload."""
    return pb.BeginUploadResponse(upload=upload(owner, begun), chunk_bytes=CHUNK_BYTES)


def version(version: Version) -> res.FileVersion:
    """Convert a version."""
    message = res.FileVersion(
        version=version.number,
        size_bytes=version.size,
        sha256=version.digest if is_sha256(version.digest) else "",
        writer=agent_name(version.writer),
        comment=version.comment,
        restored_version=version.restored,
        etag=version.etag,
        untrusted=version.untrusted,
    )
    message.create_time.FromDatetime(version.created_at)
    return message


def comparison(found: Comparison) -> pb.DiffVersionsResponse:
    """Convert a diff."""
    return pb.DiffVersionsResponse(
        from_version=found.old,
        to_version=found.new,
        unified_diff=found.text,
        added_lines=found.added,
        removed_lines=found.removed,
        truncated=found.truncated,
        untrusted=found.untrusted,
    )


def share(owner: str, share: Share) -> res.Share:
    """Convert a share."""
    message = res.Share(
        grant=share.grant,
        file=file_name(owner, share.path),
        grantee=share.grantee,
        role=_ROLES_OUT[share.role],
    )
    if share.expires_at is not None:
        message.expire_time.FromDatetime(share.expires_at)
    if share.created_at is not None:
        message.create_time.FromDatetime(share.created_at)
    return message


def usage(
    totals: Totals, limits: StorageLimits, quotas: Sequence[quotas_pb2.QuotaUsage]
) -> pb.GetUsageResponse:
    """Convert how much a scope uses and may use."""
    return pb.GetUsageResponse(
        file_bytes=totals.live,
        version_bytes=totals.history,
        trash_bytes=totals.trash,
        record_bytes=totals.records,
        upload_bytes=totals.uploads,
        file_count=totals.nodes,
        quota_bytes=limits.caps["bytes"].agent,
        max_versions=limits.versions,
        quotas=quotas,
    )


def file_name(owner: str, path: str) -> str:
    """Return the resource name of a path."""
    return in_agent(owner, "files", path).rstrip("/")
