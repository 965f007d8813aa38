"""What the storage manager refuses with, as a process that asked it gets it."""

from services.chassis.rpc.errors import KernelError
from services.storage.errors import AlreadyExists, EtagMismatch, FileNotFound


def missing(path: str) -> KernelError:
    """Return the refusal for a file that is not there."""
    return FileNotFound.at(path)


def exists(path: str) -> KernelError:
    """Return the refusal for a file that is there already."""
    return AlreadyExists.at(path)


def stale(path: str) -> KernelError:
    """Return the refusal for a file that has changed."""
    return EtagMismatch.at(path, "what was read", "what is there")
