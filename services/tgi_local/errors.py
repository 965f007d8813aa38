"""Everything a request can fail with, each with TGI's status and `error_type`."""

from typing import ClassVar


class TgiError(Exception):
    """A failure the caller sees as `{"error", "error_type"}`."""

    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "internal"
    failure: ClassVar[str] = "generation"
    """Label of `tgi_request_failure`."""


class InvalidRequest(TgiError):
    """A parameter or the prompt is out of range."""

    status = 422
    error_type = "validation"
    failure = "validation"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Input validation error: {problem}")


class MalformedBody(Exception):
    """The body is not the JSON the route expects; answered as plain text, as TGI does."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Overloaded(TgiError):
    """All `max_concurrent_requests` places are taken."""

    status = 429
    error_type = "overloaded"
    failure = "overloaded"

    def __init__(self) -> None:
        super().__init__("Model is overloaded")


class TemplateFailed(TgiError):
    """The chat template refused the messages."""

    status = 422
    error_type = "template_error"
    failure = "template"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Template error: {problem}")


class GenerationFailed(TgiError):
    """The engine failed, or its output breaks the constraint it was given."""

    status = 424
    error_type = "generation"
    failure = "generation"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Request failed during generation: {problem}")


class IncompleteGeneration(TgiError):
    """The engine stopped without saying why."""

    status = 500
    error_type = "incomplete_generation"
    failure = "incomplete"

    def __init__(self) -> None:
        super().__init__("Incomplete generation")


class NotRunning(TgiError):
    """No running generation has this request id."""

    status = 404
    error_type = "not_running"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"no generation with request_id `{request_id}` is running")


class NotSuspendable(TgiError):
    """A generation under a constraint cannot continue later: the constraint's state is not saved."""

    status = 409
    error_type = "not_suspendable"

    def __init__(self) -> None:
        super().__init__("a generation under a grammar cannot be suspended")


class DuplicateRequest(TgiError):
    """The request id belongs to a generation that is still running."""

    status = 409
    error_type = "duplicate_request_id"
    failure = "validation"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"a generation with request_id `{request_id}` is already running")


class Suspended(TgiError):
    """The unary generation was suspended by its owner; there is no text to answer with."""

    status = 409
    error_type = "suspended"
    failure = "suspended"

    def __init__(self) -> None:
        super().__init__("the generation was suspended")
