"""What one read of the queue costs the scheduler's event loop, with 100, 10,000 and 100,000 waiting calls."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from math import log
from statistics import fmean

from services.scheduler.core.events import Decision, Submit
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.service.watching import Viewer

TARGET_MS = 0.5
TARGET_WAITING = 10_000
PAGE = 50


class _Clock:
    """Stands still: nothing expires while reads are timed."""

    def __init__(self, now: float) -> None:
        self._now = now

    def monotonic(self) -> float:
        """Return the same second each time."""
        return self._now


class _Silent:
    def decided(self, decisions: Iterable[Decision]) -> None:
        """Count nothing."""


def measure_reads(
    core: SchedulerCore, waiting: list[Submit], now: float, repeats: int, rng: random.Random
) -> dict[str, float]:
    """Time each read `repeats` times over calls drawn at random; means of CPU time, in milliseconds.

    `core` has no calls that wait yet; they come through the service, as in the process.
    """
    return asyncio.run(_measure(core, waiting, now, repeats, rng))


async def _measure(
    core: SchedulerCore, waiting: list[Submit], now: float, repeats: int, rng: random.Random
) -> dict[str, float]:
    service = SchedulerService(core, _Clock(now), _Silent())
    for submit in waiting:
        service.take(submit)
    calls = [rng.choice(waiting).call for _ in range(repeats)]
    half = waiting[: len(waiting) // 2]
    starts = [(each.call.arrived_at, each.call.id) for each in rng.choices(half, k=repeats)]
    own = [Viewer(call.tenant, call.agent) for call in calls]
    reads: dict[str, Callable[[int], object]] = {
        "find": lambda n: service.entry(calls[n].id, own[n]),
        "list own": lambda n: service.queue(own[n], None, PAGE),
        "list tenant": lambda n: service.queue(Viewer(calls[n].tenant, ""), starts[n], PAGE),
        "explain": lambda n: service.explain(calls[n].id, own[n]),
        "queue state": lambda _n: service.stats(),
    }
    found = {name: fmean(_timed(read, n) for n in range(repeats)) for name, read in reads.items()}
    cancelled = []
    for n, submit in enumerate(rng.sample(waiting, min(repeats, len(waiting)))):
        cancelled.append(_timed(partial(_cancel, service, submit), n))
        service.take(submit)  # the queue keeps its length
    service.close()
    return {**found, "cancel": fmean(cancelled)}


def _cancel(service: SchedulerService, submit: Submit, _number: int) -> None:
    service.cancel(submit.call.id, Viewer(submit.call.tenant, submit.call.agent))


def _timed(read: Callable[[int], object], number: int) -> float:
    begin = time.thread_time_ns()
    read(number)
    return (time.thread_time_ns() - begin) / 1e6


def read_verdicts(rows: dict[int, dict[str, float]]) -> list[dict[str, float | str | bool]]:
    """Judge every read: its cost at 10,000 waiting, and growth against the logarithm of the queue."""
    least, most = min(rows), max(rows)
    allowed = log(most) / log(least)
    return [
        {
            "read": name,
            **{f"ms_{waiting}": round(row[name], 3) for waiting, row in rows.items()},
            "ms_met": rows[TARGET_WAITING][name] <= TARGET_MS,
            "growth": round(rows[most][name] / rows[least][name], 2),
            "log_growth": round(allowed, 2),
            "growth_met": rows[most][name] <= allowed * rows[least][name],
        }
        for name in rows[least]
    ]


def read_table(rows: dict[int, dict[str, float]], policy: str) -> list[str]:
    """Format the costs of reads as Markdown."""
    lines = [
        "",
        "## Reads of the queue",
        "",
        f"Policy {policy}. CPU time of one read in the scheduler's loop, mean milliseconds; lists of {PAGE}.",
        f"Targets: at most {TARGET_MS} ms at {TARGET_WAITING:,} waiting; growth no faster than log n.",
        "",
        f"| read | {' | '.join(f'{n:,} waiting' for n in rows)} | verdict | growth | of log n | verdict |",
        "|---|" + "---|" * (len(rows) + 4),
    ]
    for each in read_verdicts(rows):
        costs = " | ".join(str(each[f"ms_{waiting}"]) for waiting in rows)
        lines.append(
            f"| {each['read']} | {costs} | {_word(each['ms_met'])} | {each['growth']} | {each['log_growth']}"
            f" | {_word(each['growth_met'])} |"
        )
    return lines


def _word(met: object) -> str:
    return "met" if met else "**missed**"
