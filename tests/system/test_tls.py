"""A kernel whose processes speak mutual TLS, and TLS to agents: everything works, plain speech does not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from tests.system.cluster import Cluster, cluster

pytestmark = [pytest.mark.system, pytest.mark.torture]


@pytest.fixture
async def kernel(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    async with cluster(tls=True) as running:
        monkeypatch.setenv("AIOS_CA_FILE", str(running.plan.authority.file))
        yield running


def shown(port: int) -> str:
    """Return the certificate that a port shows."""
    return ssl.get_server_certificate(("127.0.0.1", port))


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


async def test_a_kernel_works_encrypted_and_outlives_its_certificates(kernel: Cluster) -> None:
    plan = kernel.plan
    ports = (plan.base_port, plan.base_port + 20, plan.base_port + 6)
    async with kernel.admin() as admin:
        agent = await kernel.agent(admin, "planner")
        first = await agent.llm.chat("hello", max_tokens=4)
        key = (await admin.agents.register("coder")).credential.agent_key
        before = [await asyncio.to_thread(shown, port) for port in ports]
        await asyncio.to_thread(plan.authority.renew, plan.certified, everything=True)
        async with asyncio.timeout(60):
            while any([await asyncio.to_thread(shown, port) in before for port in ports]):
                await agent.memory.put("k", "v")
                await agent.files.write("note", "x")
        second = await agent.llm.chat("hello", max_tokens=4)

    context = await asyncio.to_thread(trusting, plan.authority.file)
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as client:
        async with client.get(f"{plan.door}/v1/models", ssl=context) as answer:
            listed = await answer.json()
        with pytest.raises(aiohttp.ClientError):
            await client.get(f"{plan.door.replace('https', 'http')}/v1/models")
    for offset in range(7):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{plan.base_port + offset}") as channel:
            call: Any = channel.unary_unary("/aios.api.access.v1.AccessService/GetJwks")
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(b"", timeout=5)
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE, offset

    assert first.text == second.text
    assert listed["data"]
