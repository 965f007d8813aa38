"""What the MCP door itself refuses."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class ToolNotFound(KernelError):
    """The door has no tool of this name."""

    reason = "TOOL_NOT_FOUND"
    code = Code.NOT_FOUND


class ArgumentsInvalid(KernelError):
    """The arguments do not match the schema of one of the door's tools."""

    reason = "TOOL_ARGUMENTS_INVALID"
    code = Code.INVALID_ARGUMENT


class ResourceTooLarge(KernelError):
    """The resource is larger than what is read whole."""

    reason = "REQUEST_TOO_LARGE"
    code = Code.RESOURCE_EXHAUSTED


class OriginRefused(KernelError):
    """The request comes from a web page that may not call."""

    reason = "PERMISSION_DENIED"
    code = Code.PERMISSION_DENIED
