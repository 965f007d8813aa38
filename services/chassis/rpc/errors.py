"""The typed errors of the kernel: one class per reason, each with its status code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.chassis.rpc.codes import Code


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks a rule."""

    field: str
    """Path of the field, such as `note.key`; empty for the request as a whole."""
    description: str


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """The quota that is used up."""

    subject: str
    """Whose quota it is, such as `agents/planner`."""
    description: str


@dataclass(frozen=True, slots=True)
class PreconditionViolation:
    """The state that stands in the way."""

    kind: str
    """What sort of condition failed, such as `APPROVAL`."""
    subject: str
    """The resource whose state it is, such as `agents/planner/approvals/a1`."""
    description: str


class KernelError(Exception):
    """An error that a caller can act on. Subclass it with the `reason` and `code` of one ErrorReason.

    Every dynamic part of the message belongs into `metadata` too, so that programs need not parse prose.
    `retry_after` is in seconds and becomes RetryInfo; `violations` become BadRequest.
    """

    reason: str = "INTERNAL"
    code: Code = Code.INTERNAL
    untrusted: bool = False
    """Whether its text comes from somebody nobody vouches for: who is told it is marked first."""

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        violations: Sequence[FieldViolation] = (),
        quota: QuotaViolation | None = None,
        precondition: PreconditionViolation | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.violations = list(violations)
        self.quota = quota
        self.precondition = precondition


class InvalidRequest(KernelError):
    """The request breaks a rule; `violations` list each."""

    reason = "INVALID_REQUEST"
    code = Code.INVALID_ARGUMENT

    @classmethod
    def field(cls, name: str, description: str) -> "InvalidRequest":
        """Build the error for one bad field."""
        return cls(f"{name}: {description}", violations=[FieldViolation(name, description)])


class MalformedRequest(KernelError):
    """The bytes are not a message of the method's request type."""

    reason = "MALFORMED_REQUEST"
    code = Code.INVALID_ARGUMENT


class RequestTooLarge(KernelError):
    """The request is larger than the method accepts."""

    reason = "REQUEST_TOO_LARGE"
    code = Code.RESOURCE_EXHAUSTED


class UnknownMethod(KernelError):
    """No such method."""

    reason = "UNKNOWN_METHOD"
    code = Code.UNIMPLEMENTED


class Internal(KernelError):
    """A defect in the kernel; metadata holds `error_id`."""

    reason = "INTERNAL"
    code = Code.INTERNAL


class RequestPoisoned(KernelError):
    """The request has ended the process that works on such requests, twice."""

    reason = "REQUEST_POISONED"
    code = Code.INVALID_ARGUMENT


class ServiceUnavailable(KernelError):
    """A part of the kernel cannot be reached right now."""

    reason = "SERVICE_UNAVAILABLE"
    code = Code.UNAVAILABLE


class Draining(KernelError):
    """The process is shutting down; another one answers."""

    reason = "DRAINING"
    code = Code.UNAVAILABLE


class DeadlineExceeded(KernelError):
    """The call's deadline passed."""

    reason = "DEADLINE_EXCEEDED"
    code = Code.DEADLINE_EXCEEDED


class Cancelled(KernelError):
    """The caller, or an administrator, cancelled the call."""

    reason = "CANCELLED"
    code = Code.CANCELLED


class SlowReader(KernelError):
    """The caller took nothing of a stream for too long."""

    reason = "SLOW_READER"
    code = Code.RESOURCE_EXHAUSTED


class IdempotencyMismatch(KernelError):
    """The same `request_id` was used for a different request."""

    reason = "IDEMPOTENCY_MISMATCH"
    code = Code.ABORTED


class InvalidPageToken(KernelError):
    """The page token is not one this list returned."""

    reason = "INVALID_PAGE_TOKEN"
    code = Code.INVALID_ARGUMENT


class CredentialMissing(KernelError):
    """No credential came with the call."""

    reason = "CREDENTIAL_MISSING"
    code = Code.UNAUTHENTICATED


class CredentialInvalid(KernelError):
    """The credential is malformed, forged or meant for another audience."""

    reason = "CREDENTIAL_INVALID"
    code = Code.UNAUTHENTICATED


class CredentialExpired(KernelError):
    """The credential has expired."""

    reason = "CREDENTIAL_EXPIRED"
    code = Code.UNAUTHENTICATED


class CredentialRevoked(KernelError):
    """The credential was revoked."""

    reason = "CREDENTIAL_REVOKED"
    code = Code.UNAUTHENTICATED


class PermissionDenied(KernelError):
    """No policy permits the action on the resource."""

    reason = "PERMISSION_DENIED"
    code = Code.PERMISSION_DENIED


class AgentInactive(KernelError):
    """The agent is suspended or killed."""

    reason = "AGENT_INACTIVE"
    code = Code.PERMISSION_DENIED


class ApprovalRequired(KernelError):
    """The action is permitted once a person has approved it."""

    reason = "APPROVAL_REQUIRED"
    code = Code.FAILED_PRECONDITION


class AccessUnavailable(KernelError):
    """The access service cannot be asked, so the call is refused."""

    reason = "ACCESS_UNAVAILABLE"
    code = Code.UNAVAILABLE


class DiskFull(KernelError):
    """The disk is full; reads still work."""

    reason = "DISK_FULL"
    code = Code.RESOURCE_EXHAUSTED


class QuotaExceeded(KernelError):
    """The agent may not keep more."""

    reason = "QUOTA_EXCEEDED"
    code = Code.RESOURCE_EXHAUSTED

    @classmethod
    def of(cls, agent: str, what: str, *, wanted: int, limit: int) -> "QuotaExceeded":
        """Build the error: `wanted` of `what` in all would pass `limit`."""
        text = f"{wanted} {what} wanted, {limit} allowed"
        return cls(
            text,
            metadata={"wanted": str(wanted), "limit": str(limit), "quota": what},
            quota=QuotaViolation(f"agents/{agent}", text),
        )


class DataCorrupt(KernelError):
    """Stored bytes are not what was written."""

    reason = "DATA_CORRUPT"
    code = Code.DATA_LOSS
