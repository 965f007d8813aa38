"""The results as Markdown, each budget with whether it was met."""

from typing import Any

BUDGETS = {"python, warm": 10.0, "python, cold": 100.0}
"""Most that a median may be on the reference machine, beyond that of a tool that does nothing. Unit: ms."""

MOST_SPREAD = 2.5
"""Most that the longest wait may be in medians: 2 when each agent has its turn once."""


def missed(results: dict[str, Any]) -> list[str]:
    """Return the budgets that were not met, in words; what could not be measured misses none."""
    rows, factor = results["rows"], max(1.0, results["machine"]["yardstick"])
    nothing = rows["built-in that does nothing"]["p50_ms"]
    found = [
        f"{name}: p50 {rows[name]['p50_ms'] - nothing:.1f} ms added, {budget * factor:.0f} are granted"
        for name, budget in BUDGETS.items()
        if "skipped" not in rows[name] and rows[name]["p50_ms"] - nothing > budget * factor
    ]
    crowd = results["crowd"]
    if "skipped" not in crowd and crowd["max_over_median"] > MOST_SPREAD:
        found.append(f"crowd: the longest wait is {crowd['max_over_median']:.1f} medians")
    return found


def markdown(results: dict[str, Any]) -> str:
    """Write both tables."""
    machine = results["machine"]
    failed = missed(results)
    return "\n".join(
        [
            "# What a tool call costs",
            "",
            "`make bench-tools`, {cpus} cores, Python {python}, yardstick {yardstick:.2f}.".format(**machine),
            "Whole path: gateway, tool manager, scheduler, driver. One call at a time.",
            "",
            "| | fastest ms | p50 ms | p99 ms |",
            "|---|---|---|---|",
            *(_row(name, row) for name, row in results["rows"].items()),
            "",
            "Budgets beyond the built-in that does nothing: "
            + ", ".join(f"{name} p50 at most {most:g} ms" for name, most in BUDGETS.items())
            + f" on the reference machine: **{'missed' if failed else 'met'}**",
            *(f"- {each}" for each in failed),
            "",
            *_crowd(results["crowd"]),
        ]
    )


def _row(name: str, row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"| {name} | skipped | | {row['skipped']} |"
    return f"| {name} | {row['fastest_ms']:.2f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} |"


def _crowd(row: dict[str, Any]) -> list[str]:
    if "skipped" in row:
        return [f"A crowd: skipped, {row['skipped']}", ""]
    waits = ("p50_s", "p99_s", "max_s", "max_over_median", "jain")
    return [
        "## {agents} agents at once, one call each; {places} places of {seconds} s".format(**row),
        "",
        "| | p50 s | p99 s | longest s | longest / median | Jain's index |",
        "|---|---|---|---|---|---|",
        "| wait for the turn | " + " | ".join(f"{row[name]:.2f}" for name in waits) + " |",
        "",
        "All were served after {end_to_end_s:.2f} s; the tool alone needs {least_s:.2f} s.".format(**row),
        "Waits of one call each, served in turn, are spread evenly: longest / median 2, Jain's index 0.75.",
        "",
    ]
