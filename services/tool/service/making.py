"""Draft tools, test them, and look at what was shared of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from services.chassis.aside import aside
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.tool.core import making
from services.tool.core.made_tools import drop_draft, keep_draft, shared_of
from services.tool.core.making import Draft, Version
from services.tool.core.sharing import diff
from services.tool.errors import ToolExists, ToolNotFound
from services.tool.model import DriverKind, Effect, Nothing
from services.tool.ports import Transaction
from services.tool.service.dependencies import Dependencies
from services.tool.service.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class Seen:
    """A draft, and what everybody calls by its name."""

    draft: Draft
    shared: int
    """Number of that version; 0: none."""


class Making:
    """The tools that agents make, until they are shared. Scopes are those of the agents that make them."""

    def __init__(self, deps: Dependencies, rehearsal: Rehearsal) -> None:
        self._deps = deps
        self._rehearsal = rehearsal

    def now(self) -> datetime:
        """Return the time that a draft is kept at."""
        return self._deps.clock.now()

    async def draft(self, scope: Scope, actor: RequestIdentity, new: Draft, etag: str) -> Draft:
        """Keep a draft, or replace it when `etag` is its current one.

        An equal one changes nothing, with or without an etag. Raises ToolExists, ToolNotFound, EtagMismatch,
        SchemaInvalid, ArgumentsInvalid, InvalidRequest, CapabilityMissing, QuotaExceeded and
        IdempotencyMismatch.
        """
        self._deps.changes.charge(scope.charged)
        await aside(partial(making.check, new.content))
        # The least is claimed for it, and the driver says what is true.
        claimed = replace(making.own_tool(new), effect=Effect.PURE)
        checked = await self._deps.driver(DriverKind.PYTHON).prepare(scope, claimed)
        new = replace(new, effect=checked.effect)

        def work(tx: Transaction) -> Nothing:
            known = tx.draft(new.name)
            shared_of(tx, scope.agent, new.name)
            if known is None and etag:
                raise missing(new.agent, new.name)
            if known is not None and not etag and known.content != new.content:
                name = making.draft_name(known)
                raise ToolExists(f"{name} exists already", metadata={"draft": name})
            kept = making.drafted(known, new, etag)
            if kept != known:
                keep_draft(tx, kept)
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)
        return await self.get(scope, new.name)

    async def get(self, scope: Scope, name: str) -> Draft:
        """Return a draft. Raises ToolNotFound."""
        return await self._deps.store.read(scope, lambda tx: found(tx, scope, name))

    async def show(self, scope: Scope, draft: Draft) -> Seen:
        """Return a draft with what everybody calls by its name."""
        return Seen(draft, await self.current(scope, draft.name))

    async def page(self, scope: Scope, *, after: str, limit: int) -> list[Seen]:
        """List drafts by name."""

        def look(tx: Transaction) -> list[Seen]:
            return [Seen(one, _number(tx, one.tool_id)) for one in tx.drafts(after=after, limit=limit)]

        return await self._deps.store.read(scope, look)

    async def current(self, scope: Scope, name: str) -> int:
        """Return the number of the version that everybody calls; 0: none is shared."""
        tool = making.tool_id(scope.agent, name)
        return await self._deps.store.read(scope, lambda tx: _number(tx, tool))

    async def delete(
        self, scope: Scope, actor: RequestIdentity, name: str, etag: str, *, allow_missing: bool
    ) -> None:
        """Forget a draft; what is shared stays. Raises ToolNotFound, EtagMismatch, IdempotencyMismatch."""

        def work(tx: Transaction) -> Nothing:
            known = tx.draft(name)
            if known is not None or not allow_missing:
                making.check_etag(found(tx, scope, name), etag)
                drop_draft(tx, name)
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)

    async def test(self, scope: Scope, name: str, etag: str, *, own: bool) -> Draft:
        """Run a draft's examples and keep how they went; `own`: its owner may call it when it passes.

        Raises ToolNotFound, EtagMismatch, SandboxUnavailable, CapabilityMissing, ToolBusy, QuotaExceeded.
        """
        self._deps.changes.charge(scope.charged)
        draft = await self.get(scope, name)
        making.check_etag(draft, etag)
        trial = await self._rehearsal.run(scope, draft)

        def work(tx: Transaction) -> Draft:
            return keep_draft(tx, making.tested(found(tx, scope, name), trial, own=own))

        return await self._deps.write(scope, work)

    async def versions(self, scope: Scope, name: str, *, before: int, limit: int) -> list[Version]:
        """List what was shared of a draft, newest first."""
        return await self._deps.store.read(scope, lambda tx: tx.versions(name, before=before, limit=limit))

    async def version(self, scope: Scope, name: str, number: int) -> tuple[Version, str]:
        """Return a version, and what differs in it from the one before. Raises ToolNotFound."""

        def look(tx: Transaction) -> tuple[Version, Version | None]:
            asked = found_version(tx, scope, name, number)
            return asked, next(iter(tx.versions(name, before=number, limit=1)), None)

        version, before = await self._deps.store.read(scope, look)
        if before is None:
            return version, ""
        return version, await aside(partial(diff, before.content, version.content))


def _number(tx: Transaction, tool_id: str) -> int:
    tool = tx.tool(tool_id)
    return tool.made.number if tool is not None and tool.made is not None else 0


def found(tx: Transaction, scope: Scope, name: str) -> Draft:
    """Return a draft. Raises ToolNotFound."""
    draft = tx.draft(name)
    if draft is None:
        raise missing(scope.agent, name)
    return draft


def found_version(tx: Transaction, scope: Scope, name: str, number: int) -> Version:
    """Return a version. Raises ToolNotFound."""
    version = tx.version(name, number) if number > 0 else None
    if version is None:
        raise missing(scope.agent, name, version=number)
    return version


def missing(agent: str, name: str, **more: Any) -> ToolNotFound:
    """Build the error: there is no such draft, or version of it."""
    full = f"agents/{agent}/drafts/{name}" + "".join(f"/{what}s/{which}" for what, which in more.items())
    return ToolNotFound(f"there is no {full}", metadata={"draft": full})
