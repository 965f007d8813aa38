"""What appending to a file costs, by the length that the file has: 1, 4, 16 and 64 MB.

Run:  python -m tests.bench.bench_storage [--rounds N] [--out tests/bench/results]

The index is a SQLite file, the blobs are files, as in production; only access is a fake. Each round makes the
files anew and appends one line to each, several times. Times are CPU times of the process, all its threads
together, so that other processes and the disk do not blur them; the median of all appends counts. `ratio`
compares with the file of 1 MB: an append costs what it adds when no ratio is above 2. The yardstick of this
machine is the SHA-256 of 1 MB, taken in the same run: the least that going through 1 MB of a file would cost.
Writes storage.json and storage.md.
"""

import argparse
import asyncio
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from services.chassis.db import Database
from services.chassis.runtime.clock import SystemClock
from services.storage.service.files import NewFile
from services.storage.store.directory import DirectoryBlobs
from services.storage.store.sql import MIGRATIONS, SqlIndex
from tests.fakes.databases import migrated
from tests.fakes.storage import Kernel, call, storage_limits

LENGTHS_MB = (1, 4, 16, 64)
APPENDS = 8
LINE = b"one line\n"
TARGET_RATIO = 2.0


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def yardstick() -> float:
    """Return the milliseconds that the SHA-256 of 1 MB takes here."""
    data = os.urandom(1_000_000)
    return median(timed(lambda: hashlib.sha256(data).digest()) for _ in range(50)) * 1e3


async def one_round(
    database: Database, directory: Path, number: int, found: Mapping[int, list[float]]
) -> None:
    """Make a file of each length and append to it; add the milliseconds of each append to `found`."""
    kernel = Kernel(
        index=SqlIndex(database, SystemClock()),
        blobs=DirectoryBlobs(directory),
        limits=storage_limits(files=1_000, size=10**10, versions=5),
        new_id=None if number == 0 else lambda: f"round-{number}-{time.monotonic_ns()}",
    )
    for length in LENGTHS_MB:
        path = f"log-{number}-{length}.txt"
        text = os.urandom(500_000).hex().encode() * length
        await kernel.service.files.write(call(), NewFile(path, text))
        del text
        for _ in range(APPENDS):
            start = time.process_time()
            await kernel.service.files.write(call(), NewFile(path, LINE, append=True))
            found[length].append((time.process_time() - start) * 1e3)


async def measure(rounds: int) -> dict[int, list[float]]:
    """Return the milliseconds of CPU time of each append, by the length of the file in MB."""
    found: dict[int, list[float]] = {length: [] for length in LENGTHS_MB}
    with tempfile.TemporaryDirectory() as directory:
        async with migrated(f"sqlite:///{directory}/storage.db", MIGRATIONS) as database:
            for number in range(rounds):
                await one_round(database, Path(directory) / "blobs", number, found)
    return found


def table(rows: Sequence[Mapping[str, float]], stick: float) -> str:
    """Write the figures as Markdown."""
    lines = [
        "# Appending to a file",
        "",
        f"One append of {len(LINE)} bytes, CPU time of the process.",
        f"Yardstick: SHA-256 of 1 MB takes {stick:.2f} ms here.",
        "",
        "| file | append, median | p90 | ratio to 1 MB | target |",
        "|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        verdict = "met" if row["ratio"] <= TARGET_RATIO else "MISSED"
        lines.append(
            f"| {row['mb']:.0f} MB | {row['median_ms']:.2f} ms | {row['p90_ms']:.2f} ms | {row['ratio']:.2f} "
            f"| at most {TARGET_RATIO:.0f}: {verdict} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="What appending costs by the length of the file.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results"))
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds))
    first, stick = median(found[LENGTHS_MB[0]]), yardstick()
    rows = [
        {
            "mb": float(length),
            "median_ms": median(times),
            "p90_ms": sorted(times)[int(len(times) * 0.9)],
            "ratio": median(times) / first,
        }
        for length, times in found.items()
    ]
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "sha256_1mb_ms": stick}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "storage.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    text = table(rows, stick)
    (options.out / "storage.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
