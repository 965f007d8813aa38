"""How many examples a property is tried on: what its test says, and ten times that in `make torture`."""

from typing import Final

from hypothesis import settings

USUAL: Final = 50
"""Examples of a property that says nothing of their number, in `make test`."""
LONG: Final = 10 * USUAL
"""The same in `make torture`."""


def examples(usual: int) -> int:
    """Return how many examples to draw where `make test` draws `usual`."""
    return usual * settings().max_examples // USUAL
