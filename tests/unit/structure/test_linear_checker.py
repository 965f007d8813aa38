"""The checker of histories takes what could have happened, and catches what could not."""

import math
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.linear import Does, Operation, linearizable


def put(value: str, began: float, ended: float) -> Operation:
    return Operation(Does.PUT, began, ended, value)


def get(value: str | None, began: float, ended: float) -> Operation:
    return Operation(Does.GET, began, ended, value)


def swap(expected: str, value: str, began: float, ended: float, *, worked: bool = True) -> Operation:
    return Operation(Does.SWAP, began, ended, value, expected, worked)


FINE = [
    [put("a", 0, 1), get("a", 2, 3)],
    [put("a", 0, 5), get(None, 1, 2), get("a", 3, 4)],
    [put("a", 0, 1), put("b", 0, 5), get("b", 2, 3), get("b", 6, 7)],
    [put("a", 0, 1), swap("a", "b", 2, 3), swap("a", "c", 4, 5, worked=False), get("b", 6, 7)],
    [put("a", 0, math.inf), get(None, 1, 2), get("a", 8, 9)],
    [put("a", 0, math.inf), get(None, 8, 9)],
    [put("a", 0, 1), swap("a", "b", 2, math.inf), get("b", 3, 4)],
    [put("a", 0, 1), Operation(Does.DELETE, 2, 3), get(None, 4, 5)],
    [Operation(Does.DELETE, 0, 1, worked=False), put("a", 2, 3)],
]
WRONG = [
    [put("a", 0, 1), put("b", 2, 3), get("a", 4, 5)],  # a stale read
    [put("a", 0, 1), get(None, 2, 3)],  # a lost write
    [put("a", 0, 1), get("a", 2, 3), get(None, 4, 5)],  # a write that is undone
    [put("a", 0, 1), swap("a", "b", 2, 9), swap("a", "c", 3, 8)],  # both swaps won
    [put("a", 0, 1), get("z", 2, 3)],  # a value from nowhere
    [put("a", 0, 1), Operation(Does.DELETE, 2, 3), Operation(Does.DELETE, 4, 5)],  # deleted twice
    [put("a", 0, 5), get("a", 1, 2), get(None, 3, 4)],  # read back in time
]


@pytest.mark.parametrize("history", FINE)
def test_a_history_that_could_have_happened_is_taken(history: list[Operation]) -> None:
    assert linearizable(history)


@pytest.mark.parametrize("history", WRONG)
def test_a_history_that_could_not_have_happened_is_caught(history: list[Operation]) -> None:
    assert not linearizable(history)


class Register:
    """A register in memory; `stale` now and then answers a read with what was there before."""

    def __init__(self, *, stale: bool) -> None:
        self.value: str | None = None
        self.before: str | None = None
        self.stale = stale
        self.time = 0
        self.lock = threading.Lock()

    def work(self, client: int) -> list[Operation]:
        """Do some operations as one client."""
        rng = random.Random(client)  # noqa: S311 - not secret
        seen = []
        for n in range(25):
            with self.lock:
                self.time += 1
                began = self.time
            with self.lock:
                self.time += 1
                if rng.random() < 0.5:
                    self.before, self.value = self.value, f"{client}-{n}"
                    one = Operation(Does.PUT, began, 0, self.value)
                else:
                    old = self.stale and rng.random() < 0.2 and self.before != self.value
                    one = Operation(Does.GET, began, 0, self.before if old else self.value)
                self.time += 1
                seen.append(Operation(one.does, began, self.time, one.value))
        return seen


@pytest.mark.parametrize("stale", [False, True])
def test_a_planted_stale_read_is_caught_among_many_clients(stale: bool) -> None:  # noqa: FBT001 - a parameter
    register = Register(stale=stale)
    with ThreadPoolExecutor(8) as pool:
        history = [one for seen in pool.map(register.work, range(8)) for one in seen]

    assert linearizable(history) is not stale
