"""The tool process: starts, repeats nothing that may have happened and loses no result when it is killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import grpc
import pytest

from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.api.tool.v1 import tool_pb2_grpc
from services.chassis.rpc import client
from tests.fakes import tokens
from tests.fakes.rpc import reason

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
ME = tokens.metadata("planner")
PROGRAM = """
from services.chassis.auth.identity import Kind, Principal
from services.chassis.runtime.process import run
from services.tool.main import assemble
from tests.fakes.access import AllowAll
from tests.fakes.tool_queue import LocalQueue

class Anybody:
    async def authenticate(self, token):
        return Principal("planner", "acme", Kind.AGENT)

async def without_access(process):
    app = await assemble(process, queue=LocalQueue())
    app.authenticator, app.authorizer = Anybody(), AllowAll()
    return app

raise SystemExit(run("tool", without_access))
"""


async def start(directory: Path) -> tuple[Process, int]:
    """Start the tool manager on a data directory and return it with its port."""
    (directory / "service-keys").mkdir(exist_ok=True)
    (directory / "service-keys" / "tool.key").write_text("key")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_")}
    environ |= {
        "AIOS_DATA_DIR": str(directory),
        "AIOS_TOOL_PORT": "0",
        "AIOS_LOG_FORMAT": "json",
        "AIOS_ACCESS_ENDPOINT": "127.0.0.1:1",
    }
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, env=environ, cwd=REPOSITORY, stderr=log
        )
    async with asyncio.timeout(30):
        while True:
            lines = (await asyncio.to_thread((directory / "log").read_bytes)).splitlines()
            ready = [json.loads(line) for line in lines if b'"ready"' in line]
            if ready:
                return process, int(ready[0]["port"])
            assert process.returncode is None
            await asyncio.sleep(0.05)


async def call(stub: Any, tool: str, arguments: Any, request_id: str) -> res.Call:
    """Call a tool and return the call."""
    request = pb.CallToolRequest(
        tool=f"tools/{tool}", arguments_json=json.dumps(arguments), request_id=request_id
    )
    events = [event async for event in stub.CallTool(request, metadata=ME, timeout=20)]
    result: res.Call = events[-1].result
    return result


async def offer(stub: Any) -> Any:
    """Register a tool with an effect and connect its provider."""
    tool = res.Tool(
        name="tools/pay",
        description="Pay.",
        effect=res.TOOL_EFFECT_REVERSIBLE,
        provider=res.ProviderDriver(),
    )
    await stub.RegisterTool(pb.RegisterToolRequest(tool=tool), metadata=ME)
    taking = stub.TakeCalls(pb.TakeCallsRequest(tools=["tools/pay"], capacity=2), metadata=ME)
    await taking.read()
    return taking


async def test_results_survive_kill_9_and_what_may_have_happened_is_not_repeated(tmp_path: Path) -> None:
    process, port = await start(tmp_path)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        sums = [await call(stub, "calculator", {"expression": f"{n} + 1"}, f"sum{n}") for n in range(5)]
        taking = await offer(stub)
        paying = asyncio.create_task(call(stub, "pay", {}, "pay1"))
        taken = await taking.read()
        process.send_signal(signal.SIGKILL)
        with pytest.raises(grpc.aio.AioRpcError):
            await paying
    await process.wait()
    process, port = await start(tmp_path)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        again = [await call(stub, "calculator", {"expression": f"{n} + 1"}, f"sum{n}") for n in range(5)]
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await call(stub, "pay", {}, "pay1")
        complete = pb.CompleteCallRequest(call=taken.call.call, lease_id=taken.call.lease_id)
        complete.result.value_json = "1"
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await stub.CompleteCall(complete, metadata=ME)
    process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), 20)

    assert again == sums
    assert taken.call.call == "agents/planner/calls/pay1"
    assert reason(unknown.value) == "UNKNOWN_OUTCOME"
    assert reason(late.value) == "CALL_LEASE_LOST"
    assert code == 0


async def test_the_tool_process_explains_its_variables() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.tool", "--help-config", stdout=PIPE, cwd=REPOSITORY
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert b"AIOS_TOOL_QUOTA_RUNNING_CALLS" in output
