"""Use cases of decisions: one check, many checks, and the stream that says when to ask again."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from services.access.core.decision import Case, Memo, decide, gather_all
from services.access.model import Check, Decision, Event, Outcome, Reason, Revocation
from services.access.ports import Transaction
from services.access.service.audit_log import AuditDesk
from services.access.service.dependencies import Kit
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import PermissionDenied

_METHOD: Final = "/aios.api.access.v1.AccessService/Check"
_ERROR_REASONS: Final = {
    Reason.AGENT_INACTIVE: "AGENT_INACTIVE",
    Reason.APPROVAL_REQUIRED: "APPROVAL_REQUIRED",
}
_INLINE: Final = 16
_REVOKED_PER_EVENT: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Revision:
    """One event of a watch."""

    revision: int
    epoch: str
    revoked: tuple[Revocation, ...]
    heartbeat: bool


class CheckDesk:
    """Answers who may do what."""

    def __init__(self, ports: Kit, audit: AuditDesk) -> None:
        self._kit = ports
        self._audit = audit
        self._memo = Memo()

    async def check(self, check: Check) -> Decision:
        """Decide one check. Raises InvalidRequest when the resource is no resource name."""
        [decision] = await self.batch([check])
        return decision

    async def batch(self, checks: Sequence[Check]) -> list[Decision]:
        """Decide many checks, all on one state of the store."""
        began = self._kit.clock.monotonic()
        now = self._kit.clock.now()

        def load(tx: Transaction) -> list[Case]:
            return gather_all(tx, checks, now, self._memo)

        cases = await self._kit.store.read(load)
        if len(cases) > _INLINE:
            decisions = await asyncio.to_thread(self._decide, cases)
        else:
            decisions = self._decide(cases)
        each = (self._kit.clock.monotonic() - began) / max(1, len(checks))
        for case, decision in zip(cases, decisions, strict=True):
            self._kit.meter.decided(decision.reason, each)
            if not decision.allowed:
                self._audit.deny(case.check.principal.tenant, _denial(case, decision))
        return decisions

    def may_name(self, caller: Caller, check: Check) -> Check:
        """Let only the kernel's processes ask for somebody else. Raises PermissionDenied."""
        who = check.principal
        same = (who.agent, who.tenant, who.kind) == (caller.agent, caller.tenant, caller.kind)
        if not same and caller.kind is not Kind.SERVICE:
            raise PermissionDenied("only the kernel's processes ask for somebody else")
        return check

    async def watch(self, heartbeat: float) -> AsyncGenerator[Revision, None]:
        """Stream the revision: at once, at every change, and every `heartbeat` seconds."""
        self._kit.meter.watching("revision", 1)
        try:
            seen = -1
            clock = self._kit.clock
            said = clock.monotonic()
            while True:
                event = await self._look(seen)
                if event.revision > seen or clock.monotonic() - said >= heartbeat:
                    seen, said = event.revision, clock.monotonic()
                    for part in _parts(event):
                        yield part
                remaining = heartbeat - (clock.monotonic() - said)
                await self._kit.pulse.wait(max(0.01, min(remaining, self._kit.settings.poll)))
        finally:
            self._kit.meter.watching("revision", -1)

    async def _look(self, seen: int) -> Revision:
        now = self._kit.clock.now()

        def work(tx: Transaction) -> Revision:
            revision = tx.ledger.revision()
            changed = revision > seen
            revoked = tuple(tx.tokens.revoked(seen, now)) if changed else ()
            return Revision(revision, tx.ledger.epoch(), revoked, heartbeat=not changed)

        event = await self._kit.store.read(work)
        self._kit.meter.revised(event.revision)
        return event

    def _decide(self, cases: Sequence[Case]) -> list[Decision]:
        return [decide(self._kit.engine, case) for case in cases]


def _parts(event: Revision) -> list[Revision]:
    """Split an event whose list of revocations is too long for one message."""
    starts = range(0, max(1, len(event.revoked)), _REVOKED_PER_EVENT)
    return [
        dataclasses.replace(event, revoked=event.revoked[start : start + _REVOKED_PER_EVENT])
        for start in starts
    ]


def _denial(case: Case, decision: Decision) -> Event:
    check = case.check
    return Event(
        agent=check.principal.agent,
        kind=check.principal.kind,
        method=_METHOD,
        action=check.action,
        resource=case.target.name,
        outcome=Outcome.DENIED,
        reason=_ERROR_REASONS.get(decision.reason, "PERMISSION_DENIED"),
        policies=decision.policies,
    )
