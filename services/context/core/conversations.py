"""Changes of conversations inside one transaction: create, append, pin, fork, delete.

Messages are never changed or moved: a context is a path through a tree of branches, and a fork shares the
branches before its cut. What counts against the quota is what each context shows, as if nothing were shared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.chassis.chat import ChatMessage, Role
from services.chassis.rpc import names
from services.chassis.rpc.errors import QuotaExceeded
from services.context.errors import AlreadyExists, ContextNotFound, EtagMismatch, OrphanToolResult
from services.context.model import Context, Draft, Message, Segment, Settings
from services.context.ports import Transaction

MOST_SEGMENTS = 64
"""Forks of forks after which a fork copies the messages, so that reading stays a few range scans."""

MOST_OPEN_CALLS = 256
"""Tool calls that wait for a result; older ones can no longer be answered."""

_BATCH = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextLimits:
    """What one context may hold."""

    messages: int = 10_000
    pinned: int = 500


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """What a change depends on beside its arguments."""

    now: datetime
    limits: ContextLimits
    new_id: Callable[[], str]
    untrusted: bool = False
    """Whether nobody vouches for what the change leaves."""


@dataclass(frozen=True, slots=True)
class Appended:
    """A context after messages were appended."""

    context: Context
    first_position: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """A message and whether it is pinned."""

    message: Message
    pinned: bool
    untrusted: bool = False
    """Whether nobody vouches for something in its context."""


def find(tx: Transaction, context_id: str, etag: str = "") -> Context:
    """Return a context.

    Raises ContextNotFound, and EtagMismatch when `etag` is given and stale.
    """
    context = tx.context(context_id)
    if context is None:
        raise ContextNotFound.of(context_id)
    if etag and etag != context.etag:
        raise EtagMismatch(
            f"the etag of context {context_id!r} is {context.etag!r}: read again and retry",
            metadata={"expected_etag": etag, "current_etag": context.etag},
        )
    return context


def create(
    tx: Transaction, context_id: str, settings: Settings, drafts: Sequence[Draft], around: ChangeContext
) -> Context:
    """Create a context with its first messages.

    Raises AlreadyExists, OrphanToolResult and QuotaExceeded.
    """
    own = Segment(tx.scope.agent, around.new_id(), 0)
    context, messages = extend(_fresh(tx, context_id, settings, (own,), around), drafts, around.now)
    _account(tx, None, context, around.limits)
    tx.put_context(context)
    if messages:
        tx.append(own.branch, messages)
    return context


def append(
    tx: Transaction, context_id: str, drafts: Sequence[Draft], etag: str, around: ChangeContext
) -> Appended:
    """Add messages at the end.

    Raises ContextNotFound, EtagMismatch, OrphanToolResult and QuotaExceeded.
    """
    old = find(tx, context_id, etag)
    context, messages = extend(old, drafts, around.now)
    context = replace(
        context,
        revision=old.revision + 1,
        updated_at=around.now,
        untrusted=old.untrusted or around.untrusted,
    )
    _account(tx, old, context, around.limits)
    tx.append(context.segments[-1].branch, messages)
    tx.put_context(context)
    return Appended(context, old.message_count + 1)


def update(
    tx: Transaction, context_id: str, changes: Mapping[str, Any], etag: str, around: ChangeContext
) -> Context:
    """Change the named fields of a context's settings.

    Raises ContextNotFound and EtagMismatch.
    """
    old = find(tx, context_id, etag)
    context = replace(
        old,
        settings=replace(old.settings, **changes),
        revision=old.revision + 1,
        updated_at=around.now,
        untrusted=old.untrusted or around.untrusted,
    )
    tx.put_context(context)
    return context


def pin(
    tx: Transaction, context_id: str, position: int, etag: str, around: ChangeContext, *, pinned: bool
) -> Pinned:
    """Pin a message of this context or let it go; forks keep their own pins.

    Raises ContextNotFound (the message too), EtagMismatch and QuotaExceeded.
    """
    old = find(tx, context_id, etag)
    message = message_at(tx, old, position)
    others = {other for other in old.pinned if other != position}
    positions = tuple(sorted(others | {position})) if pinned else tuple(sorted(others))
    if positions != old.pinned:
        context = replace(old, pinned=positions, revision=old.revision + 1, updated_at=around.now)
        _account(tx, old, context, around.limits)
        tx.put_context(context)
    return Pinned(message, pinned, old.untrusted)


def fork(
    tx: Transaction, context_id: str, origin: tuple[str, str], at: int, around: ChangeContext
) -> Context:
    """Make a context that begins as another one, up to the message `at` (0: whole).

    `origin` is the agent and id of the other one.

    Raises ContextNotFound, AlreadyExists, OrphanToolResult (the cut parts a tool call from a result) and
    QuotaExceeded.
    """
    source_agent, source_id = origin
    source_tx = tx.beside(source_agent)
    source = find(source_tx, source_id)
    last = at or source.message_count
    shared = _cut(source.segments, last) if last else ()
    own = Segment(tx.scope.agent, around.new_id(), 0)
    copied: list[Message] = []
    if len(shared) >= MOST_SEGMENTS:
        copied, shared = _all(source_tx, source.segments, last), ()
    blank = _fresh(tx, context_id, source.settings, (*shared, own), around)
    if last:
        edge = message_at(source_tx, source, last)
        _check_cut(source_tx, source, edge)
        blank = replace(
            blank,
            message_count=last,
            token_count=edge.tokens_through,
            size=edge.bytes_through,
            open_calls=edge.open_calls,
            pinned=tuple(position for position in source.pinned if position <= last),
        )
    parent = names.in_agent(source_agent, "contexts", source_id)
    foreign = source_agent != tx.scope.agent
    untrusted = blank.untrusted or source.untrusted or foreign
    context = replace(blank, parent=parent, forked_at=last, untrusted=untrusted)
    _account(tx, None, context, around.limits)
    tx.put_context(context)
    if copied:
        tx.append(own.branch, copied)
    return context


def delete(tx: Transaction, context_id: str, etag: str, *, allow_missing: bool) -> None:
    """Delete a context. Forks keep the messages they share.

    Raises ContextNotFound (unless `allow_missing`) and EtagMismatch.
    """
    if allow_missing and tx.context(context_id) is None:
        return
    gone = find(tx, context_id, etag)
    tx.drop_context(context_id)
    tx.count(contexts=-1, messages=-gone.message_count, context_bytes=-gone.size)


def message_at(tx: Transaction, context: Context, position: int) -> Message:
    """Return one message of a context.

    Raises ContextNotFound.
    """
    found = tx.messages(context.segments, after=position - 1, limit=1)
    if not found or found[0].position != position:
        raise ContextNotFound.at(context.id, position)
    return found[0]


def extend(context: Context, drafts: Sequence[Draft], now: datetime) -> tuple[Context, list[Message]]:
    """Return a context with more messages, and those messages.

    Raises OrphanToolResult.
    """
    messages: list[Message] = []
    position, tokens, size = context.message_count, context.token_count, context.size
    open_calls, pinned = context.open_calls, list(context.pinned)
    for draft in drafts:
        position += 1
        tokens += draft.token_count
        size += draft.chat.size
        open_calls = _open_after(open_calls, draft.chat, position)
        if draft.pinned:
            pinned.append(position)
        messages.append(Message(position, draft.chat, now, draft.token_count, tokens, size, open_calls))
    longer = replace(
        context,
        message_count=position,
        token_count=tokens,
        size=size,
        open_calls=open_calls,
        pinned=tuple(pinned),
    )
    return longer, messages


def _fresh(
    tx: Transaction, context_id: str, settings: Settings, segments: tuple[Segment, ...], around: ChangeContext
) -> Context:
    if tx.context(context_id) is not None:
        raise AlreadyExists.of(context_id)
    fresh = Context(context_id, settings, around.now, around.now, around.new_id()[:8], segments)
    return replace(fresh, untrusted=around.untrusted)


def _open_after(open_calls: tuple[str, ...], chat: ChatMessage, position: int) -> tuple[str, ...]:
    """Return the tool calls that wait for a result after a message."""
    if chat.role is Role.TOOL:
        if chat.tool_call_id not in open_calls:
            raise OrphanToolResult(
                f"message {position} answers {chat.tool_call_id!r}, which no tool call before it waits for",
                metadata={"tool_call_id": chat.tool_call_id, "position": str(position)},
            )
        return tuple(call for call in open_calls if call != chat.tool_call_id)
    if not chat.tool_calls:
        return open_calls
    return tuple(dict.fromkeys((*open_calls, *(call.id for call in chat.tool_calls))))[-MOST_OPEN_CALLS:]


def _cut(segments: Sequence[Segment], last: int) -> tuple[Segment, ...]:
    """Return the segments up to a position."""
    kept: list[Segment] = []
    for segment in segments:
        if segment.last and segment.last < last:
            kept.append(segment)
        else:
            kept.append(replace(segment, last=last))
            break
    return tuple(kept)


def _check_cut(tx: Transaction, source: Context, edge: Message) -> None:
    """Refuse a cut between a tool call and one of its results."""
    after, waiting = edge.position, set(edge.open_calls)
    while waiting:
        later = tx.messages(source.segments, after=after, limit=_BATCH)
        if not later:
            return
        for message in later:
            if message.chat.tool_call_id in waiting:
                raise OrphanToolResult(
                    f"message {message.position} answers a tool call before the cut at {edge.position}",
                    metadata={"position": str(message.position), "at_position": str(edge.position)},
                )
            waiting -= {call.id for call in message.chat.tool_calls}
        after = later[-1].position


def _all(tx: Transaction, segments: Sequence[Segment], last: int) -> list[Message]:
    return tx.messages(segments, before=last + 1, limit=last)


def _account(tx: Transaction, before: Context | None, after: Context, limits: ContextLimits) -> None:
    """Count what a context shows more. Raises QuotaExceeded for what one context may hold."""
    agent, count = tx.scope.agent, after.message_count
    if count > limits.messages:
        raise QuotaExceeded.of(agent, "messages in one context", wanted=count, limit=limits.messages)
    if len(after.pinned) > limits.pinned:
        raise QuotaExceeded.of(agent, "pinned messages", wanted=len(after.pinned), limit=limits.pinned)
    tx.count(
        contexts=int(before is None),
        messages=count - (before.message_count if before else 0),
        context_bytes=after.size - (before.size if before else 0),
    )
