"""How fast one core of this machine is, in one number: the unit of every time that the project promises."""

import heapq
import time
from statistics import median
from typing import Final

EXCHANGES: Final = 100
"""Exchanges in one round of the measurement."""

REFERENCE_US: Final = 40.0
"""What a round takes on the reference machine: a virtual one with two cores of an AMD EPYC, Python 3.11."""


def heap_exchanges() -> float:
    """Time EXCHANGES pops and pushes on a heap of 10,000 pairs, in microseconds of CPU."""
    heap = [(n * 0.7919 % 1.0, n) for n in range(10_000)]
    heapq.heapify(heap)
    times = []
    for _ in range(200):
        begin = time.thread_time_ns()
        for _ in range(EXCHANGES):
            key, number = heapq.heappop(heap)
            heapq.heappush(heap, (key + 1.0, number))
        times.append((time.thread_time_ns() - begin) / 1000)
    return median(times)


def yardstick() -> float:
    """Return how long this machine takes for what the reference machine does in 1: 2 is half as fast."""
    return heap_exchanges() / REFERENCE_US
