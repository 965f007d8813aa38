"""This process's own calls: decided and verified here, without a round trip to itself."""

import math
import secrets
from collections.abc import Iterable
from contextlib import aclosing
from typing import Final

from services.access.model.agents import Revocation
from services.access.model.rules import Check, Reason
from services.access.ports.store import Transaction
from services.access.service.decisions import DecisionService, Revision
from services.access.service.dependencies import Dependencies
from services.access.service.marks import MarkService
from services.access.service.watchers import MISSED_HEARTBEATS
from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.auth.rules import Listener, RulesChanged, Withdrawal
from services.chassis.auth.tokens import Revocations, TokenVerifier
from services.chassis.rpc.errors import AgentInactive, ApprovalRequired, PermissionDenied

_SELF: Final = Caller(agent="access", tenant="kernel", kind=Kind.SERVICE)
"""Who marks what this process delivers, for the audit log."""
_HEARTBEAT: Final = 2.0
"""Longest silence between two events of the watch. Unit: seconds."""


class LocalAuthorizer:
    """Decides the permission of a call with the same rules as everybody's.

    Run `watch` as a supervised background task: this process's own streams follow the rules by it, as those
    of the other processes do.
    """

    def __init__(self, checks: DecisionService, marks: MarkService) -> None:
        self._checks = checks
        self._marks = marks
        self._listeners: list[Listener] = []
        self._revocations = Revocations()
        self._name = f"access-{secrets.token_hex(8)}"
        self._heard = -math.inf

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` of every change of the rules, before it is confirmed."""
        self._listeners.append(listener)

    @property
    def live(self) -> bool:
        """Whether changes of the rules would be heard right now."""
        return self._checks.clock.monotonic() - self._heard < MISSED_HEARTBEATS * _HEARTBEAT

    async def watch(self) -> None:
        """Follow the rules for ever. Raises what the store raises."""
        async with aclosing(self._checks.watch(_HEARTBEAT, self._name)) as events:
            async for event in events:
                self._learn(event)

    def _learn(self, event: Revision) -> None:
        self._heard = self._checks.clock.monotonic()
        if event.heartbeat:
            return
        add_revocations(self._revocations, event.revoked)
        withdrawals = None
        if event.changes is not None:
            withdrawals = tuple(
                Withdrawal(one.tenant, one.agents or frozenset(), mark=one.mark) for one in event.changes
            )
        if withdrawals != () or event.revoked:
            for listener in self._listeners:
                listener(RulesChanged(self._revocations, withdrawals))
        self._revocations.forget(self._checks.clock.now().timestamp())
        self._checks.confirm(self._name, event.revision)

    async def mark(self, who: Principal, source: str) -> None:
        """Mark an agent; see Authorizer."""
        await self._marks.mark(_SELF, who.tenant, who.agent, source)

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission. Raises PermissionDenied, AgentInactive or ApprovalRequired."""
        who = question.principal
        check = Check(who, question.action, question.resource, question.untrusted, question.effect)
        decision = await self._checks.check(check)
        needs_approval = decision.reason is Reason.APPROVAL_REQUIRED and question.approvable
        if decision.allowed or needs_approval:
            return Permission(
                until=decision.expire_time.timestamp() if decision.expire_time is not None else None,
                tree=decision.tree,
                owner_tree=decision.owner_tree,
                untrusted=decision.untrusted,
                effect_matters=decision.effect_matters,
                needs_approval=needs_approval,
            )
        name = f"agents/{who.agent}"
        metadata = {"agent": name, "action": question.action, "resource": question.resource}
        if decision.reason is Reason.AGENT_INACTIVE:
            raise AgentInactive(f"{name} is not active", metadata=metadata)
        if decision.reason is Reason.APPROVAL_REQUIRED:
            raise ApprovalRequired(f"{question.action} needs a person's approval", metadata=metadata)
        raise PermissionDenied(f"{name} may not {question.action} {question.resource}", metadata=metadata)


class LocalAuthenticator:
    """Verifies tokens against revocations that are read again after every change made here.

    A revocation made by this process counts at once, one made by another within the poll time.
    """

    def __init__(self, verifier: TokenVerifier, revocations: Revocations, ports: Dependencies) -> None:
        """`revocations` are those that `verifier` looks at."""
        self._verifier = verifier
        self._revocations = revocations
        self._deps = ports
        self.clock = ports.clock
        """By which tokens expire."""
        self._seen = -1
        self._rings = -1
        self._looked = -math.inf

    async def authenticate(self, token: str) -> Principal:
        """Return whom a token names. Raises the CREDENTIAL_* errors."""
        now = self._deps.clock.monotonic()
        rings = self._deps.changes.count
        if rings != self._rings or now - self._looked >= self._deps.settings.poll:
            await self._look()
            self._rings, self._looked = rings, now
        return await self._verifier.authenticate(token)

    async def _look(self) -> None:
        now = self._deps.clock.now()

        def work(tx: Transaction) -> tuple[int, list[Revocation]]:
            return tx.ledger.revision(), tx.tokens.revoked(self._seen, now)

        self._seen, revoked = await self._deps.store.read(work)
        add_revocations(self._revocations, revoked)
        self._revocations.forget(now.timestamp())


def add_revocations(known: Revocations, revoked: Iterable[Revocation]) -> None:
    """Add what the store has to what a verifier looks at."""
    for one in revoked:
        forget_at = one.expire_time.timestamp()
        if one.token_id:
            known.revoke_token(one.token_id, tenant=one.tenant, agent=one.agent, forget_at=forget_at)
        else:
            until = one.revoke_time.timestamp()
            known.revoke_agent(one.tenant, one.agent, issued_until=until, forget_at=forget_at)
