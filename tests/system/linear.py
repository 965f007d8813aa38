"""Whether what clients of one register saw could have happened one operation after the other.

The search is that of Wing and Gong, with Lowe's memory of what was tried: an operation may come next if it
began before the first end of those that are left; nothing is tried twice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_UNKNOWN_END: Final = math.inf


class Does(Enum):
    """What an operation does."""

    PUT = "put"
    GET = "get"
    SWAP = "swap"  # writes if the register holds what is expected
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client. Values are unique; None is an empty register."""

    does: Does
    began: float
    ended: float
    """Infinite when the client never learned how it ended: it happened at any time since, or never."""
    value: str | None = None
    """What is written, or what was read."""
    expected: str | None = None
    """What a swap expects."""
    worked: bool = True
    """False: a swap that was refused, or a delete that found nothing."""

    @property
    def unknown(self) -> bool:
        """Whether its client does not know how it ended."""
        return self.ended == _UNKNOWN_END


def linearizable(history: Sequence[Operation]) -> bool:
    """Tell whether some order of the operations explains every answer, starting from an empty register."""
    operations = sorted(history, key=lambda one: one.began)
    everything = (1 << len(operations)) - 1
    optional = sum(1 << index for index, one in enumerate(operations) if one.unknown)
    tried: set[tuple[int, str | None]] = set()
    stack: list[tuple[int, str | None]] = [(0, None)]
    while stack:
        done, state = stack.pop()
        if done | optional == everything:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        stack += _next(operations, done, state)
    return False


def _next(operations: Sequence[Operation], done: int, state: str | None) -> list[tuple[int, str | None]]:
    """List where each operation that may come next leads."""
    first_end = _UNKNOWN_END
    found: list[tuple[int, str | None]] = []
    for index, one in enumerate(operations):
        if done >> index & 1:
            continue
        if one.began > first_end:
            break
        first_end = min(first_end, one.ended)
        fits, after = _apply(one, state)
        if fits:
            found.append((done | 1 << index, after))
    return found


def _apply(one: Operation, state: str | None) -> tuple[bool, str | None]:
    """Return whether the answer of an operation fits a state, and the state after it."""
    if one.does is Does.GET:
        return one.unknown or one.value == state, state
    if one.does is Does.PUT:
        return True, one.value
    if one.does is Does.DELETE:
        worked = state is not None
        return one.unknown or one.worked is worked, None
    if one.unknown:
        return True, one.value if state == one.expected else state
    worked = state == one.expected
    return one.worked is worked, one.value if worked else state
