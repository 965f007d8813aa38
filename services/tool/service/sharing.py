"""Share what agents make, once a person has approved it; take it back; revoke it.

Sharing is reserve, execute, finalise: what is shared is taken down in the draft before its approval is used,
so that a process that goes in between shares it exactly once, when it is asked again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from services.chassis.aside import aside
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import KernelError
from services.tool.core import making
from services.tool.core.made_tools import drop_shared, keep_draft, keep_version, put_shared, shared_of
from services.tool.core.making import Claim, Draft, DraftState, SharingRequest, Version
from services.tool.core.sharing import sharing_request
from services.tool.errors import EtagMismatch
from services.tool.model import Nothing
from services.tool.ports import Audit, SharingApprovals, Transaction
from services.tool.service.dependencies import Dependencies
from services.tool.service.making import found, found_version, missing

REVOKE: Final = "tool.revoke"
_NO_MORE: Final = frozenset(
    {"APPROVAL_REQUIRED", "APPROVAL_EXPIRED", "APPROVAL_DECIDED", "APPROVAL_NOT_FOUND"}
)
"""Reasons for which an approval does not count, and never will."""
_BATCH: Final = 50


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Who takes back what is shared, and why."""

    actor: RequestIdentity
    reason: str


class Sharing:
    """What everybody may call of what agents make."""

    def __init__(
        self,
        deps: Dependencies,
        approvals: SharingApprovals,
        audit: Audit,
        revoked: Callable[[str, str], None],
    ) -> None:
        """`revoked(tenant, tool)` is called after a tool has been taken away from everybody."""
        self._deps = deps
        self._approvals = approvals
        self._audit = audit
        self._revoked = revoked
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    async def share(self, scope: Scope, name: str, etag: str) -> Draft:
        """Share a draft that a person has approved as it is, or ask for that and return.

        Raises ToolNotFound, EtagMismatch, ToolNotTested, ToolExists, QuotaExceeded, or what access refuses
        with.
        """
        # In turn, so that of two at once the second finds what the first has shared, and asks nobody again.
        turn = self._turns.setdefault((scope.tenant, scope.agent, name), asyncio.Lock())
        async with turn:
            return await self._share(scope, name, etag)

    async def _share(self, scope: Scope, name: str, etag: str) -> Draft:
        draft = await self._read(scope, name)
        making.check_etag(draft, etag)
        if draft.claim is not None:
            draft = await self._finished(scope, draft.name, draft.claim)
        if draft.state is DraftState.SHARED:
            return draft
        current, number = await self._deps.store.read(scope, lambda tx: _shared_now(tx, scope, name))
        if current is not None and draft.state.passed and current.content == draft.content:
            return await self._change(
                scope, name, draft, lambda one: making.is_shared(one, self._deps.clock.now())
            )
        request = await aside(partial(sharing_request, draft, current, number))
        approval = await self._approvals.ask(scope, request)
        draft = await self._change(
            scope, name, draft, lambda one: making.asked(one, approval.id, self._deps.clock.now())
        )
        if not approval.approved:
            return draft
        claim = await self._claimed(scope, name, approval.id, request)
        return await self._finished(scope, name, claim, strict=True)

    async def roll_back(self, scope: Scope, by: TakenBack, name: str, number: int) -> Version:
        """Make a version what everybody calls, which was approved when it was shared.

        Raises ToolNotFound, also for a version that was revoked, ToolExists, QuotaExceeded,
        IdempotencyMismatch.
        """
        version = await self._deps.store.read(scope, lambda tx: _usable(tx, scope, name, number))
        await self._note("RollBackTool", by, version)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Nothing:
            wanted, before = _usable(tx, scope, name, number), shared_of(tx, scope.agent, name)
            put_shared(tx, making.shared_tool(wanted, before, now), before)
            draft = tx.draft(name)
            if draft is not None and draft.content != wanted.content:
                keep_draft(tx, making.unshared(draft, now))
            return Nothing()

        await self._deps.once(scope, by.actor, Nothing, work)
        return version

    async def revoke(self, scope: Scope, by: TakenBack, name: str) -> int:
        """Take a tool away from everybody, for good; return how many versions there were.

        Raises ToolNotFound when nothing is shared, IdempotencyMismatch.
        """
        latest = await self._deps.store.read(scope, lambda tx: tx.version(name, 0))
        if latest is None:
            raise missing(scope.agent, name, version="")
        await self._note("RevokeTool", by, latest)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> _Revoked:
            count = _revoke_all(tx, name, lambda one: replace(one, revoked_at=now, revoke_reason=by.reason))
            tool = shared_of(tx, scope.agent, name)
            if tool is None and not count:
                raise missing(scope.agent, name, version="")
            if tool is not None:
                drop_shared(tx, tool)
            draft = tx.draft(name)
            if draft is not None:
                keep_draft(tx, making.unclaimed(making.unshared(draft, now), now))
            return _Revoked(count)

        done = await self._deps.once(scope, by.actor, _Revoked, work)
        self._revoked(scope.tenant, making.tool_id(scope.agent, name))
        return done.count

    async def _read(self, scope: Scope, name: str) -> Draft:
        return await self._deps.store.read(scope, lambda tx: found(tx, scope, name))

    async def _change(self, scope: Scope, name: str, seen: Draft, change: Callable[[Draft], Draft]) -> Draft:
        """Change a draft that is still as far as it was seen. Raises EtagMismatch when it is not."""

        def work(tx: Transaction) -> Draft:
            draft = found(tx, scope, name)
            if (draft.content, draft.state) != (seen.content, seen.state):
                raise EtagMismatch("the draft has changed", metadata={"etag": str(draft.etag)})
            changed = change(draft)
            return draft if changed == draft else keep_draft(tx, changed)

        return await self._deps.write(scope, work)

    async def _claimed(self, scope: Scope, name: str, approval: str, request: SharingRequest) -> Claim:
        """Take down what is shared, if all is as the person saw it. Raises EtagMismatch, ToolNotTested."""

        def work(tx: Transaction) -> Claim:
            draft = found(tx, scope, name)
            if draft.claim is not None:  # another request is at it, or has been
                return draft.claim
            current, number = _shared_now(tx, scope, name)
            if (0 if current is None else current.number, number) != (request.replaces, request.number):
                raise EtagMismatch("another version is shared now", metadata={"etag": str(draft.etag)})
            changed, claim = making.claimed(draft, approval, request, self._deps.clock.now())
            keep_draft(tx, changed)
            return claim

        return await self._deps.write(scope, work)

    async def _finished(self, scope: Scope, name: str, claim: Claim, *, strict: bool = False) -> Draft:
        """Use the approval and share what was claimed; return the draft as it is then.

        A claim whose approval does not count is given up; `strict`: that is an error.
        """
        try:
            await self._approvals.consume(
                scope,
                claim.approval,
                sha256=making.digest(claim.content),
                shown_sha256=claim.request_sha256,
            )
        except KernelError as refused:
            if refused.reason not in _NO_MORE:
                raise
            draft = await self._deps.write(scope, lambda tx: self._given_up(tx, scope, name, claim))
            if strict:
                raise
            return draft
        return await self._deps.write(scope, lambda tx: self._published(tx, scope, name, claim))

    def _given_up(self, tx: Transaction, scope: Scope, name: str, claim: Claim) -> Draft:
        draft = found(tx, scope, name)
        if draft.claim != claim:
            return draft
        return keep_draft(tx, making.unclaimed(draft, self._deps.clock.now()))

    def _published(self, tx: Transaction, scope: Scope, name: str, claim: Claim) -> Draft:
        draft, now = found(tx, scope, name), self._deps.clock.now()
        if draft.claim != claim:  # another request has shared it
            return draft
        before, (_, number) = shared_of(tx, scope.agent, name), _shared_now(tx, scope, name)
        changed, version = making.shared(draft, number, now)
        keep_version(tx, version, new=True)
        put_shared(tx, making.shared_tool(version, before, now), before)
        return keep_draft(tx, changed)

    async def _note(self, method: str, by: TakenBack, version: Version) -> None:
        """Enter what is about to be done: it is not done unless the log has it."""
        words = f"version {version.number}, sha256 {version.sha256}: {by.reason}"
        await self._audit.note(method, REVOKE, making.draft_name(version), by.actor, words=words)


@dataclass(frozen=True, slots=True)
class _Revoked:
    """The answer of a revocation."""

    count: int


def _shared_now(tx: Transaction, scope: Scope, name: str) -> tuple[Version | None, int]:
    """Return the version that everybody calls, and the number that a new one gets.

    Raises ToolExists when a tool of another origin has the name.
    """
    tool, latest = shared_of(tx, scope.agent, name), tx.version(name, 0)
    current = None if tool is None or tool.made is None else tx.version(name, tool.made.number)
    return current, 1 if latest is None else latest.number + 1


def _usable(tx: Transaction, scope: Scope, name: str, number: int) -> Version:
    version = found_version(tx, scope, name, number)
    if version.revoked_at is not None:
        raise missing(scope.agent, name, version=number)
    return version


def _revoke_all(tx: Transaction, name: str, revoke: Callable[[Version], Version]) -> int:
    count, before = 0, 0
    while batch := tx.versions(name, before=before, limit=_BATCH):
        for version in batch:
            if version.revoked_at is None:
                keep_version(tx, revoke(version), new=False)
                count += 1
        before = batch[-1].number
    return count
