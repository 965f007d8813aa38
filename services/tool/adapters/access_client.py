"""The Access port on the process's authorizer."""

from services.chassis.auth.authz_client import Authorizer, PermissionCheck
from services.chassis.auth.identity import current_caller
from services.chassis.rpc.errors import ApprovalRequired, PermissionDenied


class CallersAccess:
    """Asks for the running call's caller, as the call itself was asked for."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def may(self, action: str, resource: str) -> bool:
        """Tell whether the caller may act on a resource, be it after an approval."""
        principal = current_caller().principal
        try:
            await self._authorizer.authorize(PermissionCheck(principal, action, resource))
        except ApprovalRequired:
            return True
        except PermissionDenied:
            return False
        return True
