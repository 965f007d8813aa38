"""The crowds' results as Markdown and a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "aios"

from matplotlib import pyplot as plt  # noqa: E402 - the backend must be chosen first

from tests.bench.live.crowds import FIFO, PART_TOKENS, WAYS, WITH_KERNEL  # noqa: E402 - same
from tests.bench.live.retry import BACKOFFS  # noqa: E402 - same

PAPER: Final = 2.1
"""Speed-up that arXiv 2403.16971 reports at most."""

_ABOUT: Final = """\
Agents that all start at once: MINT's trajectories, and HumanEval's tasks solved in MINT's steps. The
backend speaks TGI's protocol and takes the time of the simulator's model: {slots} slots, KV cache for
{budget:,} tokens, at most {max_concurrent} requests, those in its queue included; more are refused at
once. Every caller asks for up to 1,024 tokens, which the backend reserves. Times are the GPU's seconds.
`live` ran in real processes with the GPU {speedup:g} times as fast (the kernel's own time counts
{speedup:g}-fold), `simulated` in the simulator.

| way | what it is |
|---|---|
| `aios` | through the kernel as it comes |
| `aios-parts` | the same, keeping room for {part} output tokens at a time (`AIOS_SCHEDULER_RESERVE_TOKENS`) |
| `fifo` | straight at the backend, whose FIFO queue then has no bound |
"""


def markdown(results: Mapping[str, Any]) -> str:
    """Write everything."""
    backend = results["backend"]
    lines = [
        "# Crowds of agents, with the kernel and without",
        "",
        "`make bench-agents`, {cpus} cores, Python {python}, load {load:.1f} at the start, "
        "{seconds:.0f} s.".format(**results["machine"]),
        "",
        _ABOUT.format(**backend, part=PART_TOKENS).rstrip("\n"),
        *[f"| `{name}` | straight, retry on refusal: {way.meaning} |" for name, way in BACKOFFS.items()],
        "",
        *_speedups(results["rows"]),
        *_rows(results["rows"]),
        *_conditions(results["conditions"]),
    ]
    return "\n".join(lines)


def _speedups(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the kernel wins, per crowd, size and kind of run."""
    lines = [
        "## Speed-up through the kernel: time without / time with",
        "",
        "Total time is from the start to the end of the last agent; completion is an agent's own.",
        "",
        "| agents | | with | against | total time | mean completion | median completion | mean wait |",
        "|---|---|---|---|---|---|---|---|",
    ]
    metrics = ("makespan", "completion_mean", "completion_p50", "wait_mean")
    best = 0.0
    for row in rows:
        for way in WITH_KERNEL:
            ours = _find(rows, row, way)
            if row["way"] in WITH_KERNEL or ours is None:
                continue
            ratios = [row["figures"][name] / ours["figures"][name] for name in metrics]
            best = max(best, ratios[0]) if row["way"] != FIFO else best
            cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(
                f"| {row['count']:,} {row['crowd']} | {row['kind']} | `{way}` | `{row['way']}` | {cells} |"
            )
    verdict = "met" if best > PAPER else "**missed**"
    text = f"Largest speed-up in total time against a retry {best:.2f}, more than {PAPER}: {verdict}."
    return [*lines, "", text, ""]


def _find(rows: Sequence[Mapping[str, Any]], like: Mapping[str, Any], way: str) -> Mapping[str, Any] | None:
    same = ("crowd", "count", "kind")
    found = [r for r in rows if r["way"] == way and all(r[name] == like[name] for name in same)]
    return found[0] if found else None


_COLUMNS: Final = (
    "makespan",
    "completion_mean",
    "completion_p50",
    "completion_p99",
    "wait_mean",
    "ttft_mean",
)


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Times, s",
        "",
        "| agents | | way | total | completion mean | p50 | p99 | waits | TTFT mean | refusals a call |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = " | ".join(f"{row['figures'][name]:.1f}" for name in _COLUMNS)
        refusals = row["figures"]["refusals_per_call"]
        lines.append(
            f"| {row['count']:,} {row['crowd']} | {row['kind']} | `{row['way']}` | {cells} | {refusals:.1f} |"
        )
    return [*lines, ""]


def _conditions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    others = [way for way in WAYS if way not in WITH_KERNEL]
    lines = [
        "## Other backends, simulated, 250 MINT agents",
        "",
        "Total time / mean completion without the kernel, as multiples of those with it.",
        "",
        "| backend | with | " + " | ".join(f"`{way}`" for way in others) + " |",
        "|---|---|" + "---|" * len(others),
    ]
    for row in rows:
        for ours in WITH_KERNEL:
            cells = [_ratios(row["by_way"][way], row["by_way"][ours]) for way in others]
            lines.append(f"| {row['meaning']} | `{ours}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _ratios(theirs: Mapping[str, float], ours: Mapping[str, float]) -> str:
    return " / ".join(f"{theirs[name] / ours[name]:.2f}" for name in ("makespan", "completion_mean"))


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the figure: mean completion by number of agents, simulated as lines and live as points."""
    rows = results["rows"]
    crowds = sorted({row["crowd"] for row in rows})
    figure, axes = plt.subplots(1, len(crowds), figsize=(4.6 * len(crowds), 3.6), squeeze=False)
    for axis, crowd in zip(axes[0], crowds, strict=True):
        for index, way in enumerate(WAYS):
            for kind, style in (
                ("simulated", {"linestyle": "-"}),
                ("live", {"linestyle": "", "marker": "o"}),
            ):
                mine = [r for r in rows if (r["crowd"], r["way"], r["kind"]) == (crowd, way, kind)]
                axis.plot(
                    [r["count"] for r in mine],
                    [r["figures"]["completion_mean"] for r in mine],
                    color=f"C{index}",
                    label=way if kind == "simulated" else None,
                    **style,
                )
        axis.set_title(f"{crowd} (points: live)")
        axis.set_xlabel("agents")
    axes[0][0].set_ylabel("mean completion, s")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
