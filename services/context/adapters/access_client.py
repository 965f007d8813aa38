"""The Access port on the process's authorizer."""

from services.chassis.auth.authz_client import Authorizer, PermissionCheck
from services.chassis.auth.identity import current_caller


class CallersAccess:
    """Asks for the running call's caller, as the call itself was asked for."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def require(self, action: str, resource: str) -> None:
        """Return when the caller may act on a resource.

        Raises what the authorizer raises.
        """
        principal = current_caller().principal
        await self._authorizer.authorize(
            PermissionCheck(principal, action, resource, read=action.endswith(".read"))
        )
