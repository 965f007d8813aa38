"""Crowds of HumanEval-style and MINT-style agents on a backend short of memory, with AIOS and without it.

Without: the same agents straight at the backend, into its queue or with retry when it refuses. All sizes
are simulated; the live sizes ran in the real processes as well.

Run:  python -m tests.bench.bench_agents [--quick] [--out tests/bench/results]
"""

import argparse
import asyncio
import json
import os
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from tests.bench.live.crowd_report import draw, markdown
from tests.bench.live.crowds import CROWDS, WAYS, WITH_KERNEL, conditions, live, simulate
from tests.bench.live.world import Backend

RESULTS: Final = Path(__file__).parent / "results"
SIZES: Final = (250, 1_000, 2_000)
LIVE: Final = (
    ("mint", 250, (*WITH_KERNEL, "fifo", "sdk")),
    ("mint", 1_000, (*WITH_KERNEL, "sdk")),
    ("humaneval", 250, (*WITH_KERNEL, "sdk")),
)
LIVE_QUICK: Final = (("mint", 40, ("aios-parts", "sdk")),)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything."""
    started, load = time.perf_counter(), os.getloadavg()[0]
    speedup = 8.0 if options.quick else options.speedup
    backend = Backend(slots=64, budget=48_000, speedup=speedup, max_concurrent=128)
    if options.quick:
        backend = replace(backend, budget=12_000, max_concurrent=16)
    rows = []
    for crowd, count, ways in LIVE_QUICK if options.quick else LIVE:
        for way in ways:
            figures = await live(crowd, count, way, backend, options.seed)
            rows.append({"kind": "live", "crowd": crowd, "count": count, "way": way, "figures": figures})
            print(f"{time.perf_counter() - started:.0f} s: live, {count} {crowd}, {way}", flush=True)
    for crowd in CROWDS:
        for count in (40,) if options.quick else SIZES:
            for way in WAYS:
                figures = simulate(crowd, count, way, backend, options.seed)
                rows.append(
                    {"kind": "simulated", "crowd": crowd, "count": count, "way": way, "figures": figures}
                )
    return {
        "backend": asdict(backend),
        "rows": rows,
        "conditions": conditions(40 if options.quick else 250),
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "load": load,
            "seconds": time.perf_counter() - started,
        },
    }


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="40 agents; only prints")
    parser.add_argument("--out", type=Path, help="where to write; default tests/bench/results")
    parser.add_argument("--speedup", type=float, default=4.0, help="of the live runs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = asyncio.run(measure(options))
    text = markdown(results)
    print(text)
    out = options.out or (None if options.quick else RESULTS)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "agents.json").write_text(json.dumps(results, indent=1) + "\n")
        (out / "agents.md").write_text(text)
        draw(results, out / "agents.svg")


if __name__ == "__main__":
    main()
