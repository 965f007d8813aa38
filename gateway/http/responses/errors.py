"""What Responses refuse by themselves."""

from gateway.http.core.refusals import DoorError, Row
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation


class PreviousNotFound(DoorError):
    """The response to go on with is not stored, no longer, or not the caller's."""

    reason = "CONTEXT_NOT_FOUND"
    code = Code.NOT_FOUND
    row = Row(400, "invalid_request_error", "invalid_request_error", "previous_response_not_found")

    @classmethod
    def of(cls, ident: str) -> "PreviousNotFound":
        """Build the error for an id that a client named."""
        field = "previous_response_id"
        text = f"previous response with id {ident[:128]!r} not found"
        return cls(text, violations=[FieldViolation(field, text)])


class NotCancellable(DoorError):
    """Only what goes on in the background can be cancelled."""

    reason = "INVALID_REQUEST"
    code = Code.INVALID_ARGUMENT
    row = Row(400, "invalid_request_error", "invalid_request_error", "not_cancellable")
