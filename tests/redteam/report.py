"""What a run found, as Markdown."""

from collections.abc import Mapping
from typing import Any, Final

MOST_DELAYED: Final = 3.0
"""A bystander's p99 under attack by its quiet one may be this at most."""
_MEBIBYTE: Final = 1 << 20


def markdown(results: Mapping[str, Any]) -> str:
    """Write the figures of a run."""
    attacks = results["attacks"]
    tried = sum(row["tried"] for row in attacks)
    lines = [
        "# Red team",
        "",
        f"{results['machine']}, yardstick {results['yardstick']:.2f}, {results['seconds']:.0f} s in all.",
        "",
        f"- attacks tried: {tried:,} calls of {len(attacks)} kinds",
        f"- controls that failed: {results['breaches']}",
        f"- calls of the bystanders: {results['calls']:,}, lost {results['lost']}",
        f"- processes that ended: {results['ended'] or 'none'}",
        "",
        "| bystander's call | quiet p99 (ms) | under attack p99 (ms) | ratio |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {kind} | {row['quiet'] * 1e3:.1f} | {row['attacked'] * 1e3:.1f} | {row['ratio']:.2f} |"
        for kind, row in results["delays"].items()
    ]
    lines += ["", "| process | peak resident memory (MiB) |", "|---|---|"]
    lines += [f"| {name} | {peak / _MEBIBYTE:.0f} |" for name, peak in sorted(results["peak"].items())]
    lines += ["", "| attack | threat | tried | worst p99 ratio | how they ended |", "|---|---|---|---|---|"]
    lines += [_row(row) for row in attacks]
    for row in attacks:
        lines += [f"- **{row['name']}**: {breach}" for breach in row["breaches"]]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    most = sorted(row["answers"].items(), key=lambda entry: -entry[1])[:4]
    ended = ", ".join(f"{count} {name}" for name, count in most)
    return f"| {row['name']} | {row['threat']} | {row['tried']:,} | {row['ratio']:.2f} | {ended} |"
