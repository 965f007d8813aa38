"""This process's own calls: decided and verified here, without a round trip to itself."""

import math

from services.access.model import Check, Reason, Revocation
from services.access.ports import Transaction
from services.access.service.decisions import DecisionService
from services.access.service.dependencies import Dependencies
from services.chassis.auth.authz_client import PermissionCheck
from services.chassis.auth.identity import Principal
from services.chassis.auth.tokens import Revocations, TokenVerifier
from services.chassis.rpc.errors import AgentInactive, ApprovalRequired, PermissionDenied


class LocalAuthorizer:
    """Decides the permission of a call with the same rules as everybody's."""

    def __init__(self, checks: DecisionService) -> None:
        self._checks = checks

    async def authorize(self, question: PermissionCheck) -> None:
        """Return when permitted. Raises PermissionDenied, AgentInactive or ApprovalRequired."""
        who = question.principal
        decision = await self._checks.check(Check(who, question.action, question.resource))
        if decision.allowed:
            return
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
        for one in revoked:
            forget_at = one.expire_time.timestamp()
            if one.token_id:
                self._revocations.revoke_token(one.token_id, forget_at=forget_at)
            else:
                until = one.revoke_time.timestamp()
                self._revocations.revoke_agent(one.tenant, one.agent, issued_until=until, forget_at=forget_at)
        self._revocations.forget(now.timestamp())
