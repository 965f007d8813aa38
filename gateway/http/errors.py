"""What the doors themselves refuse, and why. Other errors come from the calls behind them."""

from gateway.http.core.refusals import DoorError, Row
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation, KernelError


def anew(error: KernelError) -> KernelError:
    """Copy an error without where it was raised. One that is kept or raised again would keep those frames.

    Subclasses are made in different ways, so what is in it is copied, not its making.
    """
    told = type(error).__new__(type(error), *error.args)
    vars(told).update(vars(error))
    return told


class UnsupportedParameter(DoorError):
    """The client asks for what would change the meaning of the answer and what nothing here can do."""

    reason = "CAPABILITY_MISSING"
    code = Code.UNIMPLEMENTED
    row = Row(400, "invalid_request_error", "invalid_request_error", "unsupported_parameter")

    @classmethod
    def field(cls, name: str, description: str) -> "UnsupportedParameter":
        """Build the error for one field, named as the client names it."""
        return cls(f"{name}: {description}", violations=[FieldViolation(name, description)])


class UnsupportedContent(DoorError):
    """A message holds what no model here reads: an image, a sound, a file."""

    reason = "CAPABILITY_MISSING"
    code = Code.UNIMPLEMENTED
    row = Row(400, "invalid_request_error", "invalid_request_error", "unsupported_content")

    @classmethod
    def part(cls, path: str, kind: str) -> "UnsupportedContent":
        """Build the error for one part of a message, named as the client names it."""
        description = f"content of type {kind[:64]!r} is not supported; send text"
        return cls(f"{path}: {description}", violations=[FieldViolation(path, description)])


class NotFound(DoorError):
    """There is no such resource, or it is not the caller's."""

    reason = "CONTEXT_NOT_FOUND"
    code = Code.NOT_FOUND
    row = Row(404, "invalid_request_error", "not_found_error", "not_found")


class UnknownRoute(DoorError):
    """The door has no such path, or not with this method."""

    reason = "UNKNOWN_METHOD"
    code = Code.UNIMPLEMENTED
    row = Row(404, "invalid_request_error", "not_found_error", "unknown_url")


class WrongMethod(DoorError):
    """The path is there, but not for this method."""

    reason = "UNKNOWN_METHOD"
    code = Code.UNIMPLEMENTED
    row = Row(405, "invalid_request_error", "invalid_request_error", "method_not_allowed")


class RequestTimeout(DoorError):
    """The client took too long to send its request."""

    reason = "DEADLINE_EXCEEDED"
    code = Code.DEADLINE_EXCEEDED
    row = Row(408, "invalid_request_error", "timeout_error", "request_timeout")


class UnsupportedEncoding(DoorError):
    """The body is encoded in a way that the door does not read."""

    reason = "MALFORMED_REQUEST"
    code = Code.INVALID_ARGUMENT
    row = Row(415, "invalid_request_error", "invalid_request_error", "unsupported_encoding")
