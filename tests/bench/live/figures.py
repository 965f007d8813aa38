"""The live results as two figures: policies, and scale."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "aios"

from matplotlib import pyplot as plt  # noqa: E402 - the backend must be chosen first

from tests.bench.live.scale import TARGET  # noqa: E402 - same


def draw(results: Mapping[str, Any], out: Path) -> None:
    """Write live_policies.svg and live_scale.svg."""
    _policies(results["policies"]["rows"], out / "live_policies.svg")
    _scale(results["scale"], out / "live_scale.svg")


def _policies(rows: list[Mapping[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4))
    names = [row["name"] for row in rows]
    places = range(len(rows))
    for axis, metric, title in zip(
        axes, ("ttft_mean", "completion_mean"), ("mean TTFT, s", "mean completion, s"), strict=True
    ):
        for shift, kind in ((-0.2, "live"), (0.2, "simulated")):
            axis.bar([p + shift for p in places], [row[kind][metric] for row in rows], 0.4, label=kind)
        axis.set_xticks(list(places), names, rotation=30, ha="right")
        axis.set_title(title)
    axes[0].legend()
    _save(figure, path)


def _scale(rows: list[Mapping[str, Any]], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(5.0, 3.4))
    axis.plot([row["agents"] for row in rows], [row["ratio"] for row in rows], marker="o")
    axis.axhline(TARGET, color="black", linewidth=0.8, linestyle="--", label=f"target {TARGET:g}")
    axis.set_xscale("log")
    axis.set_xlabel("agents")
    axis.set_ylabel("end to end / floor")
    axis.legend()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
