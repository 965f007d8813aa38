"""Agents without a kernel: each sends its calls to the server itself and tries again when it is refused."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.sched.drivers import PassThrough
from tests.bench.sched.engine import LiveCall


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a client waits after the n-th refusal of a call. Unit: seconds. Nobody ever gives up."""

    delay: Callable[[int, random.Random], float]
    meaning: str

    def after(self, refusals: int, rng: random.Random, speedup: float) -> float:
        """Return the wait for a clock that runs `speedup` times as fast."""
        return self.delay(refusals, rng) / speedup


def _sdk(refusals: int, rng: random.Random) -> float:
    return float(min(8.0, 0.5 * 2 ** min(refusals - 1, 10))) * (1 - 0.25 * rng.random())


def _cookbook(refusals: int, rng: random.Random) -> float:
    return max(1.0, rng.uniform(0, min(60.0, 2.0 ** min(refusals - 1, 10))))


def _tuned(refusals: int, rng: random.Random) -> float:
    return rng.uniform(0, min(1.0, 0.05 * 2 ** min(refusals - 1, 10)))


BACKOFFS: Final = {
    "sdk": Backoff(
        _sdk, "0.5 s doubling to 8 s, up to 25 % less by chance, as the `openai` Python client waits"
    ),
    "cookbook": Backoff(
        _cookbook,
        "at random between 1 s and a bound that doubles from 1 s to 60 s, as tenacity's usual recipe",
    ),
    "tuned": Backoff(
        _tuned, "at random up to a bound that doubles from 0.05 s to 1 s: more eager than clients are"
    ),
}


class Retrying(PassThrough):
    """The same in the simulator: the server holds at most so many calls, waiting ones included."""

    def __init__(self, backoff: Backoff, max_concurrent: int, speedup: float, seed: int = 0) -> None:
        self.backoff = backoff
        self.max_concurrent = max_concurrent
        self.speedup = speedup
        self.refusals: dict[LiveCall, int] = {}
        self._rng = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._again: list[tuple[float, int, LiveCall]] = []
        self._order = 0

    def arrived(self, call: LiveCall, now: float) -> None:
        """Try the server."""
        server = self.engine.server
        if len(server.running) + len(server.queue) < self.max_concurrent:
            self.engine.send(call, now)
            return
        refusals = self.refusals[call] = self.refusals.get(call, 0) + 1
        self._order += 1
        at = now + self.backoff.after(refusals, self._rng, self.speedup)
        heapq.heappush(self._again, (at, self._order, call))

    def wakeup(self) -> float | None:
        """When the next one tries again."""
        return self._again[0][0] if self._again else None

    def tick(self, now: float) -> None:
        """Let it try."""
        while self._again and self._again[0][0] <= now:
            self.arrived(heapq.heappop(self._again)[2], now)
