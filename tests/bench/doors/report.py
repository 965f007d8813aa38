"""The results as Markdown, each target with whether it was met."""

from collections.abc import Mapping
from typing import Any, Final

MOST_TO_GRPC: Final = 1.5
PATHS: Final = ("floor", "gRPC", "door", "LiteLLM")


def markdown(results: Mapping[str, Any]) -> str:
    """Write every table."""
    machine = results["machine"]
    stand = f"{machine['cpus']} cores, Python {machine['python']}, yardstick {machine['yardstick']:.2f}"
    lines = [
        "# What a door costs",
        "",
        f"`make bench-doors`, {stand}.",
        "",
        "170 tokens a call; burst: the backend writes them at once, paced: one every 10 ms. p50: one call at",
        "a time. CPU: of all processes of the kernel (or of the proxy) for one call, eight at once.",
        "",
        *_cases(results["cases"]),
        "",
        *_crowd(results["crowd"]),
        "",
    ]
    return "\n".join(lines)


def _cases(rows: list[Mapping[str, Any]]) -> list[str]:
    paths = [path for path in PATHS if any(path in row for row in rows)]
    lines = [
        "| call | " + " | ".join(f"{path}: p50 ms / CPU ms" for path in paths) + " | door / gRPC: p50, CPU |",
        "|---|" + "---|" * (len(paths) + 1),
    ]
    for row in rows:
        cells = [_cell(row.get(path)) for path in paths]
        ratio = f"{row['door_to_grpc_p50']:.2f}, {row['door_to_grpc_cpu']:.2f}"
        lines.append(f"| {row['kind']}, {row['pace']} | " + " | ".join(cells) + f" | {ratio} |")
    worst = max(max(row["door_to_grpc_cpu"], row["door_to_grpc_p50"]) for row in rows)
    return [*lines, "", _target(f"a door at most {MOST_TO_GRPC} x the gRPC path", met=worst <= MOST_TO_GRPC)]


def _cell(found: Mapping[str, float] | None) -> str:
    if not found:
        return ""
    return f"{found['p50_ms']:.1f} / {found['cpu_ms']:.1f}" if found["cpu_ms"] else f"{found['p50_ms']:.1f}"


def _crowd(row: Mapping[str, Any]) -> list[str]:
    ended = f"All ended after {row['seconds']:.0f} s ({row['floor_seconds']:.0f} s are the model's)"
    memory = f"Memory of the gateway: {row['kib_per_stream']:.0f} KiB a stream"
    cpu = f"CPU of the kernel: {row['cpu_ms_per_stream']:.0f} ms a stream"
    return [
        f"## {row['streams']} streams at once on one gateway, 30 tokens each, one a second",
        "",
        f"Failed: {row['failed']}. Open at once: {row['open_at_once']}. {ended}. {memory}; {cpu}.",
        "",
        _target("every stream comes to its end", met=not row["failed"]),
    ]


def _target(text: str, *, met: bool) -> str:
    return f"Target, {text}: {'met' if met else 'MISSED'}."
