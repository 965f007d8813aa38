"""Runs coroutines that wait for nothing, without an event loop around what is measured."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; a turn that it gives to others comes back at once."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as ended:
            found: T = ended.value
            return found
