"""What a call costs: CPU by process, in bursts and at a pace, against the floor of the same run.

(a) 170 tokens, at once or one every 10 ms, as a stream or whole, by gRPC and by each door; what the kernel
    asks, saves and commits for one call; its time alone on an idle kernel
(b) CPU a call by the length of the answer, and of registering agents
(c) start, cold and warm; memory and CPU of the idle kernel

CPU is of all processes that serve, user and system, while 16 calls run at once. Targets are ratios to the
floor, since machines differ; what is missed is said, and the exit status is 1 then.

Run:  python -m tests.bench.bench_cost [--quick] [--litellm] [--out tests/bench/results]
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from tests.bench.bench_doors import DOOR_ABOVE, litellm_proxy, register
from tests.bench.cost.report import markdown, missed
from tests.bench.cost.world import Group, counts, floor, of_kernel
from tests.bench.doors.clients import (
    CHAT,
    MESSAGES,
    RESPONSES,
    UNARY,
    Call,
    Grpc,
    Kind,
    Web,
    at_once,
    one_by_one,
)
from tests.bench.overhead.load import percentile
from tests.bench.overhead.world import Kernel, helper, kernel
from tests.bench.yardstick import yardstick
from tests.system.world import open_channel

TOKENS: Final = 170
WORKERS: Final = 16
LENGTHS: Final = (10, 170, 2_000, 20_000)
DOORS: Final = (CHAT, RESPONSES, MESSAGES)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the backend, and whose CPU time it is."""

    name: str
    group: Group
    call: Callable[[str, int], Call]
    """Model (which is the pace) and tokens."""


def attached(url: str) -> dict[str, str]:
    """Return the variables that put the paces behind a kernel, with room for all that is asked at once."""
    return {
        "AIOS_OPENAI_ENDPOINTS": ",".join(f"{url}/v1#{pace}" for pace in ("burst", "paced")),
        "AIOS_OPENAI_SLOTS": "4096",
        "AIOS_GATEWAY_QUOTA_GENERATIONS": "4096",
    }


async def cpu_of(way: Way, pace: str, tokens: int, calls: int) -> dict[str, float]:
    """Make so many calls and return the CPU of each process for one. Unit: milliseconds."""
    call = way.call(pace, tokens)
    await at_once(call, WORKERS, WORKERS)
    before = way.group.cpu()
    await at_once(call, calls, WORKERS)
    after = way.group.cpu()
    return {name: (after[name] - before.get(name, 0.0)) / calls * 1e3 for name in after}


async def row_of(ways: list[Way], pace: str, calls: int) -> dict[str, Row]:
    """Measure one pace on every way, in turns, so that what else the machine does meets all alike."""
    rows: dict[str, list[dict[str, float]]] = {way.name: [] for way in ways}
    rounds = 2 if pace == "burst" else 1
    for _ in range(rounds):
        for way in ways:
            rows[way.name].append(await cpu_of(way, pace, TOKENS, max(WORKERS, calls // rounds)))
    return {name: _least(found) for name, found in rows.items()}


def _least(found: list[dict[str, float]]) -> Row:
    best = min(found, key=lambda each: sum(each.values()))
    return {"cpu_ms": sum(best.values()), "by_process": best}


async def cases(url: str, calls: int, *, litellm: bool) -> Row:
    """Measure calls of all kinds."""
    async with AsyncExitStack() as stack:
        endpoint, of_floor = await stack.enter_async_context(floor(url))
        running = await stack.enter_async_context(kernel(extra=attached(url)))
        keys, tokens = zip(*await register(running), strict=True)
        bare, stubs = Grpc(endpoint, ["none"]), Grpc(running.plan.gateway, list(tokens))
        door = Web(f"http://127.0.0.1:{running.plan.base_port + DOOR_ABOVE}", list(keys))
        for each in (bare, stubs, door):
            stack.push_async_callback(each.close)
        ours = of_kernel(running)

        def grpc(client: Grpc, *, stream: bool) -> Callable[[str, int], Call]:
            return lambda model, length: client.call(stream=stream, model=model, tokens=length)

        def web(client: Web, kind: Kind) -> Callable[[str, int], Call]:
            return lambda model, length: client.call(kind, model, length)

        streams = [
            Way("floor", of_floor, grpc(bare, stream=True)),
            Way("gRPC", ours, grpc(stubs, stream=True)),
        ]
        whole = [
            Way("floor", of_floor, grpc(bare, stream=False)),
            Way("gRPC", ours, grpc(stubs, stream=False)),
        ]
        streams += [Way(kind.name.split(",")[0], ours, web(door, kind)) for kind in DOORS]
        whole.append(Way("chat", ours, web(door, UNARY)))
        if litellm:
            proxy = await stack.enter_async_context(litellm_proxy(url))
            client = Web(proxy.url, [proxy.key])
            stack.push_async_callback(client.close)
            theirs = Group(lambda: {"proxy": proxy.process.pid})
            streams.append(Way("LiteLLM", theirs, web(client, CHAT)))
            whole.append(Way("LiteLLM", theirs, web(client, UNARY)))
        return {
            "stream, burst": await row_of(streams, "burst", calls),
            "whole, burst": await row_of(whole, "burst", calls),
            "stream, 10 ms a token": await row_of(streams, "paced", calls // 4),
            "counts": {pace: await _counted(running, streams[1], pace) for pace in ("burst", "paced")},
            "alone": {way.name: await _alone(way, calls // 8) for way in streams[:2]},
            "lengths": {length: await _length(streams[:2], length, calls) for length in LENGTHS},
            "registrations": await _registrations(running, calls),
        }


async def _counted(running: Kernel, way: Way, pace: str) -> dict[str, float]:
    """Count what the kernel does for one call."""
    calls = 2 * WORKERS
    before = await counts(running)
    await at_once(way.call(pace, TOKENS), calls, WORKERS)
    await asyncio.sleep(1.0)  # what follows a call has come to its end
    after = await counts(running)
    return {name: (after[name] - before[name]) / calls for name in after}


async def _alone(way: Way, calls: int) -> float:
    """Return the median time of a short call on an otherwise idle machine. Unit: milliseconds."""
    call = way.call("burst", 10)
    await one_by_one(call, 5)
    return percentile(await one_by_one(call, max(20, calls)), 0.5) * 1e3


async def _length(ways: list[Way], tokens: int, calls: int) -> Row:
    count = max(WORKERS, min(calls, calls * TOKENS // tokens))
    return {way.name: sum((await cpu_of(way, "burst", tokens, count)).values()) for way in ways}


async def _registrations(running: Kernel, calls: int) -> Row:
    """Register agents, one after another."""
    group = of_kernel(running)
    async with open_channel(running.plan.gateway) as channel:
        stub: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
        metadata = (("authorization", f"Bearer {running.admin_token}"),)
        count = max(20, calls // 4)
        before = group.cpu()
        for _ in range(count):
            await stub.RegisterAgent(agent_pb2.RegisterAgentRequest(), metadata=metadata)
        after = group.cpu()
    return {"cpu_ms": (sum(after.values()) - sum(before.values())) / count * 1e3, "agents": count}


async def idle(url: str, seconds: float) -> Row:
    """Start twice on one data directory, and look at the kernel while nobody asks anything."""
    with tempfile.TemporaryDirectory(prefix="aios-bench-") as folder:
        async with kernel(extra=attached(url), data_dir=Path(folder)) as running:
            cold = running.start_seconds
        async with kernel(extra=attached(url), data_dir=Path(folder)) as running:
            group = of_kernel(running)
            await asyncio.sleep(5.0)
            before = sum(group.cpu().values())
            await asyncio.sleep(seconds)
            used = sum(group.cpu().values()) - before
            return {
                "cold_s": cold,
                "warm_s": running.start_seconds,
                "cpu_share": used / seconds,
                "resident_bytes": group.resident(),
                "proportional_bytes": group.proportional(),
            }


async def measure(*, quick: bool, litellm: bool) -> Row:
    """Run everything."""
    began, load = time.perf_counter(), os.getloadavg()[0]
    speed = yardstick()
    async with helper("tests.bench.doors.backend") as port:
        url = f"http://127.0.0.1:{port}"
        results: Row = {
            "idle": await idle(url, 5.0 if quick else 30.0),
            **await cases(url, 64 if quick else 640, litellm=litellm),
        }
    results["machine"] = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "yardstick": speed,
        "load": load,
        "seconds": time.perf_counter() - began,
    }
    return results


def main() -> int:
    """Measure, print and keep the figures; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--litellm", action="store_true", help="LiteLLM's proxy beside it")
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results"))
    given = parser.parse_args()
    results = asyncio.run(measure(quick=given.quick, litellm=given.litellm))
    text = markdown(results)
    print(text)
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "cost.json").write_text(json.dumps(results, indent=2) + "\n")
        (given.out / "cost.md").write_text(text)
    return 1 if missed(results) else 0


if __name__ == "__main__":
    sys.exit(main())
