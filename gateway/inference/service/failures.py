"""What the failures of a backend mean to the caller of a generation."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import BackendFailed, BackendRefused, ConstraintInvalid
from gateway.inference.errors import BackendInvalid, ConstraintRefused


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what a backend refuses for good as the caller's mistake; other failures pass."""
    try:
        yield
    except ConstraintRefused as error:
        raise ConstraintInvalid(f"the backend cannot keep the constraint: {error}") from error
    except BackendInvalid as error:
        raise BackendRefused(f"the backend refused the request: {error}") from error


def check_failures(failures: int, most: int) -> None:
    """Raise BackendFailed when a generation has lost its backend too often in a row."""
    if failures >= most:
        raise BackendFailed(
            f"the backend failed {failures} times in a row; try again later",
            metadata={"failures": str(failures)},
            retry_after=5.0,
        )
