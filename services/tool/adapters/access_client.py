"""The Access port on the process's authorizer."""

from typing import Final

from services.chassis.auth.authz_client import Authorizer, PermissionCheck
from services.chassis.auth.identity import current_caller
from services.chassis.rpc.errors import ApprovalRequired, PermissionDenied
from services.tool.model import Tool

_CALL: Final = "tool.call"


class CallersAccess:
    """Asks for the running call's caller, as the call itself was asked for."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def needs_approval(self, tool: Tool, *, untrusted: bool) -> bool:
        """Ask with all that is known of the call; see the port."""
        permission = await self._authorizer.authorize(
            PermissionCheck(
                current_caller().principal,
                _CALL,
                f"tools/{tool.id}",
                untrusted=untrusted,
                effect=tool.effect.value,
                approvable=True,
            )
        )
        return permission.needs_approval

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
