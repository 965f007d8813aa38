"""A worker process: jobs as JSON lines in, results as JSON lines out. And the pool that runs some.

Run by the benchmark as  python -m tests.bench.sched.worker
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, Self

from tests.bench.sched.experiments import Job, perform

COMMAND: Final = ("nice", "-n", "15", sys.executable, "-m", "tests.bench.sched.worker")


def serve() -> None:
    """Do the jobs of standard input one after another."""
    for line in sys.stdin:
        data = json.loads(line)
        data["seeds"] = tuple(data["seeds"])
        sys.stdout.write(json.dumps(perform(Job(**data))) + "\n")
        sys.stdout.flush()


class Workers:
    """A few worker processes; results come in the order of the jobs, whoever did them."""

    def __init__(self, count: int) -> None:
        self._idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        self._all = [
            subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        for process in self._all:
            self._idle.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=600)

    def perform(self, jobs: Sequence[Job], told: Callable[[int], None]) -> Iterator[dict[str, float]]:
        """Do all jobs; `told` hears how many results were handed on."""
        with ThreadPoolExecutor(len(self._all)) as threads:
            for done, result in enumerate(threads.map(self._one, jobs), 1):
                told(done)
                yield result

    def _one(self, job: Job) -> dict[str, float]:
        process = self._idle.get()
        try:
            return self._ask(process, job)
        finally:
            self._idle.put(process)

    def _ask(self, process: "subprocess.Popen[str]", job: Job) -> dict[str, float]:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a worker has no pipes")
        process.stdin.write(json.dumps(job.as_data()) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended at {job}: see its error above")
        result: dict[str, float] = json.loads(line)
        return result


if __name__ == "__main__":
    serve()
