"""What can go wrong in storage, one class a reason."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class FileNotFound(KernelError):
    """No such file, directory or version."""

    reason = "FILE_NOT_FOUND"
    code = Code.NOT_FOUND

    @classmethod
    def at(cls, path: str) -> "FileNotFound":
        """Build the error for a path."""
        return cls(f"no file or directory at {path!r}", metadata={"path": path})

    @classmethod
    def version(cls, path: str, number: int) -> "FileNotFound":
        """Build the error for a version."""
        return cls(f"{path!r} has no version {number}", metadata={"path": path, "version": str(number)})


class AlreadyExists(KernelError):
    """Something exists where a new file or directory was to be made."""

    reason = "ALREADY_EXISTS"
    code = Code.ALREADY_EXISTS

    @classmethod
    def at(cls, path: str) -> "AlreadyExists":
        """Build the error for a path."""
        return cls(f"{path!r} exists already", metadata={"path": path})


class WrongFileKind(KernelError):
    """A directory stands where a file is needed, or the other way round."""

    reason = "WRONG_FILE_KIND"
    code = Code.FAILED_PRECONDITION

    @classmethod
    def at(cls, path: str, found: str) -> "WrongFileKind":
        """Build the error for a path; `found` says what is there."""
        return cls(f"{path!r} is a {found}", metadata={"path": path, "found": found})


class DirectoryNotEmpty(KernelError):
    """A directory with entries can only be deleted with all it holds."""

    reason = "DIRECTORY_NOT_EMPTY"
    code = Code.FAILED_PRECONDITION


class PathInvalid(KernelError):
    """The path is not allowed."""

    reason = "PATH_INVALID"
    code = Code.INVALID_ARGUMENT


class EtagMismatch(KernelError):
    """The file changed since the caller read it."""

    reason = "ETAG_MISMATCH"
    code = Code.ABORTED

    @classmethod
    def at(cls, path: str, expected: str, current: str) -> "EtagMismatch":
        """Build the error for a path."""
        return cls(
            f"the etag of {path!r} is {current!r}, not {expected!r}: read again and retry",
            metadata={"path": path, "expected_etag": expected, "current_etag": current},
        )


class UploadNotFound(KernelError):
    """No such upload: never begun, finished, or expired."""

    reason = "UPLOAD_NOT_FOUND"
    code = Code.NOT_FOUND


class OffsetMismatch(KernelError):
    """The chunk does not continue the upload where it stands."""

    reason = "OFFSET_MISMATCH"
    code = Code.OUT_OF_RANGE

    @classmethod
    def at(cls, expected: int, given: int) -> "OffsetMismatch":
        """Build the error from the offsets. Unit: bytes."""
        return cls(
            f"the upload stands at {expected}, not {given}",
            metadata={"expected_offset": str(expected), "offset": str(given)},
        )

    @classmethod
    def beyond(cls, size: int, given: int) -> "OffsetMismatch":
        """Build the error for a read that begins beyond the end. Unit: bytes."""
        return cls(
            f"the file has {size} bytes, the read begins at {given}",
            metadata={"size_bytes": str(size), "offset": str(given)},
        )


class RecordNotFound(KernelError):
    """No such collection or record."""

    reason = "RECORD_NOT_FOUND"
    code = Code.NOT_FOUND


class QueryInvalid(KernelError):
    """The search query or filter cannot be understood."""

    reason = "QUERY_INVALID"
    code = Code.INVALID_ARGUMENT


class EventsExpired(KernelError):
    """The changes after the given sequence are no longer kept."""

    reason = "EVENTS_EXPIRED"
    code = Code.OUT_OF_RANGE


class UploadIncomplete(KernelError):
    """The upload has fewer bytes than were announced."""

    reason = "UPLOAD_INCOMPLETE"
    code = Code.FAILED_PRECONDITION


class ChecksumMismatch(KernelError):
    """The bytes received do not match the checksum sent with them."""

    reason = "CHECKSUM_MISMATCH"
    code = Code.INVALID_ARGUMENT


class NotComparable(KernelError):
    """The file is not text, or too large to compare."""

    reason = "NOT_COMPARABLE"
    code = Code.FAILED_PRECONDITION
