"""Two figures: completion against load, and every policy against FIFO."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "aios"

from matplotlib import pyplot as plt  # noqa: E402 - the backend must be chosen first

from tests.bench.sched.outcome import Outcome, Ratios  # noqa: E402 - same
from tests.bench.sched.targets import OVER  # noqa: E402 - same

LINES: Final = ("barrier", "fifo", "aios:adaptive", "aios:sjf", "aios:vtc", "aios:las", "oracle-sjf")
LEFT_OUT: Final = ("fifo", "reference-rr", "reference-rr-restarts")


def draw(outcome: Outcome, out: Path) -> None:
    """Write sched_loads.svg and sched_policies.svg."""
    ratios = Ratios(outcome)
    _loads(outcome, ratios, out / "sched_loads.svg")
    if OVER in outcome.loads:
        _policies(outcome, ratios, out / "sched_policies.svg")


def _loads(outcome: Outcome, ratios: Ratios, path: Path) -> None:
    figure, axes = plt.subplots(1, len(outcome.workloads), figsize=(3.2 * len(outcome.workloads), 3.4))
    for axis, workload in zip(axes, outcome.workloads, strict=True):
        for name in LINES:
            if name in outcome.drivers:
                values = [ratios.mean(workload, load, name, "completion_mean") for load in outcome.loads]
                axis.plot(outcome.loads, values, marker="o", markersize=3, label=name)
        axis.set_title(workload)
        axis.set_xlabel("load / FIFO's knee")
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("mean completion, s")
    axes[0].legend(fontsize=7)
    _save(figure, path)


def _policies(outcome: Outcome, ratios: Ratios, path: Path) -> None:
    names = [name for name in outcome.drivers if name not in LEFT_OUT]
    figure, axes = plt.subplots(
        1, len(outcome.workloads), figsize=(3.2 * len(outcome.workloads), 0.27 * len(names) + 1), sharey=True
    )
    for axis, workload in zip(axes, outcome.workloads, strict=True):
        found = [ratios.of(workload, OVER, name, "fifo", "completion_mean") for name in names]
        means = [mean for mean, _ in found]
        halves = [0.0 if half == float("inf") else half for _, half in found]
        colours = ["tab:orange" if name.startswith("aios") else "tab:gray" for name in names]
        axis.barh(names, means, xerr=halves, color=colours, error_kw={"linewidth": 0.8})
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_title(workload)
        axis.set_xlabel("mean completion / FIFO")
    axes[0].invert_yaxis()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
