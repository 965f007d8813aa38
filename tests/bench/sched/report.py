"""Writes what was measured: JSON, Markdown and two figures."""

import json
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any, Final

from tests.bench.sched.catalog import MEANING
from tests.bench.sched.outcome import Outcome, Ratios
from tests.bench.sched.targets import OVER, Verdict

COLUMNS: Final = (
    ("TTFT mean s", "ttft_mean", 1.0),
    ("p50", "ttft_p50", 1.0),
    ("completion mean s", "completion_mean", 1.0),
    ("p50", "completion_p50", 1.0),
    ("p99", "completion_p99", 1.0),
    ("slowdown", "slowdown_mean", 1.0),
    ("max wait s", "wait_max", 1.0),
    ("Jain", "jain", 1.0),
    ("tokens/s", "tokens_per_second", 1.0),
    ("prefill Mtok", "prefill_tokens", 1e-6),
    ("cached %", "cached_share", 100.0),
    ("preempted", "preemptions", 1.0),
    ("ended %", "ended_share", 100.0),
)


def write(outcome: Outcome, verdicts: Sequence[Verdict], facts: dict[str, Any], out: Path) -> str:
    """Write sched.json, sched.md and the figures under `out`; return the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    text = markdown(outcome, verdicts, facts)
    (out / "sched.md").write_text(text)
    rows = ",\n  ".join(json.dumps(row) for row in outcome.rows())
    head = json.dumps(facts | {"targets": [_plain(v) for v in verdicts]}, indent=1)
    (out / "sched.json").write_text(head[:-2] + ',\n "rows": [\n  ' + rows + "\n ]\n}\n")
    return text


def _plain(verdict: Verdict) -> dict[str, Any]:
    found = {w: [_number(m), _number(h), met] for w, (m, h, met) in verdict.by_workload.items()}
    return {
        "target": verdict.text,
        "bound": verdict.bound,
        "overall": _number(verdict.overall),
        "met": verdict.met,
        "by_workload": found,
        "note": verdict.note,
    }


def _number(value: float) -> float | None:
    return None if value == float("inf") else float(f"{value:.4g}")


def markdown(outcome: Outcome, verdicts: Sequence[Verdict], facts: dict[str, Any]) -> str:
    """Format everything."""
    parts = [
        "# Scheduler: simulated policies against the reference, FIFO and oracles\n",
        *_about(outcome, facts),
        *targets(outcome, verdicts),
        *_by_load(outcome),
    ]
    if OVER in outcome.loads:
        parts += ["![ratios to FIFO at 1.5 x the knee](sched_policies.svg)", "![load](sched_loads.svg)", ""]
    for load in reversed(outcome.loads):
        for workload in outcome.workloads:
            parts += _policies(outcome, workload, load)
    return "\n".join(parts)


def _about(outcome: Outcome, facts: dict[str, Any]) -> list[str]:
    lines = [
        "The real core and policies (`services/scheduler`) before a model of one TGI-like server, see",
        "`tests/bench/sched/`. Same arrivals, same server for everyone. AIOS alone pays 3 ms from each",
        "decision to the server, and knows what a gateway tells it: programs, kinds of agents, shared",
        "prefixes, what the server found cached. Only oracles know outputs' lengths. No call is refused.",
        "`priority` and `edf` get calls without priorities and deadlines here.\n",
        "FIFO's knee is the arrival rate at which the mean wait of a call under `fifo` is as long as the",
        "mean call takes alone on a cold server (to 2 %, with seeds other than those measured).\n",
        f"Means over {len(outcome.seeds)} seeds, ± half a 95 % confidence interval. {facts['machine']},",
        f"{facts['seconds']:.0f} s.\n",
        "| workload | FIFO's knee, programs/s | programs | calls | prompt mean | output mean |",
        "|---|---|---|---|---|---|",
    ]
    for workload in outcome.workloads:
        w = facts["workloads"][workload]
        lines.append(
            f"| {workload} | {outcome.knees[workload]:.2f} | {w['programs']} | {w['calls']}"
            f" | {w['prompt_mean']:,} | {w['output_mean']} |"
        )
    lines += ["", "| driver | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {MEANING[name]} |" for name in outcome.drivers if name in MEANING]
    lines += ["| `aios:NAME` | AIOS with that policy at its defaults |", ""]
    return lines


def targets(outcome: Outcome, verdicts: Sequence[Verdict]) -> list[str]:
    """Return the table of targets."""
    head = " | ".join(outcome.workloads)
    lines = [
        f"## Targets, at {OVER:g} x the knee unless said\n",
        "Overall is the geometric mean over the workloads; at half the knee it is the worst.\n",
        f"| target | bound | overall | verdict | {head} |",
        "|---|---|---|---|" + "---|" * len(outcome.workloads),
    ]
    for v in verdicts:
        cells = " | ".join(_cell(v, workload) for workload in outcome.workloads)
        lines.append(f"| {v.text} | {v.bound} | {v.overall:.2f} | {_word(met=v.met)} | {cells} |")
    lines += ["", *[f"- {v.text}: {v.note}" for v in verdicts if v.note], ""]
    return lines


def _cell(verdict: Verdict, workload: str) -> str:
    if workload not in verdict.by_workload:
        return ""
    mean, half, met = verdict.by_workload[workload]
    return f"{mean:.2f}{_spread(half)}{'' if met else ' missed'}"


def _word(*, met: bool) -> str:
    return "met" if met else "**missed**"


def _spread(half: float) -> str:
    return "" if half == float("inf") else f" ±{half:.2f}"


def _by_load(outcome: Outcome) -> list[str]:
    """Return mean completion as a ratio to FIFO, by load: geometric mean over the workloads."""
    ratios = Ratios(outcome)
    head = " | ".join(f"{load:g} x" for load in outcome.loads)
    lines = [
        "## Mean completion / FIFO, geometric mean over the workloads, by load\n",
        f"| driver | {head} |",
        "|---|" + "---|" * len(outcome.loads),
    ]
    for name in outcome.drivers:
        if name in ("fifo", "reference-rr-restarts"):
            continue
        cells = [ratios.overall(load, name, "fifo", "completion_mean") for load in outcome.loads]
        lines.append(f"| `{name}` | " + " | ".join(f"{c:.2f}" for c in cells) + " |")
    return [*lines, ""]


def _policies(outcome: Outcome, workload: str, load: float) -> list[str]:
    ratios = Ratios(outcome)
    lines = [
        f"## {workload} at {load:g} x the knee\n",
        "| driver | completion / FIFO | " + " | ".join(name for name, _, _ in COLUMNS) + " |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for name in outcome.drivers:
        values = [scale * ratios.mean(workload, load, name, metric) for _, metric, scale in COLUMNS]
        if isnan(values[0]):
            lines.append(f"| `{name}` | |" + " |" * (len(COLUMNS) - 1) + f" {values[-1]:.0f} |")
            continue
        mean, half = ratios.of(workload, load, name, "fifo", "completion_mean")
        cells = " | ".join(_figure(value) for value in values)
        lines.append(f"| `{name}` | {mean:.2f}{_spread(half)} | {cells} |")
    return [*lines, ""]


def _figure(value: float) -> str:
    if isnan(value):
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
