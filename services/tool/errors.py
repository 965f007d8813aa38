"""What the tool manager refuses, and why."""

from collections.abc import Mapping

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.chassis.sandbox import errors as sandbox_errors

SandboxUnavailable = sandbox_errors.SandboxUnavailable
SandboxLost = sandbox_errors.SandboxLost
ToolBusy = sandbox_errors.ToolBusy
ToolFailed = sandbox_errors.ToolFailed


class ToolNotFound(KernelError):
    """No such tool."""

    reason = "TOOL_NOT_FOUND"
    code = Code.NOT_FOUND


class ToolExists(KernelError):
    """The name is taken."""

    reason = "ALREADY_EXISTS"
    code = Code.ALREADY_EXISTS


class EtagMismatch(KernelError):
    """The tool has changed since it was read."""

    reason = "ETAG_MISMATCH"
    code = Code.ABORTED


class SchemaInvalid(KernelError):
    """The tool's own schema is not valid, too large or too deep."""

    reason = "TOOL_SCHEMA_INVALID"
    code = Code.INVALID_ARGUMENT


class ArgumentsInvalid(KernelError):
    """The arguments do not match the tool's schema."""

    reason = "TOOL_ARGUMENTS_INVALID"
    code = Code.INVALID_ARGUMENT


class ToolTimeout(KernelError):
    """The tool ran longer than its timeout and was stopped."""

    reason = "TOOL_TIMEOUT"
    code = Code.DEADLINE_EXCEEDED


class ResultInvalid(KernelError):
    """What the tool returned is too large, or does not match its own schema."""

    reason = "TOOL_RESULT_INVALID"
    code = Code.INTERNAL


class UnknownOutcome(KernelError):
    """The tool may have run; it is not repeated by itself."""

    reason = "UNKNOWN_OUTCOME"
    code = Code.ABORTED


class CallNotFound(KernelError):
    """No such call."""

    reason = "CALL_NOT_FOUND"
    code = Code.NOT_FOUND


class ProviderLost(KernelError):
    """The process that provides the tool is not connected."""

    reason = "TOOL_PROVIDER_LOST"
    code = Code.UNAVAILABLE


class LeaseLost(KernelError):
    """The provider no longer holds the call."""

    reason = "CALL_LEASE_LOST"
    code = Code.ABORTED


class CapabilityMissing(KernelError):
    """This kernel cannot run such a tool."""

    reason = "CAPABILITY_MISSING"
    code = Code.UNIMPLEMENTED


class EgressDenied(KernelError):
    """The kernel does not send there for this agent."""

    reason = "EGRESS_DENIED"
    code = Code.PERMISSION_DENIED


class EgressFailed(ToolFailed):
    """The other end could not be reached, or does not speak HTTP."""


class ToolChanged(KernelError):
    """The tool is not what was accepted; a person has to look at it first."""

    reason = "TOOL_CHANGED"
    code = Code.FAILED_PRECONDITION


class ToolInUse(KernelError):
    """Calls of the tool wait or run that the change would break."""

    reason = "TOOL_IN_USE"
    code = Code.FAILED_PRECONDITION


class McpServerFailed(KernelError):
    """The MCP server cannot be reached, died, or does not keep to the protocol."""

    reason = "MCP_SERVER_FAILED"
    code = Code.UNAVAILABLE


class TooManyCalls(KernelError):
    """The agent has as many calls under way as it may."""

    reason = "TOO_MANY_CALLS"
    code = Code.RESOURCE_EXHAUSTED


class ServerNotFound(KernelError):
    """No such MCP server."""

    reason = "MCP_SERVER_NOT_FOUND"
    code = Code.NOT_FOUND


class SecretNotFound(KernelError):
    """No such secret."""

    reason = "SECRET_NOT_FOUND"
    code = Code.NOT_FOUND


class SecretsUnavailable(KernelError):
    """The key that seals secrets is missing, or does not open this one."""

    reason = "SECRETS_UNAVAILABLE"
    code = Code.FAILED_PRECONDITION


class ToolNotTested(KernelError):
    """The draft has not passed its examples as it is."""

    reason = "TOOL_NOT_TESTED"
    code = Code.FAILED_PRECONDITION


class CallFailed(KernelError):
    """A call's failure as the ledger has it: its reason and code are those of the first answer."""

    def __init__(
        self,
        reason: str,
        code: Code,
        message: str,
        *,
        metadata: Mapping[str, str],
        retry_after: float | None,
        untrusted: bool,
    ) -> None:
        super().__init__(message, metadata=metadata, retry_after=retry_after)
        self.untrusted = untrusted
        self.reason = reason
        self.code = code
