"""What a door costs: against the bare backend, the gRPC path of the same call, and LiteLLM's proxy if asked.

For each kind of call: its time alone on an idle kernel (p50), and the CPU time of all processes of the kernel
for one call when eight run at once. Then 2,000 streams that are open at the same time on one gateway.

Run:  python -m tests.bench.bench_doors [--quick] [--litellm] [--out tests/bench/results]
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from launcher.ports import free_base_port
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
from tests.bench.doors.report import markdown
from tests.bench.overhead.load import percentile
from tests.bench.overhead.world import Kernel, helper, kernel
from tests.bench.yardstick import yardstick
from tests.clients.environments import REQUIREMENTS, python_environment
from tests.system.world import open_channel

TOKENS: Final = 170
WORKERS: Final = 8
AGENTS: Final = 16
DOOR_ABOVE: Final = 20
CASES: Final = ((UNARY, "burst"), (CHAT, "burst"), (CHAT, "paced"), (RESPONSES, "burst"), (MESSAGES, "burst"))


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the backend, and what its CPU time is."""

    name: str
    call: Callable[[Kind, str], Call | None]
    cpu_seconds: Callable[[], float]


async def register(running: Kernel) -> list[tuple[str, str]]:
    """Register agents; return key and token of each."""
    async with open_channel(running.plan.gateway) as channel:
        stub: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
        metadata = (("authorization", f"Bearer {running.admin_token}"),)
        hints = agent_pb2.SchedulingHints()
        hints.max_wait.FromSeconds(300)
        made = [
            await stub.RegisterAgent(agent_pb2.RegisterAgentRequest(hints=hints), metadata=metadata)
            for _ in range(AGENTS)
        ]
    return [(each.agent_key, each.credential.token) for each in made]


async def compare(url: str, *, calls: int, litellm: bool) -> list[dict[str, Any]]:
    """Measure every case on every path, in turns, so that what else the machine does meets all alike."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(kernel(tgi="", extra=_attached(url)))
        agents = await register(running)
        door = f"http://127.0.0.1:{running.plan.base_port + DOOR_ABOVE}"
        bare, through = Web(url, ["none"]), Web(door, [key for key, _ in agents])
        stubs = Grpc(running.plan.gateway, [token for _, token in agents])
        for each in (bare, through, stubs):
            stack.push_async_callback(each.close)
        paths = [
            Way("floor", lambda kind, pace: bare.call(_floor(kind), pace, TOKENS), lambda: 0.0),
            Way(
                "gRPC",
                lambda kind, pace: stubs.call(stream=kind.stream, model=pace, tokens=TOKENS),
                running.cpu_seconds,
            ),
            Way("door", lambda kind, pace: through.call(kind, pace, TOKENS), running.cpu_seconds),
        ]
        if litellm:
            proxy = await stack.enter_async_context(litellm_proxy(url))
            web = Web(proxy.url, [proxy.key])
            stack.push_async_callback(web.close)
            paths.append(
                Way(
                    "LiteLLM",
                    lambda kind, pace: web.call(kind, pace, TOKENS) if kind in (UNARY, CHAT) else None,
                    proxy.cpu_seconds,
                )
            )
        return [await _case(kind, pace, paths, calls) for kind, pace in CASES]


def _attached(url: str) -> dict[str, str]:
    """Return the variables that put the paces behind a kernel, with room for all that is asked at once."""
    return {
        "AIOS_OPENAI_ENDPOINTS": ",".join(f"{url}/v1#{pace}" for pace in ("burst", "paced", "slow")),
        "AIOS_OPENAI_SLOTS": "4096",
        "AIOS_GATEWAY_QUOTA_GENERATIONS": "256",
        "AIOS_SCHEDULER_MAX_WAITING": "20000",
    }


def _floor(kind: Kind) -> Kind:
    """Return how the bare backend, which speaks one dialect, is asked for as much."""
    return CHAT if kind.stream else UNARY


async def _case(kind: Kind, pace: str, paths: list[Way], calls: int) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind.name, "pace": pace}
    ways = [(path, call) for path in paths if (call := path.call(kind, pace)) is not None]
    times: dict[str, list[float]] = {path.name: [] for path, _ in ways}
    for path, call in ways:
        await one_by_one(call, 5)
        row[path.name] = {}
    for _ in range(4):
        for path, call in ways:
            times[path.name] += await one_by_one(call, max(2, calls // (80 if pace == "paced" else 4)))
    for path, call in ways:
        count = calls // (4 if pace == "paced" else 1)
        before = path.cpu_seconds()
        await at_once(call, count, WORKERS)
        row[path.name] = {
            "p50_ms": percentile(times[path.name], 0.5) * 1e3,
            "cpu_ms": (path.cpu_seconds() - before) / count * 1e3,
        }
    for path, _ in ways[1:]:
        row[path.name]["added_p50_ms"] = row[path.name]["p50_ms"] - row["floor"]["p50_ms"]
    row["door_to_grpc_cpu"] = row["door"]["cpu_ms"] / row["gRPC"]["cpu_ms"]
    row["door_to_grpc_p50"] = row["door"]["p50_ms"] / row["gRPC"]["p50_ms"]
    return row


async def crowd(url: str, streams: int) -> dict[str, Any]:
    """Open so many streams of one token a second at once, and look whether each comes to its end."""
    async with kernel(tgi="", extra=_attached(url)) as running:
        agents = await register(running)
        door = f"http://127.0.0.1:{running.plan.base_port + DOOR_ABOVE}"
        web = Web(door, [key for key, _ in agents])
        call = web.call(CHAT, "slow", 30)
        await one_by_one(web.call(CHAT, "burst", TOKENS), 2)
        before, cpu = running.resident_bytes()["gateway"], running.cpu_seconds()
        began = time.perf_counter()
        calls = [asyncio.create_task(call(number)) for number in range(streams)]
        most, connections = 0.0, 0
        while not all(each.done() for each in calls):
            await asyncio.sleep(1.0)
            most = max(most, running.resident_bytes()["gateway"])
            connections = max(connections, await _open_connections(running))
        failed = [each.exception() for each in calls if each.exception() is not None]
        seconds, used = time.perf_counter() - began, running.cpu_seconds() - cpu
        await web.close()
    return {
        "streams": streams,
        "failed": len(failed),
        "first_failure": str(failed[0]) if failed else "",
        "open_at_once": connections,
        "seconds": seconds,
        "floor_seconds": 30.0,
        "kib_per_stream": (most - before) / streams / 1024,
        "cpu_ms_per_stream": used / streams * 1e3,
    }


async def _open_connections(running: Kernel) -> int:
    page = f"http://127.0.0.1:{running.plan.base_port + 10}/metrics"
    async with aiohttp.ClientSession() as client, client.get(page) as answer:
        text = await answer.text()
    lines = [line for line in text.splitlines() if line.startswith("aios_door_connections ")]
    return int(float(lines[0].split()[1])) if lines else 0


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy to compare with."""

    url: str
    key: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """CPU time of the proxy and of what it started."""
        total = 0.0
        for each in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                used = each.cpu_times()
                total += used.user + used.system
        return total


@asynccontextmanager
async def litellm_proxy(url: str) -> AsyncIterator[Proxy]:
    """Run LiteLLM's proxy before the same backend, in an environment of its own."""
    python = await python_environment("litellm", REQUIREMENTS / "litellm.txt")
    port, key = free_base_port(usual=False), "sk-bench"
    with tempfile.TemporaryDirectory(prefix="aios-bench-") as folder:
        config = Path(folder) / "config.yaml"
        models = [
            {
                "model_name": pace,
                "litellm_params": {"model": f"openai/{pace}", "api_base": f"{url}/v1", "api_key": "none"},
            }
            for pace in ("burst", "paced")
        ]
        config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": key}}))
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        child = await asyncio.create_subprocess_exec(
            python.with_name("litellm"), "--config", config, "--host", "127.0.0.1", "--port", str(port),
            env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await _answers(f"http://127.0.0.1:{port}/health/liveliness")
            yield Proxy(f"http://127.0.0.1:{port}", key, psutil.Process(child.pid))
        finally:
            child.terminate()
            await child.wait()


async def _answers(url: str) -> None:
    async with asyncio.timeout(120), aiohttp.ClientSession() as client:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.5)


async def measure(*, quick: bool, litellm: bool) -> dict[str, Any]:
    """Run everything."""
    async with helper("tests.bench.doors.backend") as port:
        url = f"http://127.0.0.1:{port}"
        return {
            "machine": {
                "cpus": os.cpu_count(),
                "python": platform.python_version(),
                "yardstick": yardstick(),
            },
            "cases": await compare(url, calls=40 if quick else 400, litellm=litellm),
            "crowd": await crowd(url, 200 if quick else 2000),
        }


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--litellm", action="store_true", help="LiteLLM's proxy beside it")
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results"))
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = asyncio.run(measure(quick=given.quick, litellm=given.litellm))
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "doors.json").write_text(json.dumps(results, indent=2) + "\n")
    text = markdown(results)
    (given.out / "doors.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
