"""What the kernel adds to a bare backend; every figure next to its floor of the same run.

(a) latency of one call on an idle kernel   (b) closed loops of 1 to 2,000 agents x 4 calls
(c) streamed tokens per second              (d) pass-through calls per second
(e) resident memory and start-up time of the whole system

Run:  python -m tests.bench.bench_overhead [--quick] [--out tests/bench/results]
"""

import argparse
import asyncio
import json
import platform
import time
from pathlib import Path
from typing import Any

from tests.bench.overhead.decisions import decisions
from tests.bench.overhead.load import Agents, Bare, Loop, RawNotes, closed_loop, percentile, unary_rate
from tests.bench.overhead.report import markdown
from tests.bench.overhead.world import Kernel, fake_tgi, helper, kernel

SLOTS, LATENCY = 8, 0.05
STREAM_TOKENS = 3500
UNLIMITED = {
    "AIOS_SCHEDULER_MAX_WAITING": "20000",
    "AIOS_GATEWAY_QUOTA_GENERATIONS": "64",
    "AIOS_TGI_SLOTS": str(SLOTS),
}


async def idle_latency(calls: int) -> dict[str, Any]:
    """Measure (a): calls one at a time, bare and through the kernel in turn, on a backend without delay."""
    async with fake_tgi(slots=SLOTS, latency=0, tokens=8) as url, kernel(tgi=url, extra=UNLIMITED) as running:
        agents, bare = Agents(running.plan.gateway, running.admin_token), Bare(url)
        await agents.register(1)
        floor: list[float] = []
        through: list[float] = []
        for number in range(calls + 20):
            for call, times in ((bare.call, floor), (agents.call, through)):
                began = time.perf_counter()
                await call(0)
                if number >= 20:  # the first ones warm both up
                    times.append(time.perf_counter() - began)
        await agents.close()
        await bare.close()
    result = {f"floor_{name}_ms": percentile(floor, share) * 1e3 for name, share in _SHARES.items()}
    result |= {f"kernel_{name}_ms": percentile(through, share) * 1e3 for name, share in _SHARES.items()}
    return result | {
        f"added_{name}_ms": result[f"kernel_{name}_ms"] - result[f"floor_{name}_ms"] for name in _SHARES
    }


async def loops(sizes: list[int], calls: int) -> list[dict[str, Any]]:
    """Measure (b): the same closed loop at the bare backend and through the kernel, size by size."""
    rows = []
    async with (
        fake_tgi(slots=SLOTS, latency=LATENCY, tokens=1) as url,
        kernel(tgi=url, extra=UNLIMITED) as running,
    ):
        agents, bare = Agents(running.plan.gateway, running.admin_token), Bare(url)
        await agents.register(max(sizes))
        await closed_loop(1, 4, bare.call)
        await closed_loop(1, 4, agents.call)
        for size in sizes:
            floor = await closed_loop(size, calls, bare.call)
            before = running.cpu_seconds()
            through = await closed_loop(size, calls, agents.call)
            cpu = running.cpu_seconds() - before
            rows.append(_loop_row(size, calls, floor, through, cpu))
        await agents.close()
        await bare.close()
    return rows


def _loop_row(size: int, calls: int, floor: Loop, through: Loop, cpu: float) -> dict[str, Any]:
    return {
        "agents": size,
        "floor_s": floor.end_to_end,
        "kernel_s": through.end_to_end,
        "ratio": through.end_to_end / floor.end_to_end,
        "wait_p50_s": percentile(through.waits, 0.5),
        "wait_p90_s": percentile(through.waits, 0.9),
        "turnaround_mean_s": sum(through.turnarounds) / len(through.turnarounds),
        "floor_turnaround_mean_s": sum(floor.turnarounds) / len(floor.turnarounds),
        "turnaround_p50_s": percentile(through.turnarounds, 0.5),
        "turnaround_p90_s": percentile(through.turnarounds, 0.9),
        "floor_turnaround_p90_s": percentile(floor.turnarounds, 0.9),
        "kernel_cpu_ms_per_call": cpu / (size * calls) * 1e3,
    }


async def streams(counts: list[int]) -> list[dict[str, Any]]:
    """Measure (c): tokens per second of streams that the backend writes as fast as it can."""
    rows = []
    async with (
        fake_tgi(slots=64, latency=0, tokens=STREAM_TOKENS) as url,
        kernel(tgi=url, extra=UNLIMITED | {"AIOS_TGI_SLOTS": "64"}) as running,
    ):
        agents, bare = Agents(running.plan.gateway, running.admin_token), Bare(url)
        await agents.register(max(counts))
        await agents.stream(0, 100)
        for count in counts:
            floor = await _tokens_per_second([bare.stream(STREAM_TOKENS) for _ in range(count)])
            through = await _tokens_per_second([agents.stream(n, STREAM_TOKENS) for n in range(count)])
            rows.append({"streams": count, "floor_tokens_s": floor, "kernel_tokens_s": through})
        await agents.close()
        await bare.close()
    return rows


async def _tokens_per_second(calls: list[Any]) -> float:
    began = time.perf_counter()
    counts = await asyncio.gather(*calls)
    return float(sum(counts)) / (time.perf_counter() - began)


async def pass_through(seconds: float, rounds: int) -> dict[str, Any]:
    """Measure (d): small unary calls through the gateway and a bare relay to the same server."""
    floor_module = "tests.bench.overhead.floor"
    async with (
        helper(floor_module, "echo") as echo,
        helper(floor_module, "relay", f"127.0.0.1:{echo}") as relay,
        fake_tgi(slots=SLOTS, latency=0, tokens=1) as url,
        kernel(tgi=url, extra=UNLIMITED | {"AIOS_MEMORY_ENDPOINT": f"127.0.0.1:{echo}"}) as running,
    ):
        agents, bare = Agents(running.plan.gateway, running.admin_token), RawNotes(f"127.0.0.1:{relay}")
        await agents.register(1)
        rates: dict[str, list[float]] = {"relay": [], "gateway": []}
        for number in range(rounds + 1):
            for name, call in (("relay", bare.get_note), ("gateway", agents.get_note)):
                rate = await unary_rate(call, workers=32, seconds=seconds)
                if number:
                    rates[name].append(rate)
        await agents.close()
        await bare.close()
    relay_rate, gateway_rate = (percentile(rates[name], 0.5) for name in ("relay", "gateway"))
    return {"relay_calls_s": relay_rate, "gateway_calls_s": gateway_rate, "ratio": gateway_rate / relay_rate}


async def tool_calls(calls: int) -> dict[str, Any]:
    """Measure (f): calls of a built-in tool, one at a time, and how long each waits for its turn."""
    async with fake_tgi(slots=SLOTS, latency=0, tokens=1) as url, kernel(tgi=url, extra=UNLIMITED) as running:
        agents = Agents(running.plan.gateway, running.admin_token)
        await agents.register(1)
        took: list[float] = []
        waited: list[float] = []
        for number in range(calls + 20):
            began = time.perf_counter()
            wait = await agents.calculate(number)
            if number >= 20:
                took.append(time.perf_counter() - began)
                waited.append(wait)
        await agents.close()
    return {
        "p50_ms": percentile(took, 0.5) * 1e3,
        "p99_ms": percentile(took, 0.99) * 1e3,
        "turn_p50_ms": percentile(waited, 0.5) * 1e3,
        "turn_p99_ms": percentile(waited, 0.99) * 1e3,
    }


async def footprint() -> dict[str, Any]:
    """Measure (e): the whole system with its default model, idle."""
    async with kernel() as running:
        await asyncio.sleep(2)
        return {"start_s": running.start_seconds, **_memory(running)}


def _memory(running: Kernel) -> dict[str, Any]:
    resident = running.resident_bytes()
    by_process = {name: round(size / 2**20, 1) for name, size in resident.items()}
    return {"resident_mb": sum(resident.values()) / 2**20, "by_process_mb": by_process}


async def measure(*, quick: bool) -> dict[str, Any]:
    """Run everything."""
    sizes = [1, 50] if quick else [1, 50, 250, 2000]
    return {
        "machine": {"cpus": _cpus(), "python": platform.python_version(), "system": platform.system()},
        "footprint": await footprint(),
        "idle_latency": await idle_latency(50 if quick else 300),
        "closed_loops": await loops(sizes, 4),
        "streams": await streams([1, 4] if quick else [1, 32]),
        "pass_through": await pass_through(0.5 if quick else 2.0, 1 if quick else 3),
        "decisions": await decisions(50 if quick else 1000),
        "tool_calls": await tool_calls(50 if quick else 500),
    }


def _cpus() -> int:
    import os  # noqa: PLC0415 - one use

    return os.cpu_count() or 0


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results"))
    given = parser.parse_args()
    results = asyncio.run(measure(quick=given.quick))
    text = markdown(results)
    print(text)
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "overhead.json").write_text(json.dumps(results, indent=2) + "\n")
        (given.out / "overhead.md").write_text(text)


_SHARES = {"p50": 0.5, "p99": 0.99}

if __name__ == "__main__":
    main()
