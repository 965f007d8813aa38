"""The HTTP door of a real kernel: a key is enough, sessions are children, and the root's end is theirs."""

from typing import Any

import aiohttp
import pytest

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from tests.system.cluster import Cluster
from tests.system.world import bearer, open_channel

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="package"),
]

CODEX = {"user-agent": "codex_exec/0.171", "thread-id": "t1"}
CHILD = {**CODEX, "thread-id": "t2", "x-codex-parent-thread-id": "t1"}


async def models(kernel: Cluster, key: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Ask the door for the models; return the status and the error's code."""
    url = f"http://127.0.0.1:{kernel.plan.base_port + 20}/v1/models"
    shown = {"authorization": f"Bearer {key}", **(headers or {})}
    async with aiohttp.ClientSession() as client, client.get(url, headers=shown) as answer:
        body = await answer.json()
        return answer.status, body.get("error", {}).get("code")


async def test_a_keys_sessions_are_its_children_and_end_with_it(kernel: Cluster) -> None:
    async with kernel.admin() as admin:
        handle = await admin.agents.register("coder")
        key = handle.credential.agent_key
        assert await models(kernel, key) == (200, None)
        assert await models(kernel, key, CODEX) == (200, None)
        assert await models(kernel, key, CHILD) == (200, None)
        assert await models(kernel, "aios_wrong") == (401, "invalid_api_key")

        tree = await admin.as_agent(handle).agents.list()
        [session] = [agent for agent in tree if agent.parent == "agents/coder"]
        [spawned] = [agent for agent in tree if agent.parent == session.name]
        assert session.kind == "codex_exec"
        assert spawned.display_name == "codex_exec t2"

        await admin.agents.kill("coder")
        for headers in (None, CODEX, CHILD):
            status, _ = await models(kernel, key, headers)
            assert status in (401, 403)


async def test_a_revoked_key_is_refused_at_once_in_its_sessions_too(kernel: Cluster) -> None:
    async with kernel.admin() as admin:
        handle = await admin.agents.register("leaky")
        key = handle.credential.agent_key
        assert await models(kernel, key, CODEX) == (200, None)
        async with open_channel(kernel.plan.gateway) as channel:
            await access_pb2_grpc.AccessServiceStub(channel).RevokeToken(
                access_pb2.RevokeTokenRequest(agent="agents/leaky", all=True, revoke_key=True),
                metadata=bearer(kernel.admin_token),
            )

        assert await models(kernel, key, CODEX) == (401, "invalid_api_key")
        assert await models(kernel, key) == (401, "invalid_api_key")
