"""Use cases on conversations."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Usage
from services.chassis.rpc import names
from services.context.core import conversations as rules
from services.context.core.conversations import Appended, ChangeContext, ContextLimits, Pinned
from services.context.model import Context, Draft, Message, Nothing, Settings
from services.context.ports import Access, Transaction
from services.context.service.dependencies import Dependencies

READ: Final = "context.read"
PAGE_BYTES: Final = 3 * 1024 * 1024
"""Most that the messages of one page take."""
_BATCH: Final = 500
_FEW: Final = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """Messages of a context, each with whether it is pinned."""

    messages: list[tuple[Message, bool]]
    untrusted: bool = False
    """Whether nobody vouches for something in the context."""


class Conversations:
    """Creates, extends, forks and deletes contexts."""

    def __init__(self, deps: Dependencies, limits: ContextLimits, access: Access) -> None:
        self._deps = deps
        self._limits = limits
        self._access = access

    async def create(
        self,
        scope: Scope,
        actor: RequestIdentity,
        context_id: str,
        settings: Settings,
        drafts: Sequence[Draft],
    ) -> Context:
        """Create a context. Raises AlreadyExists, OrphanToolResult, QuotaExceeded and IdempotencyMismatch."""

        def work(tx: Transaction) -> Context:
            return rules.create(tx, context_id, settings, drafts, self._around(actor))

        context, first = await self._deps.once(scope, actor, Context, work)
        self._deps.meter.appended(len(drafts) if first else 0)
        return context

    async def quotas(self, scope: Scope) -> list[Usage]:
        """Return how much an agent, its tree and its tenant use of each quota."""
        return await self._deps.store.read(scope, lambda tx: tx.used(self._deps.caps))

    async def get(self, scope: Scope, context_id: str) -> Context:
        """Return a context. Raises ContextNotFound."""
        return await self._deps.store.read(scope, lambda tx: rules.find(tx, context_id))

    async def update(
        self, scope: Scope, actor: RequestIdentity, context_id: str, changes: Mapping[str, Any], etag: str
    ) -> Context:
        """Change named settings. Raises ContextNotFound, EtagMismatch and IdempotencyMismatch."""

        def work(tx: Transaction) -> Context:
            return rules.update(tx, context_id, changes, etag, self._around(actor))

        return (await self._deps.once(scope, actor, Context, work))[0]

    async def append(
        self, scope: Scope, actor: RequestIdentity, context_id: str, drafts: Sequence[Draft], etag: str
    ) -> Appended:
        """Append messages, all or none.

        Raises ContextNotFound, EtagMismatch, OrphanToolResult, QuotaExceeded and IdempotencyMismatch.
        """

        def work(tx: Transaction) -> Appended:
            return rules.append(tx, context_id, drafts, etag, self._around(actor))

        appended, first = await self._deps.once(scope, actor, Appended, work)
        self._deps.meter.appended(len(drafts) if first else 0)
        return appended

    async def messages(
        self, scope: Scope, context_id: str, *, after: int, before: int, limit: int, newest_first: bool
    ) -> Listed:
        """List messages and whether each is pinned; no more than fit one page and the next one after them.

        Raises ContextNotFound.
        """

        def work(tx: Transaction) -> Listed:
            context = rules.find(tx, context_id)
            pinned = set(context.pinned)
            found: list[Message] = []
            size, low, high = 0, after, before
            while len(found) < limit and size <= PAGE_BYTES:
                more = tx.messages(
                    context.segments,
                    after=low,
                    before=high,
                    limit=min(_FEW, limit - len(found)),
                    newest_first=newest_first,
                )
                if not more:
                    break
                found += more
                size += sum(message.chat.size for message in more)
                low, high = (low, more[-1].position) if newest_first else (more[-1].position, high)
            return Listed(
                [(message, message.position in pinned) for message in found], untrusted=context.untrusted
            )

        return await self._deps.store.read(scope, work)

    async def pin(
        self, scope: Scope, actor: RequestIdentity, context_id: str, position: int, etag: str, *, pinned: bool
    ) -> Pinned:
        """Pin a message or let it go.

        Raises ContextNotFound, EtagMismatch, QuotaExceeded and IdempotencyMismatch.
        """

        def work(tx: Transaction) -> Pinned:
            return rules.pin(tx, context_id, position, etag, self._around(actor), pinned=pinned)

        return (await self._deps.once(scope, actor, Pinned, work))[0]

    async def fork(
        self, scope: Scope, actor: RequestIdentity, context_id: str, source: tuple[str, str], at: int
    ) -> Context:
        """Make a context that begins as another one: `source` is its agent and id.

        Raises PermissionDenied (no right to read the source), ContextNotFound, AlreadyExists,
        OrphanToolResult, QuotaExceeded and IdempotencyMismatch.
        """
        await self._access.require(READ, names.in_agent(source[0], "contexts", source[1]))

        def work(tx: Transaction) -> Context:
            return rules.fork(tx, context_id, source, at, self._around(actor))

        return (await self._deps.once(scope, actor, Context, work))[0]

    async def page(self, scope: Scope, *, labels: Mapping[str, str], after: str, limit: int) -> list[Context]:
        """List contexts by id that carry all of some labels."""

        def work(tx: Transaction) -> list[Context]:
            found: list[Context] = []
            last = after
            while len(found) < limit:
                batch = tx.contexts(after=last, limit=_BATCH)
                found += [context for context in batch if labels.items() <= context.settings.labels.items()]
                if len(batch) < _BATCH:
                    break
                last = batch[-1].id
            return found[:limit]

        return await self._deps.store.read(scope, work)

    async def delete(
        self, scope: Scope, actor: RequestIdentity, context_id: str, etag: str, *, allow_missing: bool
    ) -> None:
        """Delete a context. Raises ContextNotFound, EtagMismatch and IdempotencyMismatch."""

        def work(tx: Transaction) -> Nothing:
            rules.delete(tx, context_id, etag, allow_missing=allow_missing)
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)

    def _around(self, actor: RequestIdentity) -> ChangeContext:
        return ChangeContext(
            self._deps.clock.now(), self._limits, lambda: secrets.token_hex(8), untrusted=actor.untrusted
        )
