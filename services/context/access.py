"""The Access port on the process's authorizer."""

from services.chassis.authz import Authorizer, Question
from services.chassis.identity import Principal, current_caller


class CallersAccess:
    """Asks for the running call's caller, as the call itself was asked for."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def require(self, action: str, resource: str) -> None:
        """Return when the caller may act on a resource.

        Raises what the authorizer raises.
        """
        caller = current_caller()
        principal = Principal(caller.agent, caller.tenant, caller.kind, caller.parent)
        await self._authorizer.authorize(Question(principal, action, resource, read=action.endswith(".read")))
