"""Snapshots between protobuf and the model.

What the manager does not read is kept as protobuf bytes: `base` holds the fields that never change, `state`
those that every save replaces.
"""

from datetime import datetime
from typing import Final

from aios.api.context.v1 import context_pb2, resources_pb2
from services.chassis.auth.identity import Caller, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidPageToken
from services.chassis.rpc.wire import moment
from services.chassis.times import micros
from services.context.core.snapshots import Saved
from services.context.model import Emitted, Head, Place, Save, Snapshot
from services.context.wire import common

GENERATIONS: Final = "generations"
PAGE: Final = 50
MOST: Final = 500

_BASE: Final = frozenset(
    {"prompt_text", "prompt_token_ids", "sampling", "seed", "constraint", "request_digest"}
)
_SHOWN_STATE: Final = frozenset({"usage", "finish_reason", "error_reason"})
_STATE: Final = _SHOWN_STATE | {"kv", "gateway_state", "tool_calls"}


def save(request: context_pb2.SaveSnapshotRequest, caller: Caller) -> Save:
    """Read a request to save."""
    given = request.snapshot
    whole = request.after_sequence == 0
    return Save(
        generation=common.id_in(given.name, GENERATIONS, caller, "snapshot.name"),
        sequence=given.sequence,
        after=request.after_sequence,
        epoch=given.epoch,
        owner=given.owner,
        model=given.model,
        finished=given.finished,
        expires_at=moment(given, "expire_time"),
        base=_only(given, _BASE) if whole else b"",
        state=_only(given, _STATE),
        emitted=Emitted(
            tuple(given.emitted_token_ids),
            given.emitted_text,
            tuple(given.emitted_piece_lengths),
            tuple(Place(place.sequence, place.SerializeToString()) for place in given.top_alternatives),
        ),
    )


def saved(answer: Saved) -> context_pb2.SaveSnapshotResponse:
    """Tell where the snapshot stands."""
    return context_pb2.SaveSnapshotResponse(sequence=answer.sequence, epoch=answer.epoch)


def snapshot(scope: Scope, found: Snapshot) -> resources_pb2.Snapshot:
    """Write a whole snapshot."""
    message = resources_pb2.Snapshot.FromString(found.base)
    message.MergeFromString(found.state)
    message.emitted_token_ids.extend(found.emitted.token_ids)
    message.emitted_piece_lengths.extend(found.emitted.piece_lengths)
    message.emitted_text = found.emitted.text
    for place in found.emitted.places:
        message.top_alternatives.add().ParseFromString(place.data)
    return _with_head(message, scope, found.head)


def position(request: context_pb2.ListSnapshotsRequest, scope: Scope) -> tuple[datetime, str] | None:
    """Read where the page begins. Raises InvalidPageToken."""
    parts = paging.decode(request.page_token, *_query(request, scope), shape=(str, str))
    if not parts:
        return None
    written, generation = map(str, parts)
    try:
        at = datetime.fromisoformat(written)
        micros(at)  # a time without a zone, or one whose zone puts it outside the calendar, orders nothing
    except (ValueError, TypeError, OverflowError):
        raise InvalidPageToken("the page token is not one this list returned") from None
    return at, generation


def page(
    request: context_pb2.ListSnapshotsRequest, scope: Scope, found: list[tuple[Head, bytes]], size: int
) -> context_pb2.ListSnapshotsResponse:
    """Write a page of at most `size` out of `found`, which holds one more when there is a next page."""
    response = context_pb2.ListSnapshotsResponse()
    for head, state in found[:size]:
        response.snapshots.append(_with_head(_listed(state), scope, head))
    if len(found) > size:
        last = found[size - 1][0]
        at = last.updated_at.isoformat()
        response.next_page_token = paging.encode([at, last.generation], *_query(request, scope))
    return response


def _query(request: context_pb2.ListSnapshotsRequest, scope: Scope) -> tuple[str, ...]:
    return "snapshots", scope.tenant, scope.agent, str(request.unfinished_only)


def _listed(state: bytes) -> resources_pb2.Snapshot:
    message = resources_pb2.Snapshot.FromString(state)
    _clear(message, _SHOWN_STATE)
    return message


def _with_head(message: resources_pb2.Snapshot, scope: Scope, head: Head) -> resources_pb2.Snapshot:
    message.name = names.in_agent(scope.agent, GENERATIONS, head.generation)
    message.model = head.model
    message.sequence = head.sequence
    message.epoch = head.epoch
    message.owner = head.owner
    message.finished = head.finished
    message.create_time.FromDatetime(head.created_at)
    message.update_time.FromDatetime(head.updated_at)
    message.expire_time.FromDatetime(head.expires_at)
    return message


def _only(message: resources_pb2.Snapshot, fields: frozenset[str]) -> bytes:
    """Return the bytes of a message with only some of its fields."""
    copy = resources_pb2.Snapshot()
    copy.CopyFrom(message)
    _clear(copy, fields)
    return copy.SerializeToString()


def _clear(message: resources_pb2.Snapshot, keep: frozenset[str]) -> None:
    for field, _ in message.ListFields():
        if field.name not in keep:
            message.ClearField(field.name)
