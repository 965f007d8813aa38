"""This process's own calls: decided and verified here, without a round trip to itself."""

from services.access.checks import CheckDesk
from services.access.model import Check, Reason
from services.access.ports import Store
from services.chassis.auth import Authenticator
from services.chassis.authz import Question
from services.chassis.errors import AgentInactive, ApprovalRequired, CredentialRevoked, PermissionDenied
from services.chassis.identity import Principal


class LocalAuthorizer:
    """Decides the permission of a call with the same rules as everybody's."""

    def __init__(self, checks: CheckDesk) -> None:
        self._checks = checks

    async def authorize(self, question: Question) -> None:
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
    """Verifies tokens and asks the store whether they were revoked: no delay, unlike other processes."""

    def __init__(self, verifier: Authenticator, store: Store) -> None:
        self._verifier = verifier
        self._store = store

    async def authenticate(self, token: str) -> Principal:
        """Return whom a token names. Raises the CREDENTIAL_* errors."""
        holder = await self._verifier.authenticate(token)
        if await self._store.read(lambda tx: tx.tokens.is_revoked(holder)):
            raise CredentialRevoked("the token was revoked")
        return holder
