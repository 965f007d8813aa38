"""All results of one benchmark, and the questions the report asks of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import Any

from tests.bench.sched.experiments import Job
from tests.bench.sched.metrics import confidence

Result = dict[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of jobs. Ratios pair the seeds: each is a mean over the ratios of the same arrivals."""

    results: Sequence[tuple[Job, Result]]
    workloads: tuple[str, ...]
    drivers: tuple[str, ...]
    loads: tuple[float, ...]
    seeds: tuple[int, ...]
    knees: dict[str, float]

    def table(self) -> dict[tuple[str, float, str], dict[int, Result]]:
        """Return the runs by workload, load and driver, then seed."""
        found: dict[tuple[str, float, str], dict[int, Result]] = {}
        for job, result in self.results:
            if job.kind == "run":
                found.setdefault((job.workload, job.load, job.driver), {})[job.seed] = result
        return found

    def of_kind(self, kind: str, driver: str) -> list[Result]:
        """Return the results of a test of fairness, by seed."""
        return [result for job, result in self.results if job.kind == kind and job.driver == driver]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a workload, load and driver: mean and half a confidence interval of every metric."""
        rows = []
        for (workload, load, driver), by_seed in self.table().items():
            metrics = {}
            for name in next(iter(by_seed.values())):
                mean, half = confidence([result[name] for result in by_seed.values() if name in result])
                metrics[name] = [_short(mean), None if half == float("inf") else _short(half)]
            rows.append({"workload": workload, "load": load, "driver": driver, "metrics": metrics})
        return rows


class Ratios:
    """Ratios of one driver's metric to another's."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._table = outcome.table()

    def of(
        self, workload: str, load: float, driver: str, base: str, metric: str, *, less: float = 0.0
    ) -> tuple[float, float]:
        """Return the mean over the seeds and half the width of its 95 % confidence interval.

        `less` is taken off the driver's own values.
        """
        ours, theirs = self._table[workload, load, driver], self._table[workload, load, base]
        return confidence([_divide(ours[s][metric] - less, theirs[s][metric]) for s in self._outcome.seeds])

    def overall(self, load: float, driver: str, base: str, metric: str) -> float:
        """Return the geometric mean over the workloads."""
        means = [self.of(w, load, driver, base, metric)[0] for w in self._outcome.workloads]
        return exp(fmean(log(max(m, 1e-9)) for m in means))

    def mean(self, workload: str, load: float, driver: str, metric: str) -> float:
        """Return a metric's mean over the seeds; not a number where it was not measured."""
        values = [r.get(metric, float("nan")) for r in self._table[workload, load, driver].values()]
        return fmean(values)


def _divide(ours: float, theirs: float) -> float:
    # Waits shorter than a step are no waits: their ratios would say nothing.
    return max(ours, 0.01) / max(theirs, 0.01)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
