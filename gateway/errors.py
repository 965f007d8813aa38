"""What the gateway refuses, and why."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class ModelNotFound(KernelError):
    """No backend has ever served a model of this name."""

    reason = "MODEL_NOT_FOUND"
    code = Code.NOT_FOUND


class PromptTooLong(KernelError):
    """Prompt and answer do not fit the model's window."""

    reason = "PROMPT_TOO_LONG"
    code = Code.INVALID_ARGUMENT


class ConstraintInvalid(KernelError):
    """The JSON schema or regular expression does not compile, costs too much, or cannot be kept."""

    reason = "CONSTRAINT_INVALID"
    code = Code.INVALID_ARGUMENT


class OrphanToolResult(KernelError):
    """A tool's result without the call before it."""

    reason = "ORPHAN_TOOL_RESULT"
    code = Code.INVALID_ARGUMENT

    @classmethod
    def at(cls, index: int, call: str) -> "OrphanToolResult":
        """Build the error for the message at an index, which answers `call`."""
        return cls(
            f"messages[{index}] answers {call!r}, which no tool call before it waits for",
            metadata={"tool_call_id": call, "index": str(index)},
        )


class ConstraintUnmet(KernelError):
    """The finished output does not satisfy the constraint."""

    reason = "CONSTRAINT_UNMET"
    code = Code.INTERNAL


class BackendRefused(KernelError):
    """The backend refused the request; the message says why."""

    reason = "BACKEND_REFUSED"
    code = Code.INVALID_ARGUMENT


class BackendFailed(KernelError):
    """The backend failed and no other could take over in time."""

    reason = "BACKEND_FAILED"
    code = Code.UNAVAILABLE


class ModelReplaced(BackendFailed):
    """The server serves something else by now, and no other replica can go on with the answer."""


class GenerationNotFound(KernelError):
    """No such generation, or it is too long finished."""

    reason = "GENERATION_NOT_FOUND"
    code = Code.NOT_FOUND


class CapabilityMissing(KernelError):
    """The backend lacks the capability."""

    reason = "CAPABILITY_MISSING"
    code = Code.UNIMPLEMENTED
