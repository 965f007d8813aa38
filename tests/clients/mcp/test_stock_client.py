"""The stock client of the SDK against a real kernel: two variables, and what comes of them in the kernel."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import mcp_types as types
import pytest
import pytest_asyncio
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError

import aios
from tests.clients.door import Door
from tests.fakes.mcp_door import BEFORE, CURRENT, stock_client
from tests.system.cluster import Cluster

both = pytest.mark.parametrize("mode", [CURRENT, BEFORE])

running, stopped, wiped = asyncio.Event(), asyncio.Event(), list[int]()


@aios.tool
async def hang() -> str:
    """Wait for ever."""
    running.set()
    try:
        await asyncio.Event().wait()
    finally:
        stopped.set()
    return "never"


@aios.tool
async def wipe(disk: int) -> str:
    """Wipe a disk."""
    wiped.append(disk)
    return f"disk {disk} is wiped"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tools(kernel: Cluster) -> AsyncIterator[None]:
    """Provide two tools: one that hangs, and one that cannot be undone."""
    async with kernel.admin() as admin:
        handle = await admin.agents.register("mcp-workshop")
        await admin.access.grant(handle.name, "tools/", ["tool.register"], prefix=True)
        workshop = admin.as_agent(handle).tools
        async with workshop.provide(hang, effect="idempotent"), workshop.provide(wipe, effect="irreversible"):
            yield


@both
async def test_tools_files_and_notes_are_those_of_the_kernel(door: Door, mode: str) -> None:
    async with stock_client(f"{door.url}/mcp", door.key, mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        sum_ = await client.call_tool("calculator", {"expression": "6*7"})
        await client.call_tool("_aios_put_note", {"key": "trip/budget", "content": "300 francs"})
        await client.call_tool("_aios_write_file", {"path": "reports/may.md", "content": "sun"})
        page = await client.list_resources()
        read = (await client.read_resource("aios://files/reports/may.md")).contents[0]
        found = await client.call_tool("_aios_search_notes", {"query": "francs"})

    assert {"calculator", "clock", "_aios_read_file"} <= names
    assert sum_.structured_content == {"result": 42}
    uris = [resource.uri for resource in page.resources]
    assert uris == ["aios://files/reports/may.md", "aios://notes/trip/budget"]
    assert read.text == "sun"
    assert found.structured_content["hits"][0]["key"] == "trip/budget"
    assert await door.kernel.files.read("reports/may.md") == b"sun"
    assert (await door.kernel.memory.get("trip/budget")).content == "300 francs"


async def test_a_listener_hears_of_what_others_write(door: Door) -> None:
    async with (
        stock_client(f"{door.url}/mcp", door.key) as client,
        client.listen(resource_subscriptions=["aios://files/a.txt"]) as stream,
    ):
        await door.kernel.files.write("b.txt", "not this one")
        await door.kernel.files.write("a.txt", "this one")
        async with asyncio.timeout(20):
            assert await anext(aiter(stream)) == ResourceUpdated(uri="aios://files/a.txt")


@both
@pytest.mark.usefixtures("tools")
async def test_cancelling_reaches_the_process_that_runs_the_tool(door: Door, mode: str) -> None:
    running.clear()
    stopped.clear()
    async with stock_client(f"{door.url}/mcp", door.key, mode) as client:
        call = asyncio.create_task(client.call_tool("hang", {}))
        async with asyncio.timeout(20):
            await running.wait()
            call.cancel()
            await stopped.wait()
        await asyncio.wait({call})


@pytest.mark.usefixtures("tools")
async def test_a_call_that_cannot_be_undone_runs_once_when_a_person_has_approved_it(
    door: Door, kernel: Cluster
) -> None:
    wiped.clear()
    asked: list[str] = []

    async def answer(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        if len(asked) == 2:
            async with kernel.admin() as admin:
                mine = [one for one in await admin.access.approvals() if one.agent == door.agent]
                await admin.access.decide(mine[0].name, approve=True)
        return types.ElicitResult(action="accept", content={"try_again": True})

    async with stock_client(f"{door.url}/mcp", door.key, elicitation_callback=answer) as client:
        result = await client.call_tool("wipe", {"disk": 7})

    assert result.content[0].text == "disk 7 is wiped"
    assert len(asked) == 2, "confirming alone approved nothing"
    assert wiped == [7]


@both
@pytest.mark.usefixtures("tools")
async def test_an_agent_that_is_ended_loses_its_streams_and_its_key(
    door: Door, kernel: Cluster, mode: str
) -> None:
    running.clear()
    stopped.clear()
    async with kernel.admin() as admin, stock_client(f"{door.url}/mcp", door.key, mode) as client:
        call = asyncio.create_task(client.call_tool("hang", {}))
        async with asyncio.timeout(30):
            await running.wait()
            await admin.agents.kill(door.agent)
            await stopped.wait()
            ended: Any = (await asyncio.gather(call, return_exceptions=True))[0]
            assert isinstance(ended, MCPError) or ended.is_error
            with pytest.raises(MCPError):
                await client.list_tools()
