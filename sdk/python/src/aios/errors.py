"""Every error a call into the kernel can raise, one tree under `AiosError`.

The kernel answers a failed call with a reason from a closed list (`aios.api.common.v1.ErrorReason`).
`BY_REASON` maps each reason to the class that an agent's author would catch; `reason` keeps the exact word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aios.hints import hint_of

if TYPE_CHECKING:
    from aios.types.llm import Message


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that a request broke."""

    field: str
    """Path of the request field, such as `note.content`."""

    description: str
    """What is wrong with it, in plain words."""


class AiosError(Exception):
    """A call into the kernel failed.

    `reason` is the kernel's word for it (`QUEUE_FULL`), `metadata` the facts behind the message,
    `retry_after` the seconds after which a new attempt makes sense (or None), `violations` the broken rules
    of an invalid request, `method` the RPC that failed and `hint` what to do, where the client knows that.
    """

    default_reason = "UNKNOWN"

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        violations: tuple[Violation, ...] = (),
        method: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after
        self.violations = violations
        self.method = method
        self._advice = ""
        self.advise(hint or hint_of(self.reason, self.metadata))

    @property
    def hint(self) -> str:
        """What to do about it, in one sentence or two; empty for a reason unknown to this SDK."""
        return self._advice

    def advise(self, hint: str) -> None:
        """Say what to do about it, instead of what was said; a traceback shows it below the message."""
        if self._advice:
            self.__notes__.remove(self._advice)
        self._advice = hint
        if hint:
            self.add_note(hint)

    def __str__(self) -> str:
        text = f"{self.reason}: {self.message}" if self.message else self.reason
        # The message names the first; long descriptions come cut.
        untold = (v for v in self.violations if v.description.removesuffix("...") not in self.message)
        broken = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in untold)
        return f"{text} ({broken})" if broken else text


class InvalidRequest(AiosError):
    """The request breaks a rule; `violations` lists which."""

    default_reason = "INVALID_REQUEST"


class PromptTooLong(InvalidRequest):
    """Prompt and answer do not fit the model's window, or no backend is large enough."""

    default_reason = "PROMPT_TOO_LONG"


class ToolArgumentsInvalid(InvalidRequest):
    """The arguments do not match the tool's schema; `violations` lists where."""

    default_reason = "TOOL_ARGUMENTS_INVALID"


class NotFound(AiosError):
    """What the call names does not exist."""

    default_reason = "NOT_FOUND"


class AlreadyExists(AiosError):
    """What the call would create exists already."""

    default_reason = "ALREADY_EXISTS"


class Unauthenticated(AiosError):
    """The call carried no valid credential."""

    default_reason = "CREDENTIAL_MISSING"


class CredentialExpired(Unauthenticated):
    """The credential has expired and could not be renewed."""

    default_reason = "CREDENTIAL_EXPIRED"


class PermissionDenied(AiosError):
    """No policy permits the action on the resource."""

    default_reason = "PERMISSION_DENIED"


class AgentInactive(PermissionDenied):
    """The agent is suspended or killed."""

    default_reason = "AGENT_INACTIVE"


class ResourceExhausted(AiosError):
    """Some limit is reached; `retry_after` says when to come back, if waiting helps."""

    default_reason = "RESOURCE_EXHAUSTED"


class QuotaExceeded(ResourceExhausted):
    """The agent's quota is used up."""

    default_reason = "QUOTA_EXCEEDED"


class UsageLimitExceeded(ResourceExhausted):
    """A run of an agent needs more than its `UsageLimits` allow; `messages` is the conversation so far."""

    default_reason = "USAGE_LIMIT"

    def __init__(self, message: str = "", *, messages: tuple["Message", ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.messages = messages


class QueueFull(ResourceExhausted):
    """Too many calls wait already."""

    default_reason = "QUEUE_FULL"


class WaitExpired(ResourceExhausted):
    """The call waited in the queue longer than its `max_wait`."""

    default_reason = "WAIT_EXPIRED"


class TooManyCalls(ResourceExhausted):
    """The agent has too many calls in flight."""

    default_reason = "TOO_MANY_CALLS"


class ToolBusy(ResourceExhausted):
    """The tool runs as many calls as it may."""

    default_reason = "TOOL_BUSY"


class RequestTooLarge(ResourceExhausted):
    """The request, or the response, is larger than the method accepts."""

    default_reason = "REQUEST_TOO_LARGE"


class DiskFull(ResourceExhausted):
    """The kernel's disk is full; reads and deletes still work."""

    default_reason = "DISK_FULL"


class Conflict(AiosError):
    """The call lost against a concurrent change."""

    default_reason = "ABORTED"


class EtagMismatch(Conflict):
    """The resource changed since it was read: read again and retry."""

    default_reason = "ETAG_MISMATCH"


class IdempotencyMismatch(Conflict):
    """The same `request_id` was used for a different request."""

    default_reason = "IDEMPOTENCY_MISMATCH"


class UnknownOutcome(Conflict):
    """The tool may have run. It is not repeated by itself."""

    default_reason = "UNKNOWN_OUTCOME"


class PreconditionFailed(AiosError):
    """The system is not in the state that the call needs."""

    default_reason = "FAILED_PRECONDITION"


class ConnectionClosed(PreconditionFailed):
    """The connection was closed in this program: `aios.connect` makes another one."""

    default_reason = "CONNECTION_CLOSED"


class ToolFailed(PreconditionFailed):
    """The tool itself reported a failure; the message says which."""

    default_reason = "TOOL_FAILED"


class ApprovalRequired(PreconditionFailed):
    """The call waits for a person's approval."""

    default_reason = "APPROVAL_REQUIRED"


class OutOfRange(AiosError):
    """The position is not one that can be read or written."""

    default_reason = "OUT_OF_RANGE"


class DeadlineExceeded(AiosError):
    """The call's deadline passed."""

    default_reason = "DEADLINE_EXCEEDED"


class ToolTimeout(DeadlineExceeded):
    """The tool ran longer than its timeout and was stopped."""

    default_reason = "TOOL_TIMEOUT"


class Cancelled(AiosError):
    """Somebody else cancelled the call: an administrator, or a kill of the agent."""

    default_reason = "CANCELLED"


class Unavailable(AiosError):
    """A part of the kernel could not be reached, also after retries."""

    default_reason = "SERVICE_UNAVAILABLE"


class KernelUnreachable(Unavailable):
    """No kernel has answered at the address so far. It is not tried again by itself.

    `metadata["address"]` is where, `metadata["cause"]` one of `refused`, `silent`, `unknown_host`,
    `unreachable`, `tls_expected`, `plaintext_expected`, `certificate`, `client_certificate`, `http`, `other`.
    """

    default_reason = "KERNEL_UNREACHABLE"


class NoBackend(Unavailable):
    """No backend serves the model right now."""

    default_reason = "NO_BACKEND"


class Unimplemented(AiosError):
    """The kernel, or the backend, lacks the method or capability."""

    default_reason = "UNKNOWN_METHOD"


class InternalError(AiosError):
    """A defect in the kernel; `metadata["error_id"]` is found in its logs."""

    default_reason = "INTERNAL"


class OutputInvalid(InternalError):
    """The model's output is not what was asked for: it breaks the schema, or ended too early.

    Of an agent's run `messages` is the conversation so far.
    """

    default_reason = "CONSTRAINT_UNMET"

    def __init__(self, message: str = "", *, messages: tuple["Message", ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.messages = messages


class DataLoss(AiosError):
    """Stored bytes do not match their checksum."""

    default_reason = "DATA_CORRUPT"


BY_REASON: Final[Mapping[str, type[AiosError]]] = {
    "INVALID_REQUEST": InvalidRequest,
    "MALFORMED_REQUEST": InvalidRequest,
    "REQUEST_TOO_LARGE": RequestTooLarge,
    "UNKNOWN_METHOD": Unimplemented,
    "INTERNAL": InternalError,
    "SERVICE_UNAVAILABLE": Unavailable,
    "DRAINING": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Cancelled,
    "SLOW_READER": ResourceExhausted,
    "IDEMPOTENCY_MISMATCH": IdempotencyMismatch,
    "INVALID_PAGE_TOKEN": InvalidRequest,
    "REQUEST_POISONED": InvalidRequest,
    "CREDENTIAL_MISSING": Unauthenticated,
    "CREDENTIAL_INVALID": Unauthenticated,
    "CREDENTIAL_EXPIRED": CredentialExpired,
    "CREDENTIAL_REVOKED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "ACCESS_UNAVAILABLE": Unavailable,
    "AGENT_INACTIVE": AgentInactive,
    "AGENT_NOT_FOUND": NotFound,
    "AGENT_EXISTS": AlreadyExists,
    "POLICY_INVALID": InvalidRequest,
    "RULE_NOT_FOUND": NotFound,
    "AGENT_TREE_LIMIT": PreconditionFailed,
    "APPROVAL_NOT_FOUND": NotFound,
    "QUEUE_FULL": QueueFull,
    "WAIT_EXPIRED": WaitExpired,
    "NO_BACKEND": NoBackend,
    "SCHEDULER_UNAVAILABLE": Unavailable,
    "NEVER_FITS": PromptTooLong,
    "SYSCALL_NOT_FOUND": NotFound,
    "UNKNOWN_SCHEDULING_POLICY": InvalidRequest,
    "TOO_MANY_CALLS": TooManyCalls,
    "MODEL_NOT_FOUND": NotFound,
    "PROMPT_TOO_LONG": PromptTooLong,
    "CONSTRAINT_INVALID": InvalidRequest,
    "BACKEND_REFUSED": InvalidRequest,
    "BACKEND_FAILED": Unavailable,
    "GENERATION_NOT_FOUND": NotFound,
    "EVENTS_EXPIRED": OutOfRange,
    "CONSTRAINT_UNMET": OutputInvalid,
    "CAPABILITY_MISSING": Unimplemented,
    "NOTE_NOT_FOUND": NotFound,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "ETAG_MISMATCH": EtagMismatch,
    "ALREADY_EXISTS": AlreadyExists,
    "FILE_NOT_FOUND": NotFound,
    "WRONG_FILE_KIND": PreconditionFailed,
    "DIRECTORY_NOT_EMPTY": PreconditionFailed,
    "PATH_INVALID": InvalidRequest,
    "DATA_CORRUPT": DataLoss,
    "UPLOAD_NOT_FOUND": NotFound,
    "OFFSET_MISMATCH": OutOfRange,
    "DISK_FULL": DiskFull,
    "RECORD_NOT_FOUND": NotFound,
    "QUERY_INVALID": InvalidRequest,
    "CONTEXT_NOT_FOUND": NotFound,
    "WINDOW_TOO_SMALL": PreconditionFailed,
    "SNAPSHOT_NOT_FOUND": NotFound,
    "ORPHAN_TOOL_RESULT": InvalidRequest,
    "TOOL_NOT_FOUND": NotFound,
    "TOOL_ARGUMENTS_INVALID": ToolArgumentsInvalid,
    "TOOL_SCHEMA_INVALID": InvalidRequest,
    "TOOL_BUSY": ToolBusy,
    "TOOL_TIMEOUT": ToolTimeout,
    "TOOL_FAILED": ToolFailed,
    "UNKNOWN_OUTCOME": UnknownOutcome,
    "APPROVAL_REQUIRED": ApprovalRequired,
    "CALL_NOT_FOUND": NotFound,
    "TOOL_PROVIDER_LOST": Unavailable,
    "TOOL_CHANGED": PreconditionFailed,
    "TOOL_IN_USE": PreconditionFailed,
    "TOOL_NOT_TESTED": PreconditionFailed,
    "TOOL_RESULT_INVALID": InternalError,
    "CALL_LEASE_LOST": Conflict,
    "MCP_SERVER_NOT_FOUND": NotFound,
    "MCP_SERVER_FAILED": Unavailable,
    "SANDBOX_UNAVAILABLE": PreconditionFailed,
    "EGRESS_DENIED": PermissionDenied,
    "SECRET_NOT_FOUND": NotFound,
    "SECRETS_UNAVAILABLE": PreconditionFailed,
    "APPROVAL_DECIDED": PreconditionFailed,
    "APPROVAL_EXPIRED": ApprovalRequired,
    "GROUP_CYCLE": PreconditionFailed,
    "RULE_PROTECTED": PreconditionFailed,
    "AGENT_ALIVE": PreconditionFailed,
    "PERSON_NOT_FOUND": NotFound,
    "LAST_ADMINISTRATOR": PreconditionFailed,
    "UPLOAD_INCOMPLETE": PreconditionFailed,
    "CHECKSUM_MISMATCH": InvalidRequest,
    "NOT_COMPARABLE": PreconditionFailed,
    "SNAPSHOT_CONFLICT": Conflict,
    "SNAPSHOT_KEY_MISSING": PreconditionFailed,
}
"""The class of each reason. A test compares the keys with the proto enum."""

BY_CODE: Final[Mapping[str, type[AiosError]]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAUTHENTICATED": Unauthenticated,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "FAILED_PRECONDITION": PreconditionFailed,
    "ABORTED": Conflict,
    "OUT_OF_RANGE": OutOfRange,
    "UNIMPLEMENTED": Unimplemented,
    "INTERNAL": InternalError,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": DataLoss,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Cancelled,
}
"""The class of each gRPC status code, for answers without a reason or with one unknown here."""
