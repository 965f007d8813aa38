"""What any gRPC client gets without our SDK: generated stubs, reflection, health."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.routing import MANAGERS
from tests.system.cluster import Cluster
from tests.system.world import METHODS, grpc_ports, health_ports, open_channel

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="package"),
]

REPOSITORY = Path(__file__).parents[3]
INFERENCE = "aios.api.inference.v1.InferenceService"
SERVICES = {
    **{
        process: sorted(name for name, owner in MANAGERS.items() if owner == process)
        for process in MANAGERS.values()
    },
    "gateway": [*sorted(MANAGERS), INFERENCE, "aios.api.gateway.v1.GatewayService"],
}
"""Services by the process that answers for them; the gateway answers for all."""


async def run_example(kernel: Cluster, name: str, *arguments: str) -> list[str]:
    """Run an example beside the kernel and return the lines it prints."""
    environment = {
        **os.environ,
        "AIOS_ENDPOINT": kernel.plan.gateway,
        "AIOS_DATA_DIR": str(kernel.plan.data_dir),
        "AIOS_TOKEN": "",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(REPOSITORY / "examples" / "python" / name),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await asyncio.wait_for(child.communicate(), 60)

    assert child.returncode == 0, err.decode()
    return out.decode().splitlines()


async def test_generated_stubs_alone_stream_a_chat(kernel: Cluster) -> None:
    *answer, usage = await run_example(kernel, "raw_stub.py", "What is two plus two?")
    assert "".join(answer).strip()
    assert usage.startswith("agents/")
    assert usage.endswith("tokens")


async def test_branches_are_tried_and_the_best_is_kept(kernel: Cluster) -> None:
    best, plan, *steps = await run_example(kernel, "best_of_n.py")

    assert best.startswith("best of 4:")
    assert plan.startswith("plan of 3 steps, kept as question.")
    assert any(line.startswith("- ") for line in steps)


async def test_every_manager_tells_what_an_agent_uses(kernel: Cluster) -> None:
    async with kernel.admin() as admin:
        agent = await kernel.agent(admin, "counter")
        used = await agent.quotas.usage()

    assert used.keys() == {"access", "context", "inference", "memory", "scheduler", "storage", "tool"}
    assert all("watches" in {one.quota for one in told} for told in used.values())


async def listed(endpoint: str) -> list[str]:
    """Ask a server for its services by gRPC reflection."""
    async with open_channel(endpoint) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([request]), timeout=10)]
    return [service.name for service in answers[0].list_services_response.service]


async def described(endpoint: str, symbol: str) -> bytes:
    """Ask a server for the file that defines a symbol."""
    async with open_channel(endpoint) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([request]), timeout=10)]
    return b"".join(answers[0].file_descriptor_response.file_descriptor_proto)


async def test_reflection_lists_every_service_of_every_process(kernel: Cluster) -> None:
    for process, port in grpc_ports(kernel.plan).items():
        services = await listed(f"127.0.0.1:{port}")

        assert set(SERVICES[process]) == {name for name in services if name.startswith("aios.")}, process


async def test_reflection_describes_every_service_at_the_gateway(kernel: Cluster) -> None:
    for service in SERVICES["gateway"]:
        names = {
            label.rpartition("/")[2] for label in METHODS if f"aios.api.{label}".startswith(f"{service}/")
        }
        file = await described(kernel.plan.gateway, service)

        assert names
        assert all(name.encode() in file for name in names), service


async def health(endpoint: str, service: str) -> Any:
    """Ask a server for the health of a service."""
    async with open_channel(endpoint) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)


async def test_health_answers_per_service_on_a_port_of_its_own(kernel: Cluster) -> None:
    for process, port in health_ports(kernel.plan).items():
        endpoint = f"127.0.0.1:{port}"
        for service in ["", *SERVICES[process]]:
            answer = await health(endpoint, service)

            assert answer.status == health_pb2.HealthCheckResponse.SERVING, (process, service)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await health(endpoint, "no.such.Service")
        assert failure.value.code() is grpc.StatusCode.NOT_FOUND, process
