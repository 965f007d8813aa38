"""Which calls wait for a person."""

from services.chassis.errors import ApprovalRequired
from services.tool.model import Effect, Tool


def require_approval(tool: Tool) -> None:
    """Refuse a call that a person must approve. Raises ApprovalRequired."""
    if tool.requires_approval or tool.effect is Effect.IRREVERSIBLE:
        raise ApprovalRequired(f"each call of tools/{tool.id} must be approved", metadata={"tool": tool.id})
