"""The results as Markdown, each target with whether it was met."""

from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """Write every table."""
    return "\n".join(
        [
            "# What the kernel adds to a bare backend",
            "",
            "`make bench-overhead`, {cpus} cores, Python {python}.".format(**results["machine"]),
            "",
            *_idle(results["idle_latency"]),
            *_loops(results["closed_loops"]),
            *_streams(results["streams"]),
            *_pass_through(results["pass_through"]),
            *_footprint(results["footprint"]),
            *_tool_calls(results["tool_calls"]),
            *_decisions(results["decisions"]),
        ]
    )


def _decisions(row: dict[str, float]) -> list[str]:
    """Show what it costs that a tenant's own policies are followed in worker processes."""
    lines = [
        "## Decisions of the access manager",
        "",
        "| decided by | in process, p50 us | in a batch of 1 | of 8 | of 32 |",
        "|---|---|---|---|---|",
    ]
    columns = ("in_process_us", "batch_of_1_us", "batch_of_8_us", "batch_of_32_us")
    for rules in ("kernel", "tenant"):
        times = " | ".join(f"{row[f'{rules}_{column}']:.0f}" for column in columns)
        lines.append(f"| the {rules}'s rules | {times} |")
    return [*lines, ""]


def _idle(row: dict[str, float]) -> list[str]:
    return [
        "## (a) One call on an idle kernel",
        "",
        "| | p50 ms | p99 ms |",
        "|---|---|---|",
        f"| floor: straight at the backend | {row['floor_p50_ms']:.2f} | {row['floor_p99_ms']:.2f} |",
        f"| through the kernel | {row['kernel_p50_ms']:.2f} | {row['kernel_p99_ms']:.2f} |",
        f"| **added** | **{row['added_p50_ms']:.2f}** | {row['added_p99_ms']:.2f} |",
        "",
        _target("added p50 at most 3 ms", met=row["added_p50_ms"] <= 3),
        "",
    ]


def _loops(rows: list[dict[str, float]]) -> list[str]:
    lines = [
        "## (b) Agents x 4 calls, backend of 8 slots x 50 ms",
        "",
        "Wait: from a call's arrival at the gateway to its grant, so what queues for the backend is in it.",
        "",
        "| agents | floor s | kernel s | ratio | wait p50 / p90 s | turnaround mean / p90 s | CPU ms |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['agents']:.0f} | {row['floor_s']:.2f} | {row['kernel_s']:.2f} | {row['ratio']:.3f} "
        f"| {row['wait_p50_s']:.3f} / {row['wait_p90_s']:.3f} "
        f"| {row['turnaround_mean_s']:.3f} / {row['turnaround_p90_s']:.3f} "
        f"| {row['kernel_cpu_ms_per_call']:.2f} |"
        for row in rows
    ]
    at_250 = [row for row in rows if row["agents"] == 250]
    if at_250:
        lines += ["", _target("ratio at 250 agents at most 1.15", met=at_250[0]["ratio"] <= 1.15)]
    return [*lines, ""]


def _streams(rows: list[dict[str, float]]) -> list[str]:
    lines = [
        "## (c) Streamed tokens per second",
        "",
        "| streams | bare backend | through the gateway |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['streams']:.0f} | {row['floor_tokens_s']:,.0f} | {row['kernel_tokens_s']:,.0f} |"
        for row in rows
    ]
    wanted = {1: 15_000, 32: 30_000}
    for row in rows:
        least = wanted.get(int(row["streams"]))
        if least is not None:
            text = f"{row['streams']:.0f} stream(s) at {least:,} tokens/s where the backend gives that"
            met = row["kernel_tokens_s"] >= min(least, row["floor_tokens_s"])
            lines += ["", _target(text, met=met)]
    return [*lines, ""]


def _pass_through(row: dict[str, float]) -> list[str]:
    return [
        "## (d) Pass-through unary calls per second, 32 at a time",
        "",
        "Bare relay {relay_calls_s:,.0f}, gateway {gateway_calls_s:,.0f}: {ratio:.2f}.".format(**row),
        "",
        _target("at least 0.6 of the relay", met=row["ratio"] >= 0.6),
        "",
    ]


def _tool_calls(row: dict[str, float]) -> list[str]:
    return [
        "## (f) One call of a built-in tool on an idle kernel",
        "",
        "| | p50 ms | p99 ms |",
        "|---|---|---|",
        f"| the whole call | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} |",
        f"| of it the turn in the scheduler | {row['turn_p50_ms']:.2f} | {row['turn_p99_ms']:.2f} |",
        "",
    ]


def _footprint(row: dict[str, Any]) -> list[str]:
    processes = ", ".join(f"{name} {size:.0f}" for name, size in row["by_process_mb"].items())
    return [
        "## (e) The idle system with its default model",
        "",
        f"Resident memory {row['resident_mb']:.0f} MB: {processes}.",
        f"Ready {row['start_s']:.1f} s after the start.",
        "",
        _target("at most 900 MB", met=row["resident_mb"] <= 900),
        _target("ready within 6 s", met=row["start_s"] <= 6),
        "",
    ]


def _target(text: str, *, met: bool) -> str:
    return f"Target {text}: {'met' if met else 'MISSED'}."
