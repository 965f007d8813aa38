"""What the failures of a backend mean to the caller of a generation."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.errors import BackendFailed, BackendRefused, ConstraintInvalid, PromptTooLong
from gateway.inference.core.evidence import cause
from gateway.inference.errors import BackendBroken, BackendInvalid, ConstraintRefused, PromptOverflow


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what a backend refuses for good as the caller's mistake; other failures pass."""
    try:
        yield
    except ConstraintRefused as error:
        raise ConstraintInvalid(f"the backend cannot keep the constraint: {cause(error)}") from error
    except PromptOverflow as error:
        raise too_long(error) from error
    except BackendInvalid as error:
        raise BackendRefused(f"the backend refused the request: {cause(error)}") from error


def too_long(error: PromptOverflow, model: str = "") -> PromptTooLong:
    """Return what the caller of a prompt is told that a backend found too long."""
    return PromptTooLong(
        f"prompt and answer do not fit the model's window: {cause(error).rstrip('.')}: "
        "shorten the prompt, ask for less, or use a model with a larger window",
        metadata={"model": model} if model else {},
    )


def odd_answer(error: BackendBroken) -> BackendFailed:
    """Return what the caller of an oddly answered call is told. Nothing says that trying again helps."""
    return BackendFailed(f"the backend answered this call oddly: {cause(error)}")


MOST_RECOVERIES: Final = 64
"""Times that one generation goes on after a failure, however much each run brought: a server that breaks off
after each token would be asked once for every token of the answer."""


def check_failures(failures: int, most: int, last: str, recoveries: int) -> None:
    """Raise BackendFailed when a generation has lost its backend too often; `last`: how, lately.

    `failures`: times in a row without a new text; `recoveries`: all times before.
    """
    if failures >= most or recoveries >= MOST_RECOVERIES:
        often = f"{failures} times in a row" if failures >= most else f"{recoveries} times in one answer"
        raise BackendFailed(
            f"the backend failed {often}; try again later{f' ({last})' if last else ''}",
            metadata={"failures": str(failures)},
            retry_after=5.0,
        )
