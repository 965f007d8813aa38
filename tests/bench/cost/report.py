"""The results as Markdown, each target with whether it was met."""

from collections.abc import Mapping
from typing import Any, Final

MIB: Final = 2**20
RATIOS: Final = (
    ("stream, burst", "gRPC", "floor", 2.2),
    ("whole, burst", "gRPC", "floor", 2.3),
    ("stream, 10 ms a token", "gRPC", "floor", 1.6),
    ("stream, burst", "gRPC", "LiteLLM", 0.05),
    ("whole, burst", "gRPC", "LiteLLM", 0.3),
)
"""What is measured, on which way, against which other one, and how many times that it may cost."""
DOOR_MS: Final = {"stream, burst": 1.5, "stream, 10 ms a token": 4.0}
"""What a door may add to the same call by gRPC, on the reference machine."""
ALONE: Final = 2.5
START_SECONDS: Final = 7.0
REGISTRATION_MS: Final = 6.0
IDLE_SHARE: Final = 0.01
IDLE_MIB: Final = 730
CASES: Final = ("stream, burst", "whole, burst", "stream, 10 ms a token")


def targets(results: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return each target: what it is of, what was found, and the most that it may be."""
    speed = results["machine"]["yardstick"]
    found: list[tuple[str, float, float]] = []
    for case, way, other, most in RATIOS:
        if other in results[case]:
            ratio = results[case][way]["cpu_ms"] / results[case][other]["cpu_ms"]
            found.append((f"{case}: CPU by {way} / {other}", ratio, most))
    for case, most in DOOR_MS.items():
        extra = results[case]["chat"]["cpu_ms"] - results[case]["gRPC"]["cpu_ms"]
        found.append((f"{case}: the door's own CPU, ms", extra, most * speed))
    alone, idle = results["alone"], results["idle"]
    found += [
        ("a short call alone: time by gRPC / floor", alone["gRPC"] / alone["floor"], ALONE),
        ("registering an agent: CPU, ms", results["registrations"]["cpu_ms"], REGISTRATION_MS * speed),
        ("start, cold, s", idle["cold_s"], START_SECONDS * speed),
        ("idle: CPU, of a core", idle["cpu_share"], IDLE_SHARE * speed),
        ("idle: resident, MiB", sum(idle["resident_bytes"].values()) / MIB, IDLE_MIB),
    ]
    return found


def missed(results: Mapping[str, Any]) -> list[str]:
    """Name the targets that are missed."""
    return [what for what, value, most in targets(results) if value > most]


def markdown(results: Mapping[str, Any]) -> str:
    """Write every table."""
    machine = results["machine"]
    stand = (
        f"{machine['cpus']} cores, Python {machine['python']}, yardstick {machine['yardstick']:.2f}, "
        f"load {machine['load']:.1f} at the start, {machine['seconds']:.0f} s"
    )
    return "\n".join(
        [
            "# What a call costs",
            "",
            f"`make bench-cost`, {stand}.",
            "",
            "CPU of all processes that serve, for one call of 170 tokens; 16 calls run at once.",
            "",
            *_cpu(results),
            "",
            *_counts(results["counts"]),
            "",
            *_lengths(results["lengths"]),
            "",
            *_idle(results["idle"]),
            "",
            *_targets(results),
            "",
        ]
    )


def _cpu(results: Mapping[str, Any]) -> list[str]:
    lines = ["| call | way | CPU ms | / floor | by process |", "|---|---|---|---|---|"]
    for case in CASES:
        least = results[case]["floor"]["cpu_ms"]
        for way, row in results[case].items():
            shares = sorted(row["by_process"].items(), key=lambda each: -each[1])
            parts = ", ".join(f"{name} {cpu:.1f}" for name, cpu in shares if cpu >= 0.05)
            lines.append(f"| {case} | {way} | {row['cpu_ms']:.1f} | {row['cpu_ms'] / least:.1f} | {parts} |")
    return lines


def _counts(counted: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(next(iter(counted.values())))
    lines = ["| a stream's | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    return lines + [
        f"| {pace} | " + " | ".join(f"{row[name]:.2f}" for name in names) + " |"
        for pace, row in counted.items()
    ]


def _lengths(lengths: Mapping[Any, Mapping[str, float]]) -> list[str]:
    lines = ["| tokens at once | floor, CPU ms | gRPC, CPU ms |", "|---|---|---|"]
    for tokens, row in lengths.items():
        lines.append(f"| {tokens} | {row['floor']:.1f} | {row['gRPC']:.1f} |")
    return lines


def _idle(idle: Mapping[str, Any]) -> list[str]:
    resident, proportional = (
        sum(idle[f"{name}_bytes"].values()) / MIB for name in ("resident", "proportional")
    )
    start = f"Start: cold {idle['cold_s']:.1f} s, warm {idle['warm_s']:.1f} s."
    memory = f"{resident:.0f} MiB resident, {proportional:.0f} MiB with what is shared counted once"
    return [f"{start} Idle: {idle['cpu_share']:.1%} of a core, {memory}."]


def _targets(results: Mapping[str, Any]) -> list[str]:
    lines = ["| target | found | most | |", "|---|---|---|---|"]
    return lines + [
        f"| {what} | {value:.3g} | {most:.3g} | {'met' if value <= most else '**missed**'} |"
        for what, value, most in targets(results)
    ]
