"""What can go wrong in the memory manager, one class a reason."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class NoteNotFound(KernelError):
    """No such note: never written, deleted or expired."""

    reason = "NOTE_NOT_FOUND"
    code = Code.NOT_FOUND

    @classmethod
    def of(cls, key: str) -> "NoteNotFound":
        """Build the error for a key."""
        return cls(f"no note {key!r}", metadata={"key": key})


class AlreadyExists(KernelError):
    """The note exists already."""

    reason = "ALREADY_EXISTS"
    code = Code.ALREADY_EXISTS

    @classmethod
    def of(cls, key: str) -> "AlreadyExists":
        """Build the error for a key."""
        return cls(f"note {key!r} exists already", metadata={"key": key})


class EtagMismatch(KernelError):
    """The note changed since the caller read it."""

    reason = "ETAG_MISMATCH"
    code = Code.ABORTED

    @classmethod
    def of(cls, key: str, *, expected: str, current: str) -> "EtagMismatch":
        """Build the error for a key."""
        return cls(
            f"the etag of note {key!r} is {current!r}, not {expected!r}: read again and retry",
            metadata={"key": key, "expected_etag": expected, "current_etag": current},
        )


class QueryInvalid(KernelError):
    """The search query cannot be understood."""

    reason = "QUERY_INVALID"
    code = Code.INVALID_ARGUMENT
