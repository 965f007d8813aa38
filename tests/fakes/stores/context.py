"""The store in RAM: for tests and throw-away kernels. Nothing survives the process."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Owner, Tab, Usage
from services.chassis.rpc.errors import IdempotencyMismatch
from services.chassis.runtime.clock import Clock, SystemClock
from services.context.model import Context, Head, Message, Segment, Summary
from services.context.ports import Part, StoredPart, Transaction
from tests.fakes.stores.usage import MemoryBook

T = TypeVar("T")

_Request = tuple[str, str, str]


@dataclass(slots=True)
class _Data:
    """Everything of one scope."""

    contexts: dict[str, Context] = field(default_factory=dict)
    branches: dict[str, list[Message]] = field(default_factory=dict)
    summaries: dict[str, dict[int, Summary]] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    parts: dict[str, dict[tuple[Part, int], bytes]] = field(default_factory=dict)
    replies: dict[_Request, tuple[bytes, bytes]] = field(default_factory=dict)

    def copied(self) -> "_Data":
        """Copy every table, not the frozen rows in them."""
        return _Data(**{item.name: copy(getattr(self, item.name)) for item in fields(self)})


class InMemoryStore:
    """A Store that forgets everything with the process."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._data: defaultdict[Scope, _Data] = defaultdict(_Data)
        self._book = MemoryBook()
        self._lock = asyncio.Lock()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy, so that what it writes is lost."""
        return work(_Transaction(_Draft(self._data), scope, self._book.copy()))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a copy and keep the copy when it returns."""
        async with self._lock:
            draft, book = _Draft(self._data), self._book.copy()
            result = work(_Transaction(draft, scope, book))
            self._data.update(draft.touched)
            self._book = book
        return result

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Forget a scope."""
        return {"contexts": 1} if self._data.pop(scope, None) else {}

    async def collect(self, *, limit: int) -> int:
        """Forget expired snapshots."""
        now, count = self._clock.now(), 0
        async with self._lock:
            for scope, data in self._data.items():
                for generation, head in list(data.heads.items()):
                    if head.expires_at <= now and count < limit:
                        del data.heads[generation]
                        data.parts.pop(generation, None)
                        count += not head.deleted
                        gone = {"snapshots": -int(not head.deleted), "snapshot_bytes": -head.size}
                        self._book.charge([(Owner(scope.tenant, scope.agent, ""), gone)], {})
        return count


class _Draft:
    """Copies of the scopes that a transaction touches."""

    def __init__(self, data: defaultdict[Scope, _Data]) -> None:
        self._data = data
        self.touched: dict[Scope, _Data] = {}

    def of(self, scope: Scope) -> _Data:
        """Return the copy of a scope."""
        if scope not in self.touched:
            self.touched[scope] = self._data[scope].copied() if scope in self._data else _Data()
        return self.touched[scope]

    def all_contexts(self, tenant: str) -> list[Context]:
        """Return the contexts of all agents of a tenant."""
        scopes = {scope for scope in (*self._data, *self.touched) if scope.tenant == tenant}
        return [context for scope in scopes for context in self.of(scope).contexts.values()]


class _Transaction:
    """A Transaction on dictionaries."""

    def __init__(self, draft: _Draft, scope: Scope, book: MemoryBook) -> None:
        self._draft = draft
        self._scope = scope
        self._book = book
        self._tab = Tab()
        self.data = draft.of(scope)

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        return self._scope

    def beside(self, agent: str) -> "_Transaction":
        """Return the same transaction on another agent."""
        return _Transaction(self._draft, Scope(self._scope.tenant, agent), self._book)

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        self._tab.add(self._scope.charged, changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        self._book.charge(self._tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return self._book.told(self._scope.charged, caps)

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request, or None."""
        replies = self.beside(actor.agent).data.replies
        known = replies.get(_request(actor)) if actor.request_id else None
        if known is None:
            return None
        if known[0] != actor.digest:
            raise IdempotencyMismatch(f"request_id {actor.request_id} was used for a different request")
        return known[1]

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        if actor.request_id:
            self.beside(actor.agent).data.replies[_request(actor)] = (actor.digest, reply)
            self._tab.add(actor.charged(self._scope.tenant), {REPLIES: 1})

    def context(self, context_id: str) -> Context | None:
        """Return a context."""
        return self.data.contexts.get(context_id)

    def contexts(self, *, after: str, limit: int) -> list[Context]:
        """List contexts by id."""
        ids = sorted(id_ for id_ in self.data.contexts if id_ > after)
        return [self.data.contexts[id_] for id_ in ids[:limit]]

    def put_context(self, context: Context) -> None:
        """Insert or replace a context."""
        self.data.contexts[context.id] = context

    def drop_context(self, context_id: str) -> None:
        """Forget a context and the messages that no other one shows."""
        gone = self.data.contexts.pop(context_id)
        shown = [s for context in self._draft.all_contexts(self._scope.tenant) for s in context.segments]
        for segment in gone.segments:
            data = self.beside(segment.agent).data
            lasts = [s.last for s in shown if (s.agent, s.branch) == (segment.agent, segment.branch)]
            if 0 in lasts:
                continue
            keep = max(lasts, default=0)
            if messages := [m for m in data.branches.pop(segment.branch, ()) if m.position <= keep]:
                data.branches[segment.branch] = messages
            known = data.summaries.pop(segment.branch, {})
            if left := {through: summary for through, summary in known.items() if through <= keep}:
                data.summaries[segment.branch] = left

    def append(self, branch: str, messages: Sequence[Message]) -> None:
        """Add messages to a branch."""
        self.data.branches[branch] = [*self.data.branches.get(branch, ()), *messages]

    def put_summary(self, branch: str, summary: Summary, *, keep: int) -> None:
        """Keep a summary with a branch."""
        known = self.data.summaries.get(branch, {}) | {summary.through: summary}
        self.data.summaries[branch] = {through: known[through] for through in sorted(known)[-keep:]}

    def summaries(self, segments: Sequence[Segment]) -> list[tuple[Segment, Summary]]:
        """Return the summaries of some branches."""
        return [
            (segment, summary)
            for segment in segments
            for _, summary in sorted(
                self.beside(segment.agent).data.summaries.get(segment.branch, {}).items()
            )
        ]

    def messages(
        self,
        segments: Sequence[Segment],
        *,
        after: int = 0,
        before: int = 0,
        limit: int,
        newest_first: bool = False,
    ) -> list[Message]:
        """List the messages of some segments."""
        found: list[Message] = []
        first = 0
        for segment in segments:
            branch = self.beside(segment.agent).data.branches.get(segment.branch, [])
            last = segment.last or sys.maxsize
            found += [message for message in branch if first < message.position <= last]
            first = max(first, segment.last)
        shown = [m for m in found if after < m.position < (before or sys.maxsize)]
        return (shown[::-1] if newest_first else shown)[:limit]

    def head(self, generation: str) -> Head | None:
        """Return a head."""
        return self.data.heads.get(generation)

    def put_head(self, head: Head) -> None:
        """Insert or replace a head."""
        self.data.heads[head.generation] = head

    def drop_snapshot(self, generation: str) -> None:
        """Forget a snapshot."""
        self.data.heads.pop(generation, None)
        self.data.parts.pop(generation, None)

    def heads(
        self, *, before: tuple[datetime, str] | None, unfinished: bool, now: datetime, limit: int
    ) -> list[Head]:
        """List living heads, last saved first."""
        shown = [
            head
            for head in self.data.heads.values()
            if not head.deleted and head.expires_at > now and not (unfinished and head.finished)
            if before is None or (head.updated_at, head.generation) < before
        ]
        return sorted(shown, key=lambda head: (head.updated_at, head.generation), reverse=True)[:limit]

    def put_part(self, generation: str, part: Part, first: int, data: bytes) -> None:
        """Insert or replace a part."""
        self.data.parts[generation] = {**self.data.parts.get(generation, {}), (part, first): data}

    def parts(self, generation: str) -> list[StoredPart]:
        """Return all parts in order."""
        parts = self.data.parts.get(generation, {})
        ordered = sorted(parts, key=lambda key: (key[0].value, key[1]))
        return [StoredPart(*key, parts[key]) for key in ordered]

    def states(self, generations: Sequence[str]) -> dict[str, bytes]:
        """Return the states of some snapshots."""
        state = Part.STATE, 0
        found = {name: self.data.parts.get(name, {}) for name in generations}
        return {name: parts[state] for name, parts in found.items() if state in parts}

    def drop_parts(self, generation: str, part: Part | None = None) -> None:
        """Forget parts."""
        parts = self.data.parts.pop(generation, {})
        kept = {key: data for key, data in parts.items() if part is not None and key[0] is not part}
        if kept:
            self.data.parts[generation] = kept


def _request(actor: RequestIdentity) -> _Request:
    return actor.agent, actor.method, actor.request_id
