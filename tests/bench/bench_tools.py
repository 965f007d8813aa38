"""What a tool call costs by the way in which the tool runs, and whether a crowd waits in turn.

(a) one call at a time through the whole path: a built-in that does nothing, Python in the sandbox with and
    without an interpreter that waits, HTTP, MCP; beside them a bare relay of the same run
(b) 1,000 agents at once, one call each of a slow tool

What this kernel or machine has not is skipped with the reason. Ends with 1 when a budget is missed; budgets
grow with the yardstick of the machine.

Run:  python -m tests.bench.bench_tools [--quick] [--out tests/bench/results]
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aios
from aios.api.tool.v1 import resources_pb2
from tests.bench.overhead.load import RawNotes, percentile
from tests.bench.overhead.world import Kernel, fake_tgi, helper, kernel
from tests.bench.tools.callers import Callers, Unmeasured, jain, summary, times_of
from tests.bench.tools.report import markdown, missed
from tests.bench.yardstick import yardstick

SOURCE = "def echo(text):\n    return {'result': text}\n"
SYSTEM_PYTHON = "/usr/bin/python3"
"""Which the user of a sandbox can read, wherever this one lies."""
SERVERS = Path(__file__).parent / "tools/servers.py"
PACKAGES = sysconfig.get_paths()["purelib"]
PLACES, SLOW_SECONDS = 16, 0.02
SETTINGS = {
    "AIOS_SCHEDULER_MAX_WAITING": "20000",
    "AIOS_SCHEDULER_QUOTA_WAITING_CALLS": "2000,20000,20000",
    "AIOS_TOOL_MCP_PROGRAMS": f"{SERVERS.parent}:{PACKAGES}",
    "AIOS_TOOL_QUOTA_RUNNING_CALLS": "256,4096,16384",
}
Row = dict[str, Any]


async def relay(calls: int) -> Row:
    """Measure the floor: a unary call through a process that copies bytes."""
    floor = "tests.bench.overhead.floor"
    async with helper(floor, "echo") as echo, helper(floor, "relay", f"127.0.0.1:{echo}") as port:
        bare = RawNotes(f"127.0.0.1:{port}")
        times = await times_of(bare.get_note, calls)
        await bare.close()
    return summary(times)


async def in_a_kernel(calls: int) -> dict[str, Row]:
    """Measure everything that one kernel can run."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(helper("tests.bench.tools.servers", "http"))
        extra = SETTINGS | {"AIOS_TOOL_EGRESS_INTERNAL": f"http://127.0.0.1:{http} 127.0.0.1/32"}
        running = await _running(stack, extra)
        callers = await _callers(stack, running, 1)

        async def of(tool: str, arguments: dict[str, str] | None = None, *, pause: float = 0.0) -> Row:
            arguments = arguments or {"text": "again"}
            return summary(await times_of(lambda: callers.call(tool, arguments), calls, pause=pause))

        rows = {"built-in that does nothing": await of("tools/calculator", {"expression": "1"})}
        rows["python, warm"] = await _tried(_python(callers, calls // 3, pause=0.5))
        rows["http"] = await _tried(_http(callers, http, calls))
        rows["mcp"] = await _tried(_mcp(callers, calls))
    return rows


async def cold(calls: int) -> Row:
    """Measure Python without interpreters that wait."""
    async with AsyncExitStack() as stack:
        running = await _running(stack, SETTINGS | {"AIOS_TOOL_SANDBOX_WARM": "0"})
        return await _tried(_python(await _callers(stack, running, 1), calls, pause=0.0))


async def _python(callers: Callers, calls: int, *, pause: float) -> Row:
    python = resources_pb2.PythonDriver(source=SOURCE, function="echo")
    tool = await callers.offer("echo-python", python=python)
    return summary(await times_of(lambda: callers.call(tool, {"text": "again"}), calls, pause=pause))


async def _http(callers: Callers, port: int, calls: int) -> Row:
    tool = await callers.offer("echo-http", http=resources_pb2.HttpDriver(url=f"http://127.0.0.1:{port}/"))
    return summary(await times_of(lambda: callers.call(tool, {"text": "again"}), calls))


async def _mcp(callers: Callers, calls: int) -> Row:
    server = resources_pb2.McpServer(
        name="mcpservers/bench",
        stdio=resources_pb2.McpStdio(
            command=[SYSTEM_PYTHON, str(SERVERS), "mcp"], environment={"PYTHONPATH": PACKAGES}
        ),
        default_effect=resources_pb2.TOOL_EFFECT_IDEMPOTENT,
    )
    tool = await callers.connect(server)
    return summary(await times_of(lambda: callers.call(tool, {"text": "again"}), calls))


async def _tried(work: Any) -> Row:
    try:
        row: Row = await work
    except Unmeasured as reason:
        return {"skipped": str(reason)}
    return row


async def crowd(agents: int) -> Row:
    """Let many agents call a slow tool of a provider at once."""
    async with AsyncExitStack() as stack:
        running = await _running(stack, SETTINGS)
        callers = await _callers(stack, running, agents)
        endpoint, token = running.plan.gateway, running.admin_token
        worker = await stack.enter_async_context(aios.connect(f"http://{endpoint}", token=token))

        @aios.tool(name="slow")
        async def slow(text: str) -> str:
            """Say it again, later."""
            await asyncio.sleep(SLOW_SECONDS)
            return text

        await stack.enter_async_context(worker.tools.provide(slow, effect="idempotent", capacity=PLACES))
        await callers.call("tools/slow", {"text": "again"})
        began = time.perf_counter()
        called = await asyncio.gather(
            *(callers.call("tools/slow", {"text": "again"}, agent=number) for number in range(agents))
        )
        took = time.perf_counter() - began
    waits = [each.waited for each in called]
    return {
        "agents": agents,
        "places": PLACES,
        "seconds": SLOW_SECONDS,
        "least_s": agents * SLOW_SECONDS / PLACES,
        "end_to_end_s": took,
        "p50_s": percentile(waits, 0.5),
        "p99_s": percentile(waits, 0.99),
        "max_s": max(waits),
        "max_over_median": max(waits) / max(1e-9, percentile(waits, 0.5)),
        "jain": jain(waits),
    }


async def _running(stack: AsyncExitStack, extra: Mapping[str, str]) -> Kernel:
    url = await stack.enter_async_context(fake_tgi(slots=8, latency=0, tokens=1))
    return await stack.enter_async_context(kernel(tgi=url, extra=extra))


async def _callers(stack: AsyncExitStack, running: Kernel, agents: int) -> Callers:
    callers = Callers(running.plan.gateway, running.admin_token)
    stack.push_async_callback(callers.close)
    await callers.register(agents)
    return callers


async def measure(*, quick: bool) -> dict[str, Any]:
    """Run everything."""
    calls = 30 if quick else 300
    speed = yardstick()
    rows = {"floor: a bare relay": await relay(calls), **await in_a_kernel(calls)}
    rows["python, cold"] = await cold(calls // 3)
    return {
        "machine": {
            "cpus": os.cpu_count() or 0,
            "python": platform.python_version(),
            "system": platform.system(),
            "yardstick": speed,
        },
        "rows": rows,
        "crowd": await _tried(crowd(100 if quick else 1000)),
    }


def main() -> int:
    """Measure, print and write the results; return 1 when a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results"))
    given = parser.parse_args()
    results = asyncio.run(measure(quick=given.quick))
    text = markdown(results)
    print(text)
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "tools.json").write_text(json.dumps(results, indent=2) + "\n")
        (given.out / "tools.md").write_text(text)
    return 1 if missed(results) else 0


if __name__ == "__main__":
    sys.exit(main())
