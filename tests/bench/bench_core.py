"""How fast the scheduler's core decides: submit + pick + dispatch at 100, 10,000 and 100,000 waiting calls.

Run:  python tests/bench/bench_core.py [--quick] [--out tests/bench/results]

One replica has 64 busy slots and the queue holds a steady number of waiting calls. A round is what
one call costs the core in steady state: one running call reports progress, it finishes, its slot is
granted to the next (pick + dispatch), and a new call is submitted in its stead. `step` is each
single event; `decision` is the sum of the Finished and Submit steps of one round, that is submit +
pick + dispatch. Times are CPU times of the thread, so that other processes do not blur them.
Machines differ: a yardstick in the same run, plain heap exchanges, says how fast this one is.
Growth compares the mean cost of a decision, rare rebuilds counted in, with that at 100 waiting: it may grow
no faster than the logarithm of the queue. Reads (find, list, explain, cancel) are timed beside queues of the
same lengths, under one policy. Writes core.json and core.md.
"""

import argparse
import gc
import json
import os
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from statistics import fmean, median

from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.chassis.quotas import Cap
from services.scheduler.core.events import BackendUp, DispatchGrant, Finished, Progress, Submit
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.settings import ClassSettings, CoreSettings
from services.scheduler.model import Call, PolicySpec
from tests.bench.core_reads import PAGE, measure_reads, read_table, read_verdicts
from tests.bench.yardstick import EXCHANGES, heap_exchanges

SLOTS = 64
TARGET_P99_US = 100.0
TARGET_WAITING = 10_000
READS_POLICY = "adaptive"
READS = 500


def make_call(number: int, now: float, rng: random.Random) -> Call:
    """Build one call of a mixed load: 200 agents of 20 tenants, long and short prompts."""
    agent = rng.randrange(200)
    return Call(
        id=f"call-{number}",
        gateway="gw",
        agent=f"agent-{agent}",
        tenant=f"tenant-{agent % 20}",
        agent_kind=f"kind-{agent % 5}",
        program=f"run-{agent}-{rng.randrange(4)}",
        step_index=rng.randrange(6),
        resource="model",
        arrived_at=now,
        priority=rng.randrange(-2, 3),
        prompt_tokens=rng.randrange(50, 4000),
        max_new_tokens=rng.randrange(20, 800),
    )


def empty(policy: str) -> SchedulerCore:
    """Build a core with one replica and nothing to do."""
    # Waits and lane at production defaults, bounds out of the way; simulated time stands nearly still.
    classes = {
        name: ClassSettings(policy=PolicySpec(policy), max_wait=3600.0, alert_wait=7200.0)
        for name in SchedulingClass
    }
    core = SchedulerCore(
        CoreSettings(classes=classes, max_waiting=10**7, waiting=Cap.flat(10**7)), PolicyRegistry()
    )
    core.step(BackendUp("r0", "model", SLOTS, 10**9), 0.0)
    return core


def filled(policy: str, waiting: int, rng: random.Random) -> tuple[SchedulerCore, list[str], float]:
    """Build a core with all slots busy and `waiting` calls behind them."""
    core, running = empty(policy), []
    for number in range(SLOTS + waiting):
        now = number * 1e-5
        decisions = core.step(Submit(make_call(number, now, rng)), now)
        running += [d.call_id for d in decisions if isinstance(d, DispatchGrant)]
    return core, running, (SLOTS + waiting) * 1e-5


def measure(policy: str, waiting: int, rounds: int, seed: int) -> dict[str, float | int | str]:
    """Time `rounds` rounds of one policy at one queue length. Times in microseconds."""
    rng = random.Random(seed)  # noqa: S311 - a workload, not a secret
    core, running, now = filled(policy, waiting, rng)
    decisions: list[float] = []
    progress: list[float] = []
    clock = time.thread_time_ns
    gc.collect()
    gc.freeze()
    # As a latency-sensitive process sets it: a collection of the youngest costs as much as a decision.
    gc.set_threshold(100_000, 50, 100)
    started = time.perf_counter()
    for number in range(rounds):
        now += 0.01
        call_id = running.pop(rng.randrange(len(running)))
        submit = Submit(make_call(10**6 + number, now, rng))
        report, finished = Progress(call_id, 16), Finished(call_id, Completion.COMPLETED)
        begin = clock()
        core.step(report, now)
        middle = clock()
        granted = core.step(finished, now)
        core.step(submit, now)
        end = clock()
        running += [d.call_id for d in granted if isinstance(d, DispatchGrant)]
        progress.append((middle - begin) / 1000)
        decisions.append((end - middle) / 1000)
    seconds = time.perf_counter() - started
    gc.unfreeze()
    stats = core.stats(now)
    if stats.running != SLOTS or stats.waiting != waiting:
        raise RuntimeError(f"{policy}: the load was not steady: {stats.running} run, {stats.waiting} wait")
    return {
        "policy": policy,
        "waiting": waiting,
        "rounds": rounds,
        "rounds_per_second": round(rounds / seconds),
        "decision_mean_us": round(fmean(decisions), 1),
        "decision_p50_us": round(quantile(decisions, 0.50), 1),
        "decision_p99_us": round(quantile(decisions, 0.99), 1),
        "decision_max_us": round(max(decisions), 1),
        "progress_p99_us": round(quantile(progress, 0.99), 1),
    }


def reads(waiting: int, seed: int) -> dict[str, float]:
    """Time reads of a queue with all slots busy and `waiting` calls behind them, in milliseconds.

    All are of one tenant, PAGE of each agent, so that lists are as long in every queue.
    """
    rng = random.Random(seed)  # noqa: S311 - a workload, not a secret
    core, now = empty(READS_POLICY), SLOTS * 1e-5
    for number in range(SLOTS):
        core.step(Submit(make_call(number, number * 1e-5, rng)), number * 1e-5)
    made = [make_call(SLOTS + n, now + n * 1e-5, rng) for n in range(waiting)]
    agents = waiting // PAGE
    calls = [replace(each, tenant="tenant", agent=f"agent-{n % agents}") for n, each in enumerate(made)]
    return measure_reads(core, [Submit(call) for call in calls], now + waiting * 1e-5, READS, rng)


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


def verdicts(rows: Sequence[dict[str, float | int | str]]) -> list[dict[str, float | int | str | bool]]:
    """Judge every policy: p99 at 10,000 waiting, and growth against the logarithm of the queue."""
    found: list[dict[str, float | int | str | bool]] = []
    for policy in dict.fromkeys(str(row["policy"]) for row in rows):
        of = {int(row["waiting"]): row for row in rows if row["policy"] == policy}
        least, most = min(of), max(of)
        growth = float(of[most]["decision_mean_us"]) / float(of[least]["decision_mean_us"])
        allowed = log(most) / log(least)
        p99 = float(of[TARGET_WAITING]["decision_p99_us"])
        found.append(
            {
                "policy": policy,
                "p99_us": p99,
                "p99_met": p99 < TARGET_P99_US,
                "growth": round(growth, 2),
                "log_growth": round(allowed, 2),
                "growth_met": growth <= allowed,
            }
        )
    return found


def table(rows: Sequence[dict[str, float | int | str]], machine: str, floor: float) -> str:
    """Format the results as Markdown."""
    lines = [
        "# Scheduler core: cost of a decision",
        "",
        f"One decision = submit + pick + dispatch of one call, {SLOTS} busy slots, microseconds. {machine}.",
        f"Targets: p99 below {TARGET_P99_US:.0f} us at {TARGET_WAITING:,} waiting calls; the mean cost",
        "grows no faster, from the shortest to the longest queue, than the logarithm of its length.",
        f"Yardstick: {EXCHANGES} exchanges on a heap of 10,000 pairs took {floor:.1f} us in the same run.",
        "",
        "| policy | p99 us at 10,000 | yardsticks | verdict | growth of mean | of log n | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {v['policy']} | {v['p99_us']} | {float(v['p99_us']) / floor:.2f} | {_word(v['p99_met'])}"
        f" | {v['growth']} | {v['log_growth']} | {_word(v['growth_met'])} |"
        for v in verdicts(rows)
    ]
    lines += [
        "",
        "| policy | waiting | decisions/s | mean us | p50 us | p99 us | max us | progress p99 us |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['policy']} | {r['waiting']:,} | {r['rounds_per_second']:,} | {r['decision_mean_us']}"
        f" | {r['decision_p50_us']} | {r['decision_p99_us']} | {r['decision_max_us']}"
        f" | {r['progress_p99_us']} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _word(met: object) -> str:
    return "met" if met else "**missed**"


def main() -> None:
    """Measure every policy and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--policy", action="append", help="measure only this policy (repeatable)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no 100,000")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    sizes = (100, 10_000) if options.quick else (100, 10_000, 100_000)
    rounds = 2_000 if options.quick else 10_000
    rows, floors = [], [heap_exchanges()]
    begun = os.getloadavg()[0]
    for policy in options.policy or PolicyRegistry().names:
        for waiting in sizes:
            rows.append(measure(policy, waiting, rounds, options.seed))
            print(json.dumps(rows[-1]), flush=True)
        floors.append(heap_exchanges())
    of_reads = {waiting: reads(waiting, options.seed) for waiting in sizes}
    floors.append(heap_exchanges())
    floor = median(floors)
    load = max(begun, os.getloadavg()[0])
    machine = (
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f}"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": machine,
        "slots": SLOTS,
        "target_p99_us": TARGET_P99_US,
        "yardstick_us": round(floor, 1),
        "rows": rows,
        "verdicts": verdicts(rows),
        "reads_policy": READS_POLICY,
        "reads_ms": {str(waiting): row for waiting, row in of_reads.items()},
        "read_verdicts": read_verdicts(of_reads),
    }
    written = table(rows, machine, floor) + "\n".join(read_table(of_reads, READS_POLICY)) + "\n"
    (options.out / "core.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.out / "core.md").write_text(written)
    print(written)


if __name__ == "__main__":
    main()
