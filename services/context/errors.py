"""What can go wrong in the context manager, one class a reason."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class ContextNotFound(KernelError):
    """No such context or message."""

    reason = "CONTEXT_NOT_FOUND"
    code = Code.NOT_FOUND

    @classmethod
    def of(cls, context_id: str) -> "ContextNotFound":
        """Build the error for a context."""
        return cls(f"no context {context_id!r}", metadata={"context": context_id})

    @classmethod
    def at(cls, context_id: str, position: int) -> "ContextNotFound":
        """Build the error for a message of a context."""
        return cls(
            f"context {context_id!r} has no message {position}",
            metadata={"context": context_id, "position": str(position)},
        )


class AlreadyExists(KernelError):
    """The context exists already."""

    reason = "ALREADY_EXISTS"
    code = Code.ALREADY_EXISTS

    @classmethod
    def of(cls, context_id: str) -> "AlreadyExists":
        """Build the error for a context."""
        return cls(f"context {context_id!r} exists already", metadata={"context": context_id})


class EtagMismatch(KernelError):
    """The context changed since the caller read it."""

    reason = "ETAG_MISMATCH"
    code = Code.ABORTED


class OrphanToolResult(KernelError):
    """A tool's result without the call before it."""

    reason = "ORPHAN_TOOL_RESULT"
    code = Code.INVALID_ARGUMENT


class WindowTooSmall(KernelError):
    """What must be in the window does not fit."""

    reason = "WINDOW_TOO_SMALL"
    code = Code.FAILED_PRECONDITION

    @classmethod
    def of(cls, needed: int, room: int) -> "WindowTooSmall":
        """Build the error from the tokens that must stay and the room there is."""
        return cls(
            f"system, pinned and newest messages need {needed} tokens, the window has room for {room}",
            metadata={"needed_tokens": str(needed), "available_tokens": str(room)},
        )


class CapabilityMissing(KernelError):
    """Nothing here can do it."""

    reason = "CAPABILITY_MISSING"
    code = Code.UNIMPLEMENTED

    @classmethod
    def of(cls, what: str) -> "CapabilityMissing":
        """Build the error for what was to be done."""
        return cls(f"no gateway is configured, so nothing can be {what}")


class SnapshotNotFound(KernelError):
    """No such snapshot: never saved, deleted or expired."""

    reason = "SNAPSHOT_NOT_FOUND"
    code = Code.NOT_FOUND

    @classmethod
    def of(cls, generation: str) -> "SnapshotNotFound":
        """Build the error for a generation."""
        return cls(f"no snapshot of generation {generation!r}", metadata={"generation": generation})


class SnapshotKeyMissing(KernelError):
    """The snapshot is encrypted under a key that this process was not given."""

    reason = "SNAPSHOT_KEY_MISSING"
    code = Code.FAILED_PRECONDITION

    @classmethod
    def of(cls, generation: str) -> "SnapshotKeyMissing":
        """Build the error for a generation."""
        return cls(
            f"snapshot {generation!r} is encrypted under a key that is not configured",
            metadata={"generation": generation},
        )


class SnapshotConflict(KernelError):
    """Somebody else owns the generation, or it stands elsewhere."""

    reason = "SNAPSHOT_CONFLICT"
    code = Code.ABORTED

    @classmethod
    def of(cls, why: str, *, sequence: int, epoch: int) -> "SnapshotConflict":
        """Build the error with where the stored snapshot stands."""
        return cls(why, metadata={"sequence": str(sequence), "epoch": str(epoch)})
