"""Use cases of decisions: one check, many checks, and the stream that says when to ask again."""

import dataclasses
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from services.access.core.decision import DecisionCache, DecisionRequest, gather_inputs, with_trees
from services.access.model.agents import Revocation
from services.access.model.audit import AuditOutcome, Event
from services.access.model.rules import Check, Decision, Reason
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.denials import DenialLog
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import PermissionDenied

_METHOD: Final = "/aios.api.access.v1.AccessService/Check"
_ERROR_REASONS: Final = {
    Reason.AGENT_INACTIVE: "AGENT_INACTIVE",
    Reason.APPROVAL_REQUIRED: "APPROVAL_REQUIRED",
}
_REVOKED_PER_EVENT: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Revision:
    """One event of a watch."""

    revision: int
    epoch: str
    revoked: tuple[Revocation, ...]
    heartbeat: bool
    changes: tuple[RuleChange, ...] | None
    """What may have been taken away since the event before; None when that is not known."""


class DecisionService:
    """Answers who may do what."""

    def __init__(self, ports: Dependencies, denials: DenialLog) -> None:
        self._deps = ports
        self._denials = denials
        self._memo = DecisionCache()
        self.clock = ports.clock

    async def check(self, check: Check) -> Decision:
        """Decide one check. Raises InvalidRequest when the resource is no resource name."""
        [decision] = await self.batch([check])
        return decision

    async def batch(self, checks: Sequence[Check]) -> list[Decision]:
        """Decide many checks, all on one state of the store."""
        began = self._deps.clock.monotonic()
        cases, decisions = await self._decide(checks)
        each = (self._deps.clock.monotonic() - began) / max(1, len(checks))
        for case, decision in zip(cases, decisions, strict=True):
            self._deps.meter.decided(decision.reason, each)
            if not decision.allowed:
                self._denials.deny(case.check.principal.tenant, _denial(case, decision))
        return decisions

    async def suppose(self, checks: Sequence[Check]) -> list[Decision]:
        """Decide as `batch` does, for somebody who only wants to know: nobody was refused anything."""
        _, decisions = await self._decide(checks)
        return decisions

    async def _decide(self, checks: Sequence[Check]) -> tuple[list[DecisionRequest], list[Decision]]:
        now = self._deps.clock.now()

        def load(tx: Transaction) -> list[DecisionRequest]:
            return gather_inputs(tx, checks, now, self._memo)

        cases = await self._deps.store.read(load)
        told = await self._deps.engine.decide_all(
            [(case.check, case.target, case.given, case.policies) for case in cases]
        )
        return cases, [with_trees(case, decision) for case, decision in zip(cases, told, strict=True)]

    def may_name(self, caller: Caller, check: Check) -> Check:
        """Let only the kernel's processes ask for somebody else. Raises PermissionDenied."""
        who = check.principal
        same = (who.agent, who.tenant, who.kind) == (caller.agent, caller.tenant, caller.kind)
        if not same and caller.kind is not Kind.SERVICE:
            raise PermissionDenied("only the kernel's processes ask for somebody else")
        return check

    def confirm(self, watcher: str, revision: int) -> None:
        """Note that a watcher delivers nothing more by rules older than a revision."""
        self._deps.watchers.confirm(watcher, revision)

    async def watch(self, heartbeat: float, watcher: str = "") -> AsyncGenerator[Revision, None]:
        """Stream the revision: at once, at every change, and every `heartbeat` seconds.

        A `watcher` that names itself confirms what it was told, and withdrawals wait for that.
        """
        self._deps.meter.watching("revision", 1)
        if watcher:
            self._deps.watchers.joined(watcher, heartbeat)
        try:
            seen = -1
            clock = self._deps.clock
            said = clock.monotonic()
            with self._deps.poll.follow(dependencies.RULES) as changed:
                while True:
                    changed.reset()
                    event = await self._look(seen)
                    if event.revision > seen or clock.monotonic() - said >= heartbeat:
                        parts = _parts(event, seen)
                        seen, said = event.revision, clock.monotonic()
                        for part in parts:
                            yield part
                    await changed.wait(max(0.01, heartbeat - (clock.monotonic() - said)))
        finally:
            self._deps.meter.watching("revision", -1)
            if watcher:
                self._deps.watchers.left(watcher)

    async def _look(self, seen: int) -> Revision:
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Revision:
            revision = tx.ledger.revision()
            changed = revision > seen
            revoked = tuple(tx.tokens.revoked(seen, now)) if changed else ()
            return Revision(revision, tx.ledger.epoch(), revoked, heartbeat=not changed, changes=())

        # Every process watches and is woken by the same change: one read answers all that have seen as much.
        event = await self._deps.reads.read((dependencies.RULES, seen), lambda: self._deps.store.read(work))
        if not event.heartbeat:
            changes = self._deps.rule_changes.between(seen, event.revision) if seen >= 0 else None
            event = dataclasses.replace(event, changes=changes)
        self._deps.meter.revised(event.revision)
        return event


def _parts(event: Revision, seen: int) -> list[Revision]:
    """Split an event whose list of revocations is too long for one message.

    Only the last part has the new revision: who confirms it has heard of every revocation.
    """
    parts = []
    rest = event.revoked
    while len(rest) > _REVOKED_PER_EVENT:
        first, rest = rest[:_REVOKED_PER_EVENT], rest[_REVOKED_PER_EVENT:]
        parts.append(dataclasses.replace(event, revision=max(0, seen), revoked=first, changes=()))
    return [*parts, dataclasses.replace(event, revoked=rest)]


def _denial(case: DecisionRequest, decision: Decision) -> Event:
    check = case.check
    return Event(
        agent=check.principal.agent,
        kind=check.principal.kind,
        method=_METHOD,
        action=check.action,
        resource=case.target.name,
        outcome=AuditOutcome.DENIED,
        reason=_ERROR_REASONS.get(decision.reason, "PERMISSION_DENIED"),
        policies=decision.policies,
    )
