"""The live results as Markdown, each target with whether it was met."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.live.policies import AGREEMENT
from tests.bench.live.scale import TARGET

_COLUMNS = (
    "ttft_mean",
    "ttft_p50",
    "ttft_p99",
    "completion_mean",
    "completion_p50",
    "completion_p99",
    "makespan",
)
_ABOUT_POLICIES = """\
{programs} programs with {calls} calls (half MINT agents of 1 to 5 steps, half Azure chats) at
{load:g} x FIFO's knee, {rate:.2f} arrivals a second. The backend speaks TGI's protocol and takes the
time of the simulator's model: {slots} slots, {budget:,} tokens of KV cache, {speedup:g} times as fast as its
GPU. Times are the GPU's seconds, so what the kernel itself takes counts {speedup:g}-fold. `live` went through
the real processes, `simulated` is the scheduler's core alone with 3 ms from a decision to the server,
`hop` the same with the time that a slot really stood idle between two calls (median).
"""

_HEAD = "TTFT mean s | p50 | p99 | completion mean s | p50 | p99 | makespan s"


def markdown(results: Mapping[str, Any]) -> str:
    """Write every table."""
    return "\n".join(
        [
            "# The kernel live: policies, a real engine, scale",
            "",
            "`make bench-live`, {cpus} cores, Python {python}, load {load:.1f} at the start, "
            "{seconds:.0f} s.".format(**results["machine"]),
            "",
            *_policies(results["policies"]),
            *_engine(results.get("engine")),
            *_scale(results["scale"]),
        ]
    )


def _policies(part: Mapping[str, Any]) -> list[str]:
    lines = [
        "## (a) Policies, live and simulated",
        "",
        _ABOUT_POLICIES.format(**part),
        f"| policy | | {_HEAD} |",
        "|---|---|" + "---|" * len(_COLUMNS),
    ]
    for row in part["rows"]:
        kinds = {"live": "live", "simulated": "simulated", "simulated_with_measured_hop": "hop"}
        lines += [
            f"| {row['name']} | {label} | {_cells(row[kind])} |"
            for kind, label in kinds.items()
            if kind in row
        ]
    return [*lines, "", *_against_direct(part["rows"]), *_agreement(part["rows"]), *_cpu(part["rows"])]


def _cells(figures: Mapping[str, float]) -> str:
    return " | ".join(f"{figures[name]:.2f}" for name in _COLUMNS)


def _against_direct(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    floor = rows[0]["live"]
    lines = [
        "Live, as a ratio to the agents straight at the backend, whose queue is FIFO:",
        "",
        "| policy | TTFT mean | TTFT p50 | completion mean | completion p50 | completion p99 | makespan |",
        "|---|---|---|---|---|---|---|",
    ]
    names = ("ttft_mean", "ttft_p50", "completion_mean", "completion_p50", "completion_p99", "makespan")
    for row in rows[1:]:
        cells = " | ".join(f"{row['live'][name] / floor[name]:.2f}" for name in names)
        lines.append(f"| {row['name']} | {cells} |")
    return [*lines, ""]


def _agreement(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"Live mean completion / simulated; within {AGREEMENT:.0%}, or the idle slots must explain it:",
        "",
        "| policy | live / simulated | live / simulated with the measured hop | idle slot ms | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        live = row["live"]["completion_mean"]
        plain = live / row["simulated"]["completion_mean"]
        told = row.get("simulated_with_measured_hop")
        hop = live / told["completion_mean"] if told else plain
        verdict = "agrees" if abs(plain - 1) <= AGREEMENT else "**differs**"
        if verdict != "agrees" and abs(hop - 1) <= AGREEMENT:
            verdict = "explained by the hop"
        gap = 1e3 * row.get("hop_seconds", 0.0)
        lines.append(f"| {row['name']} | {plain:.2f} | {hop:.2f} | {gap:.0f} | {verdict} |")
    return [*lines, ""]


def _cpu(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["CPU of a call, ms, by process:", "", "| policy | " + " | ".join(_PROCESSES) + " |"]
    lines.append("|---|" + "---|" * len(_PROCESSES))
    lines += [f"| {row['name']} | {_by_process(row)} |" for row in rows if "cpu_ms_per_call" in row]
    late = max(row["server"]["timed_late_seconds"] for row in rows)
    return [*lines, "", f"The timed server was at most {1e3 * late:.0f} ms late with a step.", ""]


_PROCESSES = ("gateway", "scheduler", "context", "access")


def _by_process(row: Mapping[str, Any]) -> str:
    return " | ".join(f"{row['cpu_ms_per_call'][name]:.2f}" for name in _PROCESSES)


def _engine(part: Mapping[str, Any] | None) -> list[str]:
    if part is None:
        return []
    return [
        "## (b) tgi-local with the demo model",
        "",
        f"{part['programs']} agents with 3 calls each that start at once, every fourth with long answers; a",
        "real engine on the same cores, wall time.",
        "",
        f"| policy | {_HEAD} |",
        "|---|" + "---|" * len(_COLUMNS),
        *[f"| {row['name']} | {_cells(row['live'])} |" for row in part["rows"]],
        "",
    ]


def _scale(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## (c) Many agents in a closed loop",
        "",
        "The timed server as in (a); through the kernel with `fifo`, so that both serve in one order.",
        "Memory: most that gateway and scheduler held above their idle state, by agent that waited.",
        "",
        "| agents | calls | floor s | kernel s | ratio | KiB a waiting agent | "
        + " | ".join(f"{name} CPU ms" for name in _PROCESSES)
        + " |",
        "|---|---|---|---|---|---|" + "---|" * len(_PROCESSES),
    ]
    lines += [
        f"| {row['agents']:,} | {row['calls']:,.0f} | {row['floor_s']:.2f} | {row['kernel_s']:.2f} "
        f"| {row['ratio']:.3f} | {row['bytes_per_waiting_agent'] / 1024:.0f} | {_by_process(row)} |"
        for row in rows
    ]
    lines.append("")
    for row in rows:
        met = "met" if row["ratio"] <= TARGET else "**missed**"
        lines.append(f"- Ratio at {row['agents']:,} agents at most {TARGET:.2f}: {met}.")
    return [*lines, ""]
