"""How well the scheduler's policies order calls: a simulation with real traces, baselines and oracles.

Run:  python -m tests.bench.bench_sched [--quick] [--out DIR]

The core and the policies are the ones that decide in production; the server is a model of one
TGI-like backend (tests/bench/sched/server.py). First FIFO's knee is found for each workload, then
every driver plays every workload at 0.5, 0.8, 1.0 and 1.5 times the knee with the same arrivals.
Writes sched.json, sched.md and two figures; with --quick (a subset, in smaller sizes) it only
prints, unless --out says where to write.
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path
from typing import Final

from tests.bench.sched.catalog import LOADS, QUICK_DRIVERS, SIZES, drivers
from tests.bench.sched.experiments import Job, plan
from tests.bench.sched.figures import draw
from tests.bench.sched.outcome import Outcome
from tests.bench.sched.report import targets, write
from tests.bench.sched.targets import judge
from tests.bench.sched.worker import Workers
from tests.bench.sched.workloads import describe, make

RESULTS: Final = Path(__file__).parent / "results"
KNEE_SEEDS: Final = (101, 102, 103)
"""Other seeds than those that are measured."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="few drivers, two loads, two seeds, half the size"
    )
    parser.add_argument("--out", type=Path, help="where to write; default tests/bench/results")
    parser.add_argument("--seeds", type=int, help="how many; default 5, quick 2")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--workers", type=int, choices=(1, 2), default=2)
    parser.add_argument("--workload", action="append", choices=sorted(SIZES), help="only this (repeatable)")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> Outcome:
    """Find the knees, then run everything."""
    quick = options.quick
    count = options.seeds or (2 if quick else 5)
    seeds = tuple(range(options.first_seed, options.first_seed + count))
    sizes = {name: size // 2 if quick else size for name, size in SIZES.items()}
    workloads = tuple(options.workload or SIZES)
    names = QUICK_DRIVERS if quick else drivers()
    loads = (0.5, 1.5) if quick else LOADS
    wanted = dict.fromkeys((*workloads, "azure"))
    with Workers(options.workers) as workers:
        searches = [Job(kind="knee", workload=w, count=sizes[w], seeds=KNEE_SEEDS) for w in wanted]
        found = workers.perform(searches, lambda _: None)
        knees = {job.workload: result["rate"] for job, result in zip(searches, found, strict=True)}
        jobs = plan(workloads=workloads, names=names, loads=loads, seeds=seeds, sizes=sizes, knees=knees)
        results = list(workers.perform(jobs, lambda done: _told(done, len(jobs))))
    return Outcome(list(zip(jobs, results, strict=True)), workloads, names, loads, seeds, knees)


def _told(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{done}/{total}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, judge, write."""
    options = arguments()
    started, load = time.perf_counter(), os.getloadavg()[0]
    outcome = measure(options)
    verdicts = judge(outcome, RESULTS / "core.json")
    sizes = {job.workload: job.count for job, _ in outcome.results}
    facts = {
        "machine": f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load:.1f} at the start",
        "seconds": round(time.perf_counter() - started, 1),
        "seeds": outcome.seeds,
        "knees": outcome.knees,
        "workloads": {w: describe(make(w, outcome.seeds[0], sizes[w])) for w in outcome.workloads},
    }
    out = options.out or (None if options.quick else RESULTS)
    if out is not None:
        write(outcome, verdicts, facts, out)
        draw(outcome, out)
    print("\n".join(targets(outcome, verdicts)))
    print(f"{facts['seconds']} s")


if __name__ == "__main__":
    main()
