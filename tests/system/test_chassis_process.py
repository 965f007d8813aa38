"""A whole process around the chassis: start, help, bad configuration, a taken port, signals."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import grpc
import pytest

from services.chassis.rpc import client
from tests.fakes import tokens
from tests.fakes.echo import SERVICE, Echo, EchoStub

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import asyncio
from dataclasses import dataclass
from services.chassis.runtime.process import App, run
from tests.fakes.access import AllowAll
from tests.fakes.echo import EchoServicer
from tests.fakes.tokens import Issuer

@dataclass(frozen=True, kw_only=True)
class EchoConfig:
    delay: float = 0.0
    '''Seconds before an answer.'''

async def assemble(process):
    config = process.load(EchoConfig)
    async def answer(request, context):
        await asyncio.sleep(config.delay)
        return request
    class Anybody:
        async def authenticate(self, token):
            from services.chassis.auth.identity import Kind, Principal
            return Principal("planner", "acme", Kind.AGENT)
    return App(servicers=[EchoServicer(answer).servicer()], authenticator=Anybody(), authorizer=AllowAll())

raise SystemExit(run("memory", assemble, EchoConfig))
"""


async def start(*arguments: str, **environ: str) -> Process:
    """Start the program with its own variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments,
        env={**clean, **environ},
        cwd=REPOSITORY,
        stdout=PIPE,
        stderr=PIPE,
    )


async def test_a_data_directory_that_is_a_link_stops_the_start_with_a_line(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    process = await start(AIOS_DATA_DIR=str(tmp_path / "link"))
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert f"AIOS_DATA_DIR: {tmp_path}/link is a link" in errors.decode()
    assert b"Traceback" not in errors


async def ready(process: Process) -> dict[str, int]:
    """Wait for the line that says where the process listens."""
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while line := await process.stderr.readline():
            if b'"ready"' in line:
                return dict(json.loads(line))
    pytest.fail("the process ended before it was ready")


async def entered(where: dict[str, int]) -> None:
    """Wait until the process runs a call."""
    page = f"http://127.0.0.1:{where['http_port']}/metrics"
    running = f'aios_rpc_in_flight{{method="{SERVICE}/Unary"}} 1.0'
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while running not in await (await session.get(page)).text():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


FREE = {"AIOS_MEMORY_PORT": "0", "AIOS_LOG_FORMAT": "json"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_calls_finish_and_ends_with_zero(number: signal.Signals) -> None:
    process = await start(**FREE, AIOS_MEMORY_DELAY="1.0")
    where = await ready(process)
    async with client.channel(f"127.0.0.1:{where['port']}") as channel:
        call = asyncio.ensure_future(
            EchoStub(channel).unary(Echo(text="a"), metadata=tokens.metadata(), wait_for_ready=True)
        )
        await entered(where)
        process.send_signal(number)
        reply = await call
    code = await asyncio.wait_for(process.wait(), 30)

    assert (reply.text, code) == ("a", 0)


async def test_a_taken_port_ends_the_process_with_two() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = await start(AIOS_MEMORY_PORT=str(port))
        _, errors = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 2
    assert f"port {port} (gRPC) is in use by process {os.getpid()}" in errors.decode()


async def test_bad_configuration_ends_the_process_with_two_and_lists_all_of_it() -> None:
    process = await start(AIOS_MEMORY_DELAY="soon", AIOS_MEMORY_COLOUR="red")
    _, errors = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 2
    assert "AIOS_MEMORY_DELAY: expected a number, got 'soon'" in errors.decode()
    assert "AIOS_MEMORY_COLOUR: unknown variable" in errors.decode()


async def test_the_help_lists_every_variable() -> None:
    process = await start("--help-config")
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    text = output.decode()

    assert process.returncode == 0
    for name in (
        "AIOS_DATA_DIR",
        "AIOS_DRAIN_SECONDS",
        "AIOS_MEMORY_PORT",
        "AIOS_MEMORY_DATABASE_URL",
        "AIOS_MEMORY_DELAY",
    ):
        assert name in text


async def test_a_killed_server_is_seen_at_once() -> None:
    process = await start(**FREE, AIOS_MEMORY_DELAY="30")
    where = await ready(process)
    async with client.channel(f"127.0.0.1:{where['port']}") as channel:
        call = asyncio.ensure_future(EchoStub(channel).unary(Echo(), metadata=tokens.metadata(), timeout=60))
        await entered(where)
        process.kill()
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await asyncio.wait_for(call, 30)
    await process.wait()

    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
