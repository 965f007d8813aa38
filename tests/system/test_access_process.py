"""The access manager as a process: first start, kill -9, restart, rotation of keys, a signal."""

import asyncio
import json
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.chassis.rpc import client
from tests.fakes.as_gateway import administrator, at_manager
from tests.fakes.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

REPOSITORY = Path(__file__).parents[2]
Metadata = tuple[tuple[str, str], ...]


async def start(folder: Path, *arguments: str) -> Process:
    """Start an access manager on free ports, or run one of its commands."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_")}
    environ |= {"AIOS_DATA_DIR": str(folder), "AIOS_ACCESS_PORT": "0", "AIOS_LOG_FORMAT": "json"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.access",
        *arguments,
        env=environ,
        cwd=REPOSITORY,
        stdout=PIPE,
        stderr=PIPE,
    )


async def port_of(process: Process) -> int:
    """Wait until it serves; return its gRPC port."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while line := await process.stderr.readline():
            if b'"event":"ready"' in line:
                return int(json.loads(line)["port"])
    pytest.fail("the process ended before it was ready")


async def ended(process: Process, number: signal.Signals) -> int:
    """Send a signal and wait for the end; return the exit code."""
    process.send_signal(number)
    async with asyncio.timeout(20):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


async def register(channel: grpc.aio.Channel, admin: Metadata, agent: str) -> str:
    """Register an agent; return its key."""
    agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
    request = agent_pb2.RegisterAgentRequest(agent_id=agent)
    return (await agents.RegisterAgent(request, metadata=admin)).agent_key


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    process = await start(tmp_path)
    port = await port_of(process)
    token = await asyncio.to_thread((tmp_path / "admin.token").read_text)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        admin = await administrator(tmp_path, channel)
        keys = [await register(channel, admin, f"a{number}") for number in range(5)]
    await ended(process, signal.SIGKILL)
    process = await start(tmp_path)
    port = await port_of(process)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        access: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        tokens = [
            await access.IssueToken(
                access_pb2.IssueTokenRequest(agent_key=access_pb2.AgentKeyCredential(key=key))
            )
            for key in keys
        ]
        verified = await access.VerifyAudit(access_pb2.VerifyAuditRequest(), metadata=admin)

    assert [one.principal.agent for one in tokens] == [f"agents/a{number}" for number in range(5)]
    assert verified.intact
    assert verified.verified_count == 5
    assert await asyncio.to_thread((tmp_path / "admin.token").read_text) == token
    assert await ended(process, signal.SIGTERM) == 0


async def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    process = await start(tmp_path)
    await port_of(process)
    await ended(process, signal.SIGTERM)
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode)
        for name in ("admin.token", "service-keys/gateway.key", "access-keys.json")
    }

    assert set(modes.values()) == {0o600}


async def test_a_rotation_of_keys_is_taken_up_while_it_runs(tmp_path: Path) -> None:
    process = await start(tmp_path)
    port = await port_of(process)
    rotation = await start(tmp_path, "rotate-keys")
    out, _ = await rotation.communicate()
    kid = out.decode().strip()
    async with client.channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
        access: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        while (keys := await access.GetJwks(access_pb2.GetJwksRequest())).keys[0].kid != kid:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)

    assert rotation.returncode == 0
    assert len(keys.keys) == 2
    assert await ended(process, signal.SIGTERM) == 0


async def read(
    watch: "grpc.aio.UnaryStreamCall[Any, agent_pb2.WatchAgentsResponse]", seen: list[str]
) -> None:
    """Read a watch to its end and keep the names that the agents show."""
    async for event in watch:
        seen.append(event.agent.display_name)  # noqa: PERF401 - what came before the error counts


def children(process: Process) -> list[int]:
    """List the processes that a process started."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []


def lives(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_hostile_policies_cost_their_own_call(tmp_path: Path) -> None:
    process = await start(tmp_path)
    port = await port_of(process)
    deep = "(" * 800 + "true" + ")" * 800
    wide = " && ".join(['principal.tenant == "acme"'] * 400)
    costly = " && ".join(["principal.nope == 1"] * 85)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        admin = await administrator(tmp_path, channel)
        access: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)

        async def judged(condition: str) -> bool:
            text = f'@id("d") permit(principal, action, resource) when {{ {condition} }};'
            request = access_pb2.ValidatePolicyRequest(text=text)
            return (await access.ValidatePolicy(request, metadata=admin, timeout=60)).valid

        hostile = [asyncio.create_task(judged(text)) for text in (deep, wide, costly)]
        await register(channel, admin, "planner")
        assert await asyncio.gather(*hostile) == [False, False, False]
        assert await judged("true")

    assert process.returncode is None
    workers = await asyncio.to_thread(children, process)
    assert len(workers) == 2  # one judges texts, one decides
    await ended(process, signal.SIGKILL)
    await until(lambda: not any(map(lives, workers)))


async def test_workers_end_with_their_manager(tmp_path: Path) -> None:
    process = await start(tmp_path)
    await port_of(process)
    await until(lambda: len(children(process)) == 2)
    workers = await asyncio.to_thread(children, process)

    assert await ended(process, signal.SIGTERM) == 0
    assert not any(await asyncio.gather(*(asyncio.to_thread(lives, worker) for worker in workers)))


async def test_the_watches_of_the_process_itself_end_with_their_permission(tmp_path: Path) -> None:
    process = await start(tmp_path)
    port = await port_of(process)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        admin = await administrator(tmp_path, channel)
        agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
        made = await agents.RegisterAgent(agent_pb2.RegisterAgentRequest(agent_id="a"), metadata=admin)
        own = await at_manager(tmp_path, channel, made.credential.token)
        watch = agents.WatchAgents(agent_pb2.WatchAgentsRequest(parent="agents/me"), metadata=own, timeout=60)
        await watch.initial_metadata()

        await agents.SuspendAgent(agent_pb2.SuspendAgentRequest(name="agents/a"), metadata=admin)
        later = agent_pb2.UpdateAgentRequest(
            agent=agent_pb2.Agent(name="agents/a", display_name="later"),
            update_mask=FieldMask(paths=["display_name"]),
        )
        await agents.UpdateAgent(later, metadata=admin)

        seen: list[str] = []
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await read(watch, seen)
    await ended(process, signal.SIGTERM)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "later" not in seen
