"""The scheduler in the real processes: policies compared live and simulated, a real engine, many agents.

(a) every policy with the same arrivals, on a TGI-shaped server that takes the time a GPU would
(b) some of them on tgi-local with the demo model    (c) closed loops of 50 to 2,000 agents

Run:  python -m tests.bench.bench_live [--quick] [--out tests/bench/results]
"""

import argparse
import asyncio
import json
import os
import platform
import time
from pathlib import Path
from typing import Any, Final

from tests.bench.live.engine import compare_on_engine
from tests.bench.live.figures import draw
from tests.bench.live.policies import CHOICES, compare
from tests.bench.live.report import markdown
from tests.bench.live.scale import closed_loop
from tests.bench.live.world import Backend

RESULTS: Final = Path(__file__).parent / "results"
ON_ENGINE: Final = ("fifo", "adaptive", "rr")
SIZES: Final = (50, 250, 1_000, 2_000)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything."""
    started, load = time.perf_counter(), os.getloadavg()[0]
    backend = Backend(speedup=options.speedup or (8.0 if options.quick else 4.0))
    chosen = [choice for choice in CHOICES if not options.quick or choice.name == "adaptive"]
    results: dict[str, Any] = {
        "policies": await compare(30 if options.quick else 200, backend, chosen, options.seed)
    }
    _told("policies", started)
    if not options.quick:
        some = [choice for choice in CHOICES if choice.name in ON_ENGINE]
        results["engine"] = await compare_on_engine(40, some)
        _told("engine", started)
    results["scale"] = []
    for size in (20,) if options.quick else SIZES:
        results["scale"].append(await closed_loop(size, 60 if options.quick else 600, backend))
        _told(f"{size} agents", started)
    results["machine"] = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": load,
        "seconds": time.perf_counter() - started,
    }
    return results


def _told(what: str, started: float) -> None:
    print(f"{what}: done after {time.perf_counter() - started:.0f} s", flush=True)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one policy, few agents; only prints")
    parser.add_argument("--out", type=Path, help="where to write; default tests/bench/results")
    parser.add_argument("--speedup", type=float, help="of the timed server; default 4, quick 8")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = asyncio.run(measure(options))
    text = markdown(results)
    print(text)
    out = options.out or (None if options.quick else RESULTS)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "live.json").write_text(json.dumps(results, indent=1) + "\n")
        (out / "live.md").write_text(text)
        draw(results, out)


if __name__ == "__main__":
    main()
