"""Contexts, messages and windows between protobuf and the model."""

from collections.abc import Sequence
from typing import Any, Final

from aios.api.context.v1 import context_pb2, resources_pb2
from services.chassis.auth.identity import Scope
from services.chassis.rpc import chat_wire, names, paging
from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest
from services.chassis.rpc.wire import stamp
from services.context.core.window import MOST_RUNS
from services.context.model import Added, Context, Draft, DropReason, Message, Settings, Strategy, Window
from services.context.service.conversations import PAGE_BYTES, Listed
from services.context.service.windows import WindowRequest

CONTEXTS: Final = "contexts"
PAGE: Final = 50
MOST: Final = 500
MESSAGES_PAGE: Final = 100
MESSAGES_MOST: Final = 1_000

_STRATEGIES: Final = {
    resources_pb2.WINDOW_STRATEGY_DROP_OLDEST: Strategy.DROP_OLDEST,
    resources_pb2.WINDOW_STRATEGY_KEEP_HEAD_AND_TAIL: Strategy.HEAD_AND_TAIL,
    resources_pb2.WINDOW_STRATEGY_SUMMARIZE: Strategy.SUMMARIZE,
    resources_pb2.WINDOW_STRATEGY_RECALL: Strategy.RECALL,
}
_STRATEGIES_BACK: Final = {strategy: number for number, strategy in _STRATEGIES.items()}
_REASONS: Final = {
    DropReason.NO_ROOM: context_pb2.DROP_REASON_NO_ROOM,
    DropReason.SUMMARIZED: context_pb2.DROP_REASON_SUMMARIZED,
    DropReason.TOOL_GROUP: context_pb2.DROP_REASON_TOOL_GROUP,
}
_CHANGEABLE: Final = frozenset(Settings.__dataclass_fields__)


def settings(given: resources_pb2.Context) -> Settings:
    """Read what the caller chose."""
    return Settings(
        model=given.model,
        strategy=_STRATEGIES.get(given.strategy, Strategy.DROP_OLDEST),
        token_budget=given.token_budget,
        reserve_tokens=given.reserve_tokens,
        title=given.title,
        labels=dict(given.labels),
        head_messages=given.head_messages,
        recall_tokens=given.recall_tokens,
    )


def changes(request: context_pb2.UpdateContextRequest) -> dict[str, Any]:
    """Read the fields that the mask names. Raises InvalidRequest."""
    chosen = settings(request.context)
    unknown = sorted(set(request.update_mask.paths) - _CHANGEABLE)
    if unknown or not request.update_mask.paths:
        raise InvalidRequest.field("update_mask", f"name fields out of: {', '.join(sorted(_CHANGEABLE))}")
    return {path: getattr(chosen, path) for path in request.update_mask.paths}


def drafts(given: Sequence[resources_pb2.Message]) -> list[Draft]:
    """Read messages that are to be appended."""
    return [
        Draft(chat_wire.message(message.message), message.pinned, message.token_count) for message in given
    ]


def context(scope: Scope, found: Context) -> resources_pb2.Context:
    """Write a context."""
    chosen = found.settings
    return resources_pb2.Context(
        name=names.in_agent(scope.agent, CONTEXTS, found.id),
        model=chosen.model,
        strategy=_STRATEGIES_BACK[chosen.strategy],
        token_budget=chosen.token_budget,
        reserve_tokens=chosen.reserve_tokens,
        title=chosen.title,
        message_count=found.message_count,
        token_count=found.token_count,
        parent=found.parent,
        forked_at=found.forked_at,
        labels=chosen.labels,
        create_time=stamp(found.created_at),
        update_time=stamp(found.updated_at),
        etag=found.etag,
        head_messages=chosen.head_messages,
        recall_tokens=chosen.recall_tokens,
        untrusted=found.untrusted,
    )


def message(found: Message, *, pinned: bool) -> resources_pb2.Message:
    """Write a message."""
    return resources_pb2.Message(
        position=found.position,
        message=chat_wire.message_proto(found.chat),
        pinned=pinned,
        token_count=found.token_count,
        create_time=stamp(found.created_at),
    )


def window_request(request: context_pb2.AssembleWindowRequest) -> WindowRequest:
    """Read what the window is to be like."""
    strategy = _STRATEGIES.get(request.strategy)
    reserve = request.reserve_tokens if request.HasField("reserve_tokens") else None
    return WindowRequest(
        model=request.model,
        token_budget=request.token_budget,
        reserve_tokens=reserve,
        strategy=strategy,
        tools=chat_wire.tools(request.tools),
        dry=request.dry,
    )


def window(made: Window) -> context_pb2.AssembleWindowResponse:
    """Write a window."""
    return context_pb2.AssembleWindowResponse(
        messages=[message(item, pinned=item.position in made.pinned) for item in made.messages],
        token_count=made.token_count,
        token_budget=made.token_budget,
        available_tokens=made.available_tokens,
        dropped=[
            context_pb2.DroppedMessages(
                first_position=run.first,
                last_position=run.last,
                reason=_REASONS[run.reason],
                token_count=run.token_count,
            )
            for run in made.dropped
        ],
        exact_count=made.exact,
        strategy=_STRATEGIES_BACK[made.strategy],
        fallback=bool(made.fallback_reason),
        fallback_reason=made.fallback_reason,
        recalled_notes=[note.name for each in made.added for note in each.notes],
        added=[_added(each, made.messages.index(each.message)) for each in made.added],
        etag=made.etag,
        untrusted=made.untrusted,
    )


def _added(each: Added, index: int) -> context_pb2.AddedMessage:
    written = context_pb2.AddedMessage(
        index=index,
        notes=[context_pb2.RecalledNote(name=note.name, score=note.score) for note in each.notes],
    )
    if each.summary is not None:
        written.summary.model = each.summary.model
        written.summary.create_time.FromDatetime(each.summary.created_at)
        for run in each.summary.covers[-MOST_RUNS:]:
            written.summary.covers.add(first_position=run.first, last_position=run.last)
    return written


def message_position(request: context_pb2.ListMessagesRequest, scope: Scope) -> int:
    """Return the last position of the page before; 0 for the first page. Raises InvalidPageToken."""
    position = paging.decode(request.page_token, *_messages_query(request, scope), shape=(int,))
    if not position:
        return 0
    if len(position) != 1 or not isinstance(position[0], int) or position[0] < 1:
        raise InvalidPageToken("the page token is not one this list returned")
    return position[0]


def message_page(
    request: context_pb2.ListMessagesRequest, scope: Scope, listed: Listed, size: int
) -> context_pb2.ListMessagesResponse:
    """Write a page of at most `size` messages and 3 MiB; `listed` holds one more if there is one."""
    found, response = listed.messages, context_pb2.ListMessagesResponse(untrusted=listed.untrusted)
    room = PAGE_BYTES
    for item, pinned in found[:size]:
        room -= item.chat.size
        if room < 0 and response.messages:
            break
        response.messages.append(message(item, pinned=pinned))
    if len(found) > len(response.messages):
        last = response.messages[-1].position
        response.next_page_token = paging.encode([last], *_messages_query(request, scope))
    return response


def context_position(request: context_pb2.ListContextsRequest, scope: Scope) -> str:
    """Return the last id of the page before; empty for the first page. Raises InvalidPageToken."""
    position = paging.decode(request.page_token, *_contexts_query(request, scope), shape=(str,))
    return str(position[0]) if position else ""


def context_page(
    request: context_pb2.ListContextsRequest, scope: Scope, found: list[Context], size: int
) -> context_pb2.ListContextsResponse:
    """Write a page of at most `size` contexts out of `found`, which holds one more if there is one."""
    response = context_pb2.ListContextsResponse(contexts=[context(scope, item) for item in found[:size]])
    if len(found) > size:
        response.next_page_token = paging.encode([found[size - 1].id], *_contexts_query(request, scope))
    return response


def _messages_query(request: context_pb2.ListMessagesRequest, scope: Scope) -> tuple[str, ...]:
    order = str(request.newest_first)
    return "messages", scope.tenant, scope.agent, request.name, str(request.after_position), order


def _contexts_query(request: context_pb2.ListContextsRequest, scope: Scope) -> tuple[str, ...]:
    labels = [f"{key}\0{value}" for key, value in sorted(request.labels.items())]
    return "contexts", scope.tenant, scope.agent, *labels
